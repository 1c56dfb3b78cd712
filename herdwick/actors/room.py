"""Rooms: what users write, and what such an actor does in one incarnation."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Never, cast

import msgspec
from typing_extensions import TypeVar

from herdwick.runtime import (
    NORMAL,
    Actor,
    ActorBody,
    Answer,
    Askable,
    Exit,
    Handler,
    Later,
    Life,
    Mark,
    NoReply,
    Question,
    Rejected,
    Signal,
    answered,
    checkpoint,
    marked,
    marks_of,
    wants_value,
)

from .left import Left
from .log import Position
from .member import Member, Params
from .presence import PresenceDiff
from .refusals import HandlerFailed, InvalidParams, JoinFailed, JoinRefused

if TYPE_CHECKING:
    from .hall import Hall
    from .topic import Identified

M = TypeVar("M", default=Never)
A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")
L = TypeVar("L", bound=Later, default=Never)

CHECKPOINT_EVERY: Final = 64

logger: Final = logging.getLogger("herdwick.rooms")


def from_member(
    message: type[Askable[Q, R]], /
) -> Callable[
    [Callable[[A, Q, Member], Awaitable[R | L]]], Callable[[A, Q, Member], Awaitable[R | L]]
]:
    """Mark the method of a room that handles what its members push; what it returns is the reply.

    It is what the wire can reach: a message with `@on` cannot be sent by a client. An error in it
    is told to the member and logged, and the room goes on: raise `Rejected` for one that the
    member is to read.

    Raises:
        TypeError: `message` is no message class, or the method is not `async def`.
    """
    mark = Mark(message, "from_member")
    return lambda method: marked(method, mark)


class Presence(Mapping[str, Mapping[str, object]]):
    """Who is present in a room: by key, the meta of each connection, by the member's id.

    The key of a member is its identity's `id`, or its own id where it has none.
    """

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def track(self, member: Member, meta: object, /) -> None:
        """Let a member be present, with this meta from now on; it ends with the membership.

        Raises:
            RuntimeError: The room is declared without presence.
            TypeError: The meta cannot be encoded.
        """
        self._hall.track(member, meta)

    def untrack(self, member: Member, /) -> None:
        """Let a member be present no more, though it stays a member."""
        self._hall.untrack(member)

    def __getitem__(self, key: str) -> Mapping[str, object]:
        return self._now[key]

    def __iter__(self) -> Any:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)

    @property
    def _now(self) -> Mapping[str, Mapping[str, object]]:
        return {} if self._hall.presences is None else self._hall.presences


class Room(Actor[M], Generic[M]):
    """An actor with rules and state of its own, on top of a topic.

    `M` is the union of the messages that it takes: those that its members push, each with a method
    marked `@from_member`, and those of timers and other actors, each with one marked `@on`.

    Members, what was published and who is present outlive its crashes. What it keeps itself is
    gone then, unless `snapshot` and `restore` keep it.
    """

    topic: str
    """The name of its topic; there from `on_start` on."""

    __member_handlers__: ClassVar[dict[type, Handler]] = {}
    _hall: Hall

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Tell apart what members may push, and what only actors and timers may send."""
        super().__init_subclass__(**kwargs)
        by = {mark.kind: mark.decorator for mark in marks_of(cls).values()}  # the most derived
        pushed = {kind for kind in by if by[kind] == "from_member"}
        handlers = cls.__handlers__
        cls.__member_handlers__ = {kind: handlers[kind] for kind in handlers if kind in pushed}
        cls.__handlers__ = {kind: handlers[kind] for kind in handlers if kind not in pushed}

    @classmethod
    async def authorize(cls, member: Member, params: Params) -> None:
        """Raise `JoinRefused` unless this one may join.

        It runs in the task of the one who joins, so it may wait for a database: nobody else
        waits. `member` is no member yet.
        """

    async def on_join(self, member: Member, params: Params) -> object:
        """Take note of somebody who joins; what is returned is the first that he hears.

        He is among `members` from the moment on in which this returns. An error refuses the join.
        """
        return None

    async def on_reattach(self, member: Member) -> None:
        """Take note, after a crash, of a member that was there before; runs before any message."""

    async def on_leave(self, member: Member, reason: Left) -> None:
        """Take note that a member is gone; `reason.kind` tells how.

        It is told of those whom this incarnation has known: who joined it, or was there before.
        """

    async def on_presence(self, diff: PresenceDiff) -> None:
        """Take note of who has come and gone; only where the room is declared with `presence`."""

    async def snapshot(self) -> object:
        """Give what the next incarnation is to begin with; None keeps nothing.

        It is asked for before the room is put away, because nobody is there, and before it stops.
        It stays in memory, for a day; what has to last longer goes to a database here. `save`
        takes one at any time, for the case of a crash.
        """
        return None

    async def restore(self, snapshot: object) -> None:
        """Begin with what the last `snapshot` has given; runs before `on_start`."""

    # ------------------------------------------------------------------ what it can do

    @property
    def members(self) -> frozenset[Member]:
        """Those who are members now."""
        return frozenset(self._hall.members.values())

    @property
    def presence(self) -> Presence:
        """Who is present."""
        return Presence(self._hall)

    @property
    def position(self) -> Position | None:
        """Where the newest recorded publication stands; None without a history."""
        return self._hall.position

    async def broadcast(
        self,
        payload: object,
        /,
        *,
        exclude: Identified | Iterable[Identified] = (),
        record: bool = True,
        key: str | None = None,
    ) -> Position | None:
        """Send to all members, and return when it was offered to each; see `app.broadcast`."""
        ids = ids_of(exclude)
        return await self._hall.publish(payload, exclude=ids, record=record, key=key)

    async def save(self) -> None:
        """Take a snapshot now: the next incarnation begins with it, should this one crash."""
        self._hall.keep(await self.snapshot())


