"""A topic, as its member sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar, overload

import msgspec

from .events import Event, Message, Metas
from .link import Link
from .membership import Membership, Phase

T = TypeVar("T")


class Room:
    """The membership of a client in one topic; iterate it to be told what happens there.

    It outlives connections: after a loss the client joins again from `position`. What could not
    be made up for is told by a `Gap`, never passed over.

    A room holds at most `Options.buffer` events that nobody has taken. As soon as it has been
    iterated once, the client reads its socket no further while the room holds half of that, and
    more comes for it: so the server slows down, and all rooms of this client wait. Leave a room
    that you iterate no more. While somebody waits for an answer, to a push or a join, reading
    goes on, for the answer may come behind the rest; and for rooms that nobody iterates it goes
    on anyway, so pushes are answered. What then finds no place becomes one `Gap("slow")`.

    One task at a time may iterate it, any number may push.
    """

    def __init__(self, membership: Membership, link: Link) -> None:
        self._membership = membership
        self._link = link

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self._membership.topic

    @property
    def joined(self) -> bool:
        """Whether the client is a member at this moment, as far as it knows."""
        return self._membership.phase is Phase.MEMBER

    @property
    def payload(self) -> Any:
        """What the room said with the last join, decoded from JSON."""
        return self._membership.payload

    @property
    def position(self) -> str | None:
        """The position of the newest that has come, taken or not; None where nothing is recorded.

        To resume in another process, keep `Message.position` of what you have dealt with.
        """
        return self._membership.position

    @property
    def recovered(self) -> bool:
        """Whether the last join went on from the position asked for, without a gap."""
        return self._membership.recovered

    @property
    def presence(self) -> Metas:
        """Who is present: it follows each change, and stands still without a connection."""
        return self._membership.roster.view

    @overload
    async def push(self, payload: object, *, timeout: float | None = 5.0) -> Any: ...
    @overload
    async def push(self, payload: object, *, type: type[T], timeout: float | None = 5.0) -> T: ...
    async def push(
        self, payload: object, *, type: Any = Any, timeout: float | None = 5.0
    ) -> object:
        """Send the room a message, and wait for its answer.

        Without a connection it waits for one. Pushes go out in the order of the calls. Cancelling
        one that has not gone out recalls it; one that has gone out may be handled.

        Args:
            payload: Anything that msgspec can encode.
            type: What to decode the answer to.
            timeout: Seconds for all of it; None for no end.

        Raises:
            Refused: The room, or the server, says no.
            NotHandled: It never left the client: `SendTimeout`, or `NotSent` where the membership
                is over.
            Unanswered: It may have been handled: `ConnectionLost` or `AnswerTimeout`.
            msgspec.ValidationError: The answer does not fit the type.
        """
        encoded = msgspec.Raw(msgspec.json.encode(payload))
        answer = await self._link.push(self._membership, encoded, timeout)
        return msgspec.json.decode(answer, type=type)

    def __aiter__(self) -> AsyncIterator[Event]:
        self._membership.inbox.begin()
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event; cancelling loses none.

        The iteration ends when the block of the room or of the client is left, after what came.

        Raises:
            MembershipEnded: The server has put this member out.
            Refused: The server did not let it in again.
            GaveUp: The client is over.
        """
        event = await self._membership.inbox.get()
        self._link.taken()
        return event

    @overload
    def messages(self, type: type[T]) -> Messages[T]: ...
    @overload
    def messages(self, type: Any = Any) -> Messages[Any]: ...
    def messages(self, type: Any = Any) -> Messages[Any]:
        """Iterate the payloads alone, decoded to this type; ends as the iteration of the room.

        It passes over gaps, presence and rejoins: iterate the room where they matter.
        """
        self._membership.inbox.begin()
        return Messages(self, type)


class Messages(Generic[T]):
    """The payloads of a room, without its other events."""

    def __init__(self, room: Room, type: Any) -> None:
        self._room = room
        self._type = type

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """Wait for the next payload; cancelling loses none.

        Raises:
            msgspec.MsgspecError: It does not fit the type; the next call gives the one after it.
            Exception: As the iteration of the room.
        """
        while True:
            event = await anext(self._room)
            if isinstance(event, Message):
                payload: T = event.decode(self._type)
                return payload
