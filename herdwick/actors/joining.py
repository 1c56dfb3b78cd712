"""From a connection to a membership: who may join, the seam, and what a member can do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, cast

import anyio
import msgspec
from typing_extensions import TypeVar

from herdwick.runtime import Answer, Askable, AskError

from .hall import Hall
from .left import Left
from .log import Position, Recovery
from .member import Member, Params, Principal
from .refusals import (
    AlreadyJoined,
    InvalidParams,
    JoinFailed,
    JoinRefused,
    NotAMember,
    RoomUnavailable,
    TooManyTopics,
)
from .room import Entry, Push, ids_of
from .topic import Identified, Topic

if TYPE_CHECKING:
    from .connection import Connection
    from .realtime import Realtime
    from .wire import Wire

M_contra = TypeVar("M_contra", contravariant=True)
Q = TypeVar("Q")
R = TypeVar("R")

Authorize: TypeAlias = Callable[[Member, Params], Awaitable[None]]
"""Raises `JoinRefused` unless somebody may join; runs in the task of the one who joins."""

PATIENCE: Final = 10.0
"""Seconds that a join may take, from the submission on, `authorize` not counted."""

logger: Final = logging.getLogger("herdwick.rooms")


async def everyone(member: Member, params: Params) -> None:
    """Let everybody join: `app.topic("prices", authorize=everyone)`."""


class Membership(Generic[M_contra]):
    """A room, or a topic, as one of its members sees it."""

    __slots__ = ("_topic", "member")

    def __init__(self, topic: Topic, member: Member) -> None:
        self.member = member
        """The membership as the room sees it."""
        self._topic = topic

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self._topic.name

    @property
    def left(self) -> Left | None:
        """How it has ended; None while it lasts."""
        return self.member.left

    @property
    def position(self) -> Position | None:
        """Where the newest publication stands that was sent to it; None without a history."""
        return self.member.position

    @property
    def presence(self) -> Mapping[str, Mapping[str, object]]:
        """Who is present: by key, the meta of each connection, by its id."""
        return {} if self._topic.presences is None else self._topic.presences

    def leave(self) -> None:
        """End the membership before its block does: nothing of the topic comes any more."""
        self.member.leave(Left("left"))

    def track(self, meta: object, /) -> None:
        """Be present, with this meta from now on; it ends with the membership.

        Raises:
            RuntimeError: The topic is declared without presence.
            TypeError: The meta cannot be encoded.
        """
        self._topic.track(self.member, meta)

    async def broadcast(
        self,
        payload: object,
        /,
        *,
        exclude: Identified | Iterable[Identified] = (),
        record: bool = True,
        key: str | None = None,
    ) -> Position | None:
        """Send to all members, and return when it was offered to each; see `app.broadcast`.

        Raises:
            NotAMember: The membership has ended.
        """
        self._check()
        ids = ids_of(exclude)
        return await self._topic.publish(payload, exclude=ids, record=record, key=key)

    async def push(self: Membership[Q], message: Askable[Q, R], /, *, timeout: float = 5.0) -> R:
        """Send the room a message, and wait until it was handled: for the reply, or None.

        Pushes of one connection to one room keep their order. Where too many wait already, this
        waits for room first, within the timeout. One that is queued outlives a crash of the room;
        the one in hand fails. Cancelling forgets it; it may still be handled.

        Raises:
            NotHandled: Nobody handled it: pushing again is safe.
            Unanswered: It may have been handled: the room failed, or took too long.
            Rejected: The room answered with an error.
            JoinRefused: The room has failed too often (`RoomUnavailable`).
            NotAMember: The membership has ended.
            TypeError: The room takes no such message from its members.
        """
        self._check()
        hall = hall_of(self._topic, type(message))
        if hall.full:
            started = hall.timers.now
            with anyio.move_on_after(timeout):
                await hall.space()
            timeout = max(0.0, timeout - (hall.timers.now - started))
            self._check()
        answer: Answer[R] = Answer()
        hall.submit(Push(message, self.member, cast("Answer[object]", answer)))
        return await answer.wait_for(self.topic, timeout, hall.timers)

    def _check(self) -> None:
        if self.member.left is not None:
            raise NotAMember(self.topic, self.member.left)


def hall_of(topic: Topic, message: type) -> Hall:
    """Give a topic as the hall of the room that takes this message from its members.

    Raises:
        TypeError: It has no room, or its room takes no such message.
    """
    if not isinstance(topic, Hall):
        raise TypeError(
            f"{topic.name} has no room that could take {message.__name__}; broadcast it"
        )
    room = topic.kind.room
    assert room is not None
    if message not in room.__member_handlers__:
        raise TypeError(
            f"{room.__qualname__} takes no {message.__name__} from its members; give it a method "
            f"marked @from_member({message.__name__})"
        )
    return topic


class Joining:
    """One join under way: from the door to the membership."""

    def __init__(
        self,
        realtime: Realtime,
        connection: Connection,
        wire: Wire,
        *,
        topic: str,
        identity: Principal | None,
        key: str | None,
        most: int,
    ) -> None:
        """Take the first look.

        Raises:
            AlreadyJoined: The connection is a member, or about to be.
            TooManyTopics: It is a member of as many as it may be.
        """
        if topic in connection.memberships:
            raise AlreadyJoined(topic)
        if len(connection.memberships) >= most:
            raise TooManyTopics(most)
        self._realtime = realtime
        self._topic = realtime.topic(topic)
        self.member = Member(self._topic, connection, wire, identity, key)
        connection.memberships[topic] = self.member
        self._connection = connection

    async def join(
        self, params: Params, since: Position | None, timeout: float = PATIENCE
    ) -> Membership[Any]:
        """Become a member; cancelling leaves nothing behind.

        Raises:
            JoinRefused: It is refused.
            NotAMember: The connection, or the membership, ended meanwhile.
        """
        member = self.member
        try:
            await self._authorize(params)
            self._topic = topic = self._realtime.topic(member.topic)  # it may have been put away
            member.move(topic)
            if isinstance(topic, Hall):
                await self._ask(topic, params, since, timeout)
            else:
                await self._attach(since, None)
        except BaseException:
            member.leave(Left("lost"))
            raise
        if member.left is not None:
            raise NotAMember(topic.name, member.left)
        return Membership(topic, member)

    async def _authorize(self, params: Params) -> None:
        kind, member = self._topic.kind, self.member
        try:
            if kind.authorize is not None:
                await kind.authorize(member, params)
            if kind.room is not None:
                await kind.room.authorize(member, params)
            self._topic.check_meta(member.meta)
        except JoinRefused:
            raise
        except msgspec.ValidationError as error:
            raise InvalidParams(str(error)) from None
        except Exception as error:
            path, topic = self._connection.path, self._topic.name
            told = {"kind": "authorize_failed", "actor": path, "topic": topic}
            logger.exception("%s cannot be authorized", member, extra=told)
            raise JoinFailed(member.topic) from error

    async def _ask(
        self, hall: Hall, params: Params, since: Position | None, timeout: float
    ) -> None:
        answer: Answer[object] = Answer()
        hall.submit(Entry(params, self.member, answer, partial(self._attach, since)))
        try:
            await answer.wait_for(hall.name, timeout, hall.timers)
        except AskError as error:  # too late, or in hand when the room crashed
            raise RoomUnavailable(hall.name, 1.0) from error

    async def _attach(self, since: Position | None, value: object) -> None:
        """Become a member, in one turn: what comes before it is replayed, what comes after follows.

        A store that is far away may have taken up something meanwhile: then it is asked again.
        """
        topic = self._topic
        recovery = await self._recover(since)
        while recovery is not None and recovery.position != topic.position:
            recovery = await self._recover(since)
        if self.member.left is None:
            self.member.greet(value, recovery, since=since)

    async def _recover(self, since: Position | None) -> Recovery | None:
        topic = self._topic
        if topic.log is None:
            return None
        assert topic.kind.history is not None
        recovery = None if since is None else await topic.log.since(since)
        if recovery is not None and recovery.gap is None:
            return recovery
        # Nothing of it was seen before: what follows a gap is as new as it is to a newcomer.
        newest = await topic.log.newest(topic.kind.history.replay)
        return newest if recovery is None else replace(newest, gap=recovery.gap)
