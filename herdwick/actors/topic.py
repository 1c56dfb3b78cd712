"""What a topic is: plain data that outlives its actors, and the members that hear of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from herdwick.runtime import ActorStopped, Slot, Timer, Timers, Waiters

from .left import Left
from .log import Announcement, History, Log, Position, Publication
from .presence import PresenceOptions, Presences
from .pump import Pump
from .slow import CatchUp, Conflate, Disconnect, Slow

if TYPE_CHECKING:
    from .joining import Authorize
    from .member import Member
    from .realtime import Realtime
    from .room import Room
    from .wire import Wire

IDLE: Final = 30.0


class Identified(Protocol):
    """Who can be left out of a broadcast: a WebSocket, or a member."""

    @property
    def id(self) -> str:
        """The name of the connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicKind:
    """What is declared of the topics of one pattern."""

    pattern: str = ""
    """Its text; empty for topics that nobody has declared."""

    history: History | None = None
    """What is kept of what is published; None: nothing."""

    slow: Slow = field(default_factory=Disconnect)
    """What follows when a member reads too slowly."""

    presence: PresenceOptions | None = None
    """How it tells who is present; None: it does not."""

    authorize: Authorize | None = None
    """Who may join; None: whom a handler lets, and nobody from the wire."""

    room: type[Room[Any]] | None = None
    """The class of its rooms; None: it only broadcasts."""

    idle: float = IDLE
    """Seconds without members and without work after which it is put away."""

    capacity: int = 1000
    """What may wait for the room, joins included, before a push waits too, or is refused."""

    cool_down: float = 10.0
    """Seconds for which nobody may join a room that has failed too often."""

    def __post_init__(self) -> None:
        if isinstance(self.slow, CatchUp) and self.history is None:
            raise ValueError(
                f"{self.pattern!r} lets slow members catch up from a history and keeps none; "
                "give it `history=History(size=…)`"
            )
        for name in ("idle", "cool_down"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be more than 0 s")
        if self.capacity < 1:
            raise ValueError(f"capacity is {self.capacity}; it must be at least 1")


class Topic:
    """One topic: its members, and what they have still to hear.

    The System owns it, through `Realtime`; its actors come and go. What is published stands in a
    queue until its pump has offered it to every member. A new incarnation of the pump goes on from
    the members' own positions.
    """

    def __init__(
        self, name: str, kind: TopicKind, values: Mapping[str, object], realtime: Realtime
    ) -> None:
        self.name = name
        self.kind = kind
        self.values = values
        """The parameters in its name."""
        self.members: dict[str, Member] = {}
        """By id, those who hear of it, in the order of their joins."""
        self._encodings: dict[str, tuple[Wire, int]] = {}
        """How its members encode: one wire of each encoding, and how many have that."""
        self.seq = 0
        """The number of the newest publication that was queued."""
        self.presences = None if kind.presence is None else Presences(self._presence_changed)
        """Who is present; None where it does not tell."""
        self.log: Log | None = None
        """What is recorded; None where nothing is."""
        self._realtime = realtime
        self._queued: list[Publication] = []
        self._offered = 0
        """The number of the newest publication that the pump is done with."""
        self._progress = Waiters()
        self._pump: Slot | None = None
        self._lingering: dict[str, Timer] = {}
        """Those who stay present for a moment though their connection was lost."""
        self._retirement: Timer | None = None
        self._closed = False
        self.quiet_since = 0.0
        """When it had its last work without members."""
        self._reopen()

    @property
    def timers(self) -> Timers:
        """The timers of its system."""
        return self._realtime.timers

    @property
    def position(self) -> Position | None:
        """Where its newest recorded publication stands."""
        return None if self.log is None else self.log.position

    # ------------------------------------------------------------------ publishing

    async def publish(
        self, payload: object, *, exclude: Iterable[str] = (), record: bool, key: str | None
    ) -> Position | None:
        """Publish, and wait until it was offered to all members; see `Realtime.broadcast`."""
        if key is not None and (self.log is None or not record):
            raise ValueError(
                f"{self.name} does not record this, and only what is recorded is known by a key; "
                "declare history=History(), or leave out the key"
            )
        slow = self.kind.slow
        conflation = slow.key(payload) if isinstance(slow, Conflate) else None
        publication = Publication(
            payload, exclude=frozenset(exclude), key=key, conflation=conflation
        )
        for wire, _ in self._encodings.values():
            publication.encode(wire)
        if not self.members:
            publication.encode(self._realtime.default_wire)  # a mistake is told to whom makes it
        if record and self.log is not None:
            position = await self.log.append(publication)
        else:
            position = None
            self._queue(publication)
        while self._offered < publication.seq and not self._realtime.closed:
            await self._progress.wait()
        return position

    def after(self, seq: int) -> Sequence[Publication]:
        """Give what is queued behind a number, in order."""
        start = len(self._queued) - (self.seq - seq)
        return self._queued[max(0, start) :]

    def announce(self) -> None:
        """Queue what has changed of who is present."""
        if self.presences is not None:
            diff = self.presences.tell()
            if diff:
                self._queue(Announcement(diff))
                self._announced(diff)
            self.retire_if_unused()

    def _announced(self, diff: object) -> None:
        """Hear what was announced; for rooms."""

    def _queue(self, publication: Publication) -> None:
        self.seq += 1
        publication.seq = self.seq
        if not self.members:
            self._offered = self.seq  # nobody hears of it
            return
        self._queued.append(publication)
        self.wake_pump()

    # ------------------------------------------------------------------ the pump's side

    @property
    def heard(self) -> int:
        """The number of the newest publication that was offered to all."""
        return self._offered

    @property
    def waiting(self) -> bool:
        """Whether something is queued."""
        return bool(self._queued)

    def offered(self, seq: int) -> None:
        """Be done with all up to a number: nobody needs it from here any more."""
        del self._queued[: max(0, len(self._queued) - (self.seq - seq))]
        self._offered = max(self._offered, seq)
        self._progress.wake_all()

    def release_publishers(self) -> None:
        """Let those go on who wait for the pump: there is none any more."""
        self._progress.wake_all()

    def wake_pump(self) -> None:
        """Have what is queued offered; nothing happens while the pumps' branch is down."""
        pump = self._pump
        if pump is not None and not pump.gone:
            pump.mailbox.wake()
            return
        with suppress(ActorStopped):
            self._pump = self._realtime.spawn_pump(Pump(self))
            self._pump.gone.then(partial(self._pump_gone, self._pump))

    def _pump_gone(self, pump: Slot) -> None:
        if pump is self._pump:
            self._pump = None
            failed = pump.last_exit is not None and pump.last_exit.abnormal
            if failed and self._realtime.takes_pumps:
                self.fail("the topic failed again and again")

    # ------------------------------------------------------------------ members

    def attach(self, member: Member) -> None:
        """Take a member in, from here on."""
        self.members[member.id] = member
        wire, count = self._encodings.get(member.wire.encoding, (member.wire, 0))
        self._encodings[wire.encoding] = wire, count + 1
        # In a room its code says who is present; without one, all members are.
        tells = self.presences is not None and (member.meta is not None or self.kind.room is None)
        if tells:
            self.track(member, {} if member.meta is None else member.meta)
        self._cancel_retirement()

    def detach(self, member: Member, left: Left) -> None:
        """Let a member go."""
        if self.members.get(member.id) is not member:
            return
        del self.members[member.id]
        wire, count = self._encodings.pop(member.wire.encoding)
        if count > 1:
            self._encodings[wire.encoding] = wire, count - 1
        self._depart(member.id, left)
        if not self.members:
            self.offered(self.seq)
            self.quiet_since = self._realtime.clock()
            self.retire_later()

    def track(self, member: Member, meta: object) -> None:
        """Let a member be present, with this meta from now on.

        Raises:
            RuntimeError: The topic is declared without presence.
            TypeError: The meta cannot be encoded.
        """
        if self.presences is None:
            raise RuntimeError(f"{self.name} does not tell who is present; declare presence=True")
        self.check_meta(meta)
        member.meta = meta  # of one who is not in yet, nobody hears before he is
        if self.members.get(member.id) is member:
            self.presences.set(member.id, member.key, meta)

    def check_meta(self, meta: object) -> None:
        """Let a meta pass that all can be told of: a mistake is told to whom makes it."""
        if self.presences is not None:
            self._realtime.default_wire.encode(meta)

    def untrack(self, member: Member) -> None:
        """Let a member be present no more, though it stays a member."""
        member.meta = None
        if self.presences is not None and self.members.get(member.id) is member:
            self.presences.drop(member.id)

    def fail(self, why: str) -> None:
        """Let all members hear that it is of no use: it failed again and again."""
        for member in list(self.members.values()):
            left = Left("crashed", reason=why)
            member.end(left, code=1011, retry_after=self.kind.cool_down)

    def _depart(self, ref: str, left: Left) -> None:
        if self.presences is None:
            return
        options = self.kind.presence
        assert options is not None
        if left.kind == "lost" and options.grace:
            gone = partial(self._linger_no_more, ref)
            self._lingering[ref] = self.timers.call_later(options.grace, gone)
        else:
            self.presences.drop(ref)

    def _linger_no_more(self, ref: str) -> None:
        if self._lingering.pop(ref, None) is not None and self.presences is not None:
            self.presences.drop(ref)

    def compare_presence(self) -> None:
        """Look at the members anew: whoever is present is one of them, or lingers."""
        if self.presences is not None:
            self.presences.keep(self.members.keys() | self._lingering.keys())

    def _presence_changed(self) -> None:
        self._realtime.presence_changed(self)

    # ------------------------------------------------------------------ its end

    @property
    def unused(self) -> bool:
        """Whether nobody needs it: it can be put away, and made anew."""
        return not (self.members or self._lingering or self.presences)

    def retire_later(self) -> None:
        """Look, after the idle time, whether anybody needs it."""
        self._cancel_retirement()
        self._retirement = self.timers.call_later(self.kind.idle, self.retire_if_unused)

    def retire_if_unused(self) -> None:
        """Put it away, if nobody has needed it for its idle time; else look again."""
        if self._closed or self.members:
            return
        idle = self.kind.idle
        left = self.quiet_since + idle - self._realtime.clock() if self.unused else idle
        if left > 0:
            self._cancel_retirement()
            self._retirement = self.timers.call_later(left, self.retire_if_unused)
        else:
            self.close()

    def close(self) -> None:
        """Be put away: its log stays with the store."""
        self._closed = True
        self._cancel_retirement()
        if self.log is not None:
            self.log.close()
        pump, self._pump = self._pump, None
        if pump is not None and pump.life is not None:
            pump.life.stop()
        self._realtime.forget(self)

    def _reopen(self) -> None:
        self._closed = False
        self.quiet_since = self._realtime.clock()
        if self.kind.history is not None:
            self.log = self._realtime.store.open(self.name, self.kind.history, self._queue)
        self._realtime.admit(self)
        self.retire_later()

    def _cancel_retirement(self) -> None:
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
