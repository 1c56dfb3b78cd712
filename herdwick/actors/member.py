"""One membership: a connection on a topic, and how far it has heard."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio
import msgspec

from herdwick.runtime import ActorStopped, Timer

from .left import Left
from .log import Announcement, GapReason, Position, Publication, Recovery
from .slow import CatchUp, Conflate, Disconnect
from .wire import Greeting, Wire

if TYPE_CHECKING:
    from .connection import Connection
    from .topic import Topic

T = TypeVar("T")

TOO_SLOW: Final = 1013

logger: Final = logging.getLogger("herdwick.rooms")


class Params(dict[str, Any]):
    """What is said of somebody who joins: the query of his handshake, or what is given instead."""

    def decode(self, into: type[T], /) -> T:
        """Convert them to a struct, a dataclass or a TypedDict; texts to numbers where asked for.

        Raises:
            msgspec.ValidationError: They do not fit; the text has the path to the culprit. Out of
                `on_join` or `authorize` it refuses the join.
        """
        return msgspec.convert(dict(self), into, strict=False)


class Principal(Protocol):
    """Who a client is, as authentication has found out."""

    @property
    def id(self) -> str:
        """What it is known by."""
        ...

    @property
    def claims(self) -> Mapping[str, Any]:
        """What is known about it."""
        ...


class Member:
    """A member of a topic, as its room sees it: nothing here waits.

    It is the same object from the join to the leave, whatever crashes in between.
    """

    __slots__ = (
        "__weakref__",
        "_behind",
        "_connection",
        "_flush",
        "_left",
        "_lost_some",
        "_pending",
        "_share",
        "_straight",
        "_topic",
        "_variant",
        "_wire",
        "identity",
        "joined",
        "key",
        "meta",
        "position",
        "seq",
    )

    def __init__(
        self,
        topic: Topic,
        connection: Connection,
        wire: Wire,
        identity: Principal | None,
        key: str | None,
    ) -> None:
        self.identity: Principal | None = identity
        """Who the client is; None without authentication."""
        self.key = key or connection.name
        """What it is present as: the identity's `id`, else its connection's own."""
        self.meta: object = None
        """What others are told of it, where the topic tells who is present; `authorize` may set it.
        None: nothing, and in a room it is not present then."""
        self.joined = False
        """Whether the membership has begun."""
        self.seq = 0
        """The number of the newest of the topic's publications that was offered to it."""
        self.position: Position | None = None
        """Where the newest recorded one of them stands."""
        self._topic = topic
        self._connection = connection
        self._wire = wire
        self._variant = wire.variant
        self._share = connection.share
        self._straight = not isinstance(topic.kind.slow, Conflate)
        """Whether what it hears goes out as it comes."""
        self._left: Left | None = None
        self._behind = False
        """Whether it reads on from the log, by itself."""
        self._pending: dict[Hashable, Publication] | None = None
        """The newest of each key, where it is conflated and something waits."""
        self._lost_some = False
        """Whether one that waited was replaced."""
        self._flush: Timer | None = None

    @property
    def id(self) -> str:
        """Its own among all members: the name of its connection."""
        return self._connection.name

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self._topic.name

    @property
    def values(self) -> Mapping[str, object]:
        """The parameters in the topic's name: `{"game_id": "42"}`."""
        return self._topic.values

    @property
    def left(self) -> Left | None:
        """How the membership has ended; None while it lasts, and before it has begun."""
        return self._left

    @property
    def wire(self) -> Wire:
        """How it hears."""
        return self._wire

    def __repr__(self) -> str:
        return f"<Member {self.id} of {self.topic}>"

    def send(self, payload: object, /) -> bool:
        """Send it something that nobody else gets; False where it is gone, or too far behind.

        It is on its way at once. It is not recorded.

        Raises:
            TypeError: The payload cannot be encoded.
            RuntimeError: It is no member yet: what `on_join` returns is the first that it hears.
        """
        if self._left is not None or self._lags:
            return False
        if not self.joined:
            raise RuntimeError(f"{self} is not in yet; let `on_join` return what it is to hear")
        wire = self._wire
        frame = wire.publication(self.topic, wire.encode(payload), None)
        if frame is not None and self._connection.offer(frame):
            self._lag()
        return self._left is None

    def remove(self, reason: object = None, /) -> None:
        """Put it out: nothing of the topic reaches it any more, and `on_leave` follows.

        A client of a protocol is told, and its connection goes on; another one is closed with
        1001, and may come back.
        """
        self.end(Left("removed", reason=reason), code=1001)

    # ------------------------------------------------------------------ the topic's side

    def move(self, topic: Topic) -> None:
        """Belong to this topic, which has the same name: before it is a member."""
        self._topic = topic

    def greet(self, value: object, recovery: Recovery | None, *, since: Position | None) -> None:
        """Begin: the greeting first, then what was missed; from here on it hears everything.

        Raises:
            Exception: What the wire's encoder raises; then it is no member.
        """
        topic, position = self._topic, self.position
        missed = () if recovery is None else recovery.publications
        gap = None if since is None else "history" if recovery is None else recovery.gap
        if recovery is not None:
            newest = recovery.position
            position = Position(newest.epoch, newest.offset - len(missed))
        presence = None if topic.presences is None else topic.presences.told
        recovered = since is not None and gap is None
        frame = self._wire.greeting(topic.name, Greeting(value, position, recovered, gap, presence))
        topic.attach(self)
        self.joined = True
        self.seq, self.position = topic.seq, position
        full = frame is not None and self._connection.offer(frame)
        for publication in missed:
            if full or self._left is not None:
                break
            full = self._offer(publication)
        if full and self._left is None:
            if topic.log is not None:
                self._fall_behind()
            elif isinstance(topic.kind.slow, Conflate):
                self._lag()

    def hear(self, publications: Sequence[Publication]) -> None:
        """Offer it what is new, unless it is gone."""
        for publication in publications:
            if self._left is not None:
                return
            self.seq = publication.seq
            # As mostly: the rest of this takes 1.3 µs a delivery, and this 0.5.
            if self._straight and not self._behind and publication.for_all:
                frame = publication.frames.get(self._variant)
                if frame is not None and publication.position is None:
                    if self._share(frame):
                        self._lag()
                    continue
            try:
                self._take(publication)
            except Exception:  # of an encoder: it must not stop what all the others hear
                told = {"kind": "publication_failed", "actor": self._connection.path}
                text = "%s cannot be told of a publication; closed with 1011"
                logger.exception(text, self, extra=told)
                self._connection.end(1011)

    def end(self, left: Left, *, code: int, retry_after: float | None = None) -> None:
        """End the membership from the server's side, and tell the client."""
        if self._left is None:
            frame = self._wire.left(self.topic, left, retry_after)
            self.leave(left)
            if frame is not None:
                self._connection.offer(frame)
            else:
                self._connection.end(code, "" if left.reason is None else str(left.reason))

    def leave(self, left: Left) -> None:
        """End the membership, now: nothing of the topic reaches it any more."""
        if self._left is None:
            self._left = left
            self._pending = None
            if self._flush is not None:
                self._flush.cancel()
            self._connection.memberships.pop(self.topic, None)
            self._topic.detach(self, left)

    # ------------------------------------------------------------------ one publication

    def _take(self, publication: Publication) -> None:
        slow = self._topic.kind.slow
        if isinstance(publication, Announcement):
            self._offer(publication)  # small, and nowhere else to be had: whoever is behind too
        elif self._behind or self._has(publication):
            return
        elif isinstance(slow, Conflate) and (slow.interval or self._pending is not None):
            self._hold(publication, slow)
        elif self._offer(publication):
            self._lag()

    def _has(self, publication: Publication) -> bool:
        """Whether the log has given it this one already."""
        here, there = self.position, publication.position
        return there is not None and here is not None and there.offset <= here.offset

    def _offer(self, publication: Publication) -> bool:
        """Send it on its way, and tell whether the outbox is over its bound now."""
        position = publication.position
        if position is not None:
            self.position = position
        if publication.exclude and self.id in publication.exclude:
            moved = None if position is None else self._wire.moved(self.topic, position)
            return moved is not None and self._connection.offer(moved)
        frame = publication.frame(self._topic.name, self._wire)
        return frame is not None and self._connection.share(frame)

    @property
    def _lags(self) -> bool:
        """Whether more waits for it already than may, and the rest waits here or in the log."""
        return self._behind or (self._pending is not None and self._flush is None)

    def _lag(self) -> None:
        match self._topic.kind.slow:
            case Disconnect():
                self._connection.end(TOO_SLOW, "too slow")
            case CatchUp():
                self._fall_behind()
            case Conflate() as slow:
                if not self._lags:
                    if self._flush is not None:
                        self._flush.cancel()  # what waits for the interval waits for room now
                        self._flush = None
                    self._pending = {} if self._pending is None else self._pending
                    self._start(self._flush_when_drained, slow.patience)

    # ------------------------------------------------------------------ behind: from the log

    def _fall_behind(self) -> None:
        slow = self._topic.kind.slow
        self._behind = True
        self._start(self._catch_up, slow.patience if isinstance(slow, CatchUp) else 30.0)

    async def _catch_up(self, patience: float) -> None:
        """Read on from the log, as fast as the client reads, up to its end."""
        topic = self._topic
        while self._behind and self._left is None:
            if not await self._drained(patience):
                return
            assert topic.log is not None
            assert self.position is not None
            recovery = await topic.log.since(self.position)
            if self.left is not None or (recovery.gap and not self._tell_gap("slow", recovery)):
                return
            full = False
            for publication in recovery.publications:
                full = self._offer(publication)
                if full or self.left is not None:
                    break
            if not full and self.position == topic.log.position:
                # Of what is still queued it has heard out of the log; the rest passes it by, or
                # it would come after what was published later.
                self.hear(topic.after(self.seq))
                self._behind = False

    def _tell_gap(self, reason: GapReason, recovery: Recovery) -> bool:
        """Say that some are missing, and go on behind them; False where there is no word for it."""
        newest = recovery.position
        start = Position(newest.epoch, newest.offset - len(recovery.publications))
        if recovery.gap is not None:
            self.position = start
        frame = self._wire.gap(self.topic, reason, start) if self._wire.tells_gaps else None
        if frame is None:
            self._connection.end(TOO_SLOW, "too slow")
            return False
        self._connection.offer(frame)
        return True

    # ------------------------------------------------------------------ conflated

    def _hold(self, publication: Publication, slow: Conflate[Any]) -> None:
        if self._pending is None:
            self._pending = {}
            timers = self._topic.timers
            self._flush = timers.call_later(slow.interval, self._flush_now)
        if self._pending.pop(publication.conflation, None) is not None:
            self._lost_some = True
        self._pending[publication.conflation] = publication

    def _flush_now(self) -> None:
        """Offer what waits; where that is too much already, the rest waits for the client."""
        pending, self._pending, self._flush = self._pending, None, None
        if pending is None or self._left is not None:
            return
        waiting = sorted(pending.values(), key=lambda each: each.seq)
        full = self._tell_conflated(waiting[0]) if waiting else False
        for number, publication in enumerate(waiting):
            if full or self._left is not None:
                self._pending = {each.conflation: each for each in waiting[number:]}
                break
            full = self._offer(publication)
        if full and self._left is None:
            slow = self._topic.kind.slow
            self._pending = {} if self._pending is None else self._pending
            assert isinstance(slow, Conflate)
            self._start(self._flush_when_drained, slow.patience)

    def _tell_conflated(self, first: Publication) -> bool:
        lost, self._lost_some = self._lost_some, False
        frame = self._wire.gap(self.topic, "conflated", self.position) if lost else None
        return frame is not None and self._connection.offer(frame)

    async def _flush_when_drained(self, patience: float) -> None:
        if await self._drained(patience):
            self._flush_now()

    # ------------------------------------------------------------------ the connection

    async def _drained(self, patience: float) -> bool:
        """Wait until the client has read enough; where it does not, it is closed with 1013."""
        with anyio.move_on_after(patience) as scope:
            await self._connection.drained()
        if scope.cancelled_caught and self._left is None:
            self._connection.end(TOO_SLOW, "too slow")
        return self._left is None

    def _start(self, function: Any, patience: float) -> None:
        try:
            self._connection.start_soon(function, patience)
        except ActorStopped:  # its handler has ended: nobody sends to it any more
            self.leave(Left("lost"))