class Errand(Question):
    """What a member wants of its room: it waits with the topic, whatever becomes of the room."""

    __slots__ = ("member",)

    def __init__(self, message: object, member: Member, answer: Answer[object]) -> None:
        super().__init__(message, answer)
        self.member = member


class Push(Errand):
    """A message of a member."""

    __slots__ = ()


class Entry(Errand):
    """Somebody wants to join; the message is his params."""

    __slots__ = ("enter",)

    def __init__(
        self,
        params: Params,
        member: Member,
        answer: Answer[object],
        enter: Callable[[object], Awaitable[None]],
    ) -> None:
        super().__init__(params, member, answer)
        self.enter = enter
        """Makes him a member, with what `on_join` has returned."""


class Departure(Errand):
    """A member is gone; the message is how."""

    __slots__ = ()


class Poke:
    """Wakes a room that is about to be put away, or is: there is something to do."""


class RoomBody:
    """One incarnation of a room: its errands in order, and the messages of its mailbox."""

    on_end = None
    starts_idle = False

    def __init__(self, life: Life, hall: Hall) -> None:
        self._life = life
        self._hall = hall
        self._room: Room[Any] | None = None
        self._actor: ActorBody | None = None
        self._known: set[Member] = set()
        """Those of whom this incarnation has heard, and whose leave it is to hear of."""

    async def live(self) -> None:
        """Begin, and handle what comes, until asked to stop."""
        life, mailbox = self._life, self._life.slot.mailbox
        try:
            await self._begin()
        except JoinRefused as refusal:  # of a room that is not to be; nothing has failed
            self._hall.turn_away(refusal)
            life.started()
            life.leave(NORMAL)
            return
        life.started()
        self._hall.retire_later()
        handled = 0
        while True:
            errand = self._next_errand()
            if errand is None and not life.goes_on:
                return
            if errand is None and mailbox.empty:
                await mailbox.wait()
                continue
            # In turns: neither the members nor the others wait for ever.
            if errand is not None:
                await self._run(errand)
            if life.goes_on and not mailbox.empty and life.slot.take():
                await self._handle_message()
            handled += 1
            if not handled % CHECKPOINT_EVERY:
                await checkpoint()

    def stop(self) -> None:
        """Go no further than what is in hand; what is queued is drained, within the grace."""
        life = self._life
        if self._hall.has_pumps:
            life.slot.mailbox.wake()
        else:
            # What is in hand may wait for a broadcast to be offered; and the pumps come back only
            # when the rooms have stopped.
            life.cancel(life.stopping or NORMAL)

    async def on_stop(self, reason: Exit) -> None:
        """Let the room clean up, and keep its snapshot."""
        room = self._room
        if room is None:
            return
        try:
            if not reason.abnormal:
                await room.save()
        finally:
            await room.on_stop(reason)

    # ------------------------------------------------------------------ its beginning

    async def _begin(self) -> None:
        hall = self._hall
        room = hall.make_room()
        room.topic, room._hall = hall.name, hall  # pyright: ignore[reportPrivateUsage]  # its own
        self._actor = ActorBody(self._life, room)
        if hall.snapshot is not None:
            await room.restore(hall.snapshot)
        await room.on_start()
        self._room = room
        welcomes_back = type(room).on_reattach is not Room.on_reattach
        for number, member in enumerate(list(hall.members.values()), 1):
            if member.left is None:
                self._known.add(member)
                if welcomes_back:
                    await room.on_reattach(member)
            if not number % CHECKPOINT_EVERY:
                await checkpoint()

    # ------------------------------------------------------------------ its errands

    def _next_errand(self) -> Errand | None:
        life = self._life
        if life.winding_up or (life.stopping is not None and not life.drains):
            return None
        return self._hall.next_errand()

    async def _run(self, errand: Errand) -> None:
        slot = self._life.slot
        errand.answer.begun = True
        slot.take_up(errand)
        match errand:
            case Push():
                await self._push(errand)
            case Entry() if errand.member.left is not None:  # gone while this waited
                errand.answer.give(None)
            case Entry():
                await self._enter(errand)
            case _:
                await self._depart(errand)
        slot.put_down()
        self._hall.done()

    async def _push(self, push: Push) -> None:
        room, message = self._room, push.message
        assert room is not None
        handler = room.__member_handlers__[type(message)]
        name = type(message).__name__
        try:
            result = await handler(room, message, push.member)
        except Rejected as error:
            push.answer.fail(error)
        except Exception as error:
            failure = HandlerFailed(self._hall.name, name)
            failure.__cause__ = error
            push.answer.fail(failure)
            self._log(f"failed on {name}", error)
        else:
            if not answered(push, result, wants_value):
                missing = NoReply(self._life.slot.path, name)
                push.answer.fail(missing)
                self._log(f"gave no answer to {name}", missing)

    async def _enter(self, entry: Entry) -> None:
        room, member, answer = self._room, entry.member, entry.answer
        assert room is not None
        try:
            value = await room.on_join(member, cast(Params, entry.message))
        except Exception as error:
            self._refuse_entry(entry, error)
            return
        self._known.add(member)
        try:
            if answer.wanted:
                await entry.enter(value)
        except Exception as error:  # what `on_join` has returned cannot be told, perhaps
            self._refuse_entry(entry, error)
        answer.give(None)
        if member.id not in self._hall.members:  # or he did not wait so long
            await self._say_goodbye(member, member.left or Left("lost"))

    def _refuse_entry(self, entry: Entry, error: Exception) -> None:
        if isinstance(error, msgspec.ValidationError):
            error = InvalidParams(str(error))
        elif not isinstance(error, JoinRefused):
            self._log("failed on a join", error)
            refusal = JoinFailed(self._hall.name)
            refusal.__cause__ = error
            error = refusal
        entry.answer.fail(error)

    async def _depart(self, departure: Errand) -> None:
        await self._say_goodbye(departure.member, cast(Left, departure.message))

    async def _say_goodbye(self, member: Member, left: Left) -> None:
        if member in self._known:
            self._known.discard(member)
            assert self._room is not None
            await self._room.on_leave(member, left)

    def _log(self, what: str, error: Exception) -> None:
        path = self._life.slot.path
        told = {"kind": "room_failed", "actor": path}
        logger.error("%s %s, and goes on", path, what, exc_info=error, extra=told)

    # ------------------------------------------------------------------ its mailbox

    async def _handle_message(self) -> None:
        slot = self._life.slot
        message, item = slot.message, slot.current
        assert self._actor is not None
        assert self._room is not None
        if isinstance(message, Poke):
            slot.put_down()
        elif isinstance(message, PresenceDiff):
            await self._room.on_presence(message)
            slot.put_down()
        elif type(message) in self._room.__member_handlers__:
            self._refuse(message, item)
        else:
            if not isinstance(item, Signal):  # its own timers keep no room that nobody is in
                self._hall.busy()
            await self._actor.handle(message, item)

    def _refuse(self, message: object, item: object) -> None:
        """Let nobody but a member push what only members may."""
        slot, name = self._life.slot, type(message).__name__
        slot.put_down()
        why = f"{slot.path} takes {name} from its members only; give it another message with @on"
        if isinstance(item, Question):
            item.answer.fail(Rejected(why))
        else:
            self._log(f"was told {name}", TypeError(why))


def ids_of(exclude: Identified | Iterable[Identified]) -> list[str]:
    """Give the ids of those who are left out of a broadcast."""
    if isinstance(exclude, Iterable):
        return [each.id for each in exclude]
    return [exclude.id]
