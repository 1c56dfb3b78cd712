"""What is said over one connection: who reads, who writes, which answer is whose."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import anyio
import anyio.abc
import msgspec

from herdwick.protocol import (
    ClientFrame,
    Joined,
    Leave,
    Left,
    Ping,
    Reply,
    ServerFrame,
    decode_server,
    encode,
)
from herdwick.protocol import Error as ErrorFrame
from herdwick.protocol import Refused as RefusedFrame
from herdwick.runtime import Once, Waiter

from .comeback import LOST, NORMAL, PROTOCOL_ERROR
from .errors import ConnectionLost
from .membership import Membership, Phase, TopicFrame
from .options import Options
from .question import Question, refusal
from .wire import GONE, Closed, Malformed, Wire


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What one connection after the other works with."""

    memberships: dict[str, Membership]
    """By topic, where the client is, or wants to be, a member."""
    refs: Iterator[int]
    options: Options
    random: Callable[[], float]
    """Gives a number from 0 to 1."""
    proved: Callable[[], None]
    """Called when the server has answered something."""


class Conversation:
    """One connection: joins what there is to join, and ends with the connection."""

    def __init__(self, wire: Wire, surroundings: Surroundings) -> None:
        self.over = Once()
        self._wire = wire
        self._around = surroundings
        self._tasks: anyio.abc.TaskGroup = anyio.create_task_group()
        self._first: deque[ClientFrame] = deque()
        """What goes out before any push."""
        self._joins: dict[int, Membership] = {}
        self._asked: dict[int, Question] = {}
        self._reader = Waiter()
        self._writer = Waiter()
        self._written = Once()
        self._closing = False
        self._ended = False

    # The orders; none of them waits.

    def join(self, membership: Membership) -> None:
        """Ask to become a member, now or when the server wants to be asked again."""
        if membership.retry_at > anyio.current_time():
            self._tasks.start_soon(self._join_later, membership)
        else:
            self._join(membership)

    def leave(self, membership: Membership) -> None:
        """Be a member no more, nor about to be; the answer is not awaited."""
        asked = [ref for ref, each in self._joins.items() if each is membership]
        for ref in asked:
            del self._joins[ref]
        if asked or membership.phase is Phase.MEMBER:
            self._say(Leave(next(self._around.refs), membership.topic))
        self.nudge()

    def ask(self, question: Question) -> None:
        """Send what is no push."""
        question.sent = True
        self._asked[question.ref] = question
        self._say(question.frame)
        self.nudge()

    def forget(self, question: Question) -> None:
        """Let an answer that may still come go nowhere."""
        self._asked.pop(question.ref, None)

    def nudge(self) -> None:
        """Look again: there may be more to write, and more room for what is read."""
        self._writer.wake()
        self._reader.wake()

    def taken(self) -> None:
        """Read on, if that waited for somebody to take an event."""
        self._reader.wake()

    def close(self) -> None:
        """Close with 1000, after what goes out first; `over` tells the end."""
        self._closing = True
        self.nudge()

    # The life of the connection.

    async def run(self) -> Closed | Malformed:
        """Converse until the end of the connection, and tell how it ended."""
        ending: Closed | Malformed = Closed(LOST)
        try:
            async with self._tasks:
                for membership in self._around.memberships.values():
                    self.join(membership)
                self._tasks.start_soon(self._write)
                ending = await self._read()
                self._lose()
                self._ended = True
                self._writer.wake()
                # Not cancelled at once: the answer to a close frame would be lost half-way.
                with anyio.move_on_after(1):
                    await self._written.wait()
                self._tasks.cancel_scope.cancel()
            return ending
        finally:
            try:
                await self._wire.aclose()
            finally:
                self._lose()
                self.over.happen()

    def _lose(self) -> None:
        for membership in self._around.memberships.values():
            membership.lost()
        asked, self._asked = self._asked, {}
        for question in asked.values():
            question.fail(ConnectionLost(question.topic))

    # Reading.

    async def _read(self) -> Closed | Malformed:
        try:
            while True:
                for message in await self._listen():
                    frame = decode_server(message)
                    if frame is not None:
                        await self._take(frame)
        except Closed as ending:
            return ending
        except (Malformed, msgspec.MsgspecError) as error:
            self._wire.close(PROTOCOL_ERROR)
            return error if isinstance(error, Malformed) else Malformed(f"it is no frame: {error}")

    async def _listen(self) -> list[bytes]:
        """Wait for the next bytes; a server that stays silent is asked for a sign of life."""
        options = self._around.options
        with anyio.move_on_after(options.quiet):
            return await self._receive()
        self._say(Ping(next(self._around.refs)))
        with anyio.move_on_after(options.sign_of_life):
            return await self._receive()
        raise Closed(LOST, "the server gave no sign of life")

    async def _receive(self) -> list[bytes]:
        messages = await self._wire.receive()
        self._writer.wake()  # a ping may want its pong
        return messages

    async def _take(self, frame: ServerFrame) -> None:
        match frame:
            case Reply() | RefusedFrame():
                self._answered(frame)
            case Joined():
                self._around.proved()
                membership = self._joins.pop(frame.ref, None)
                if membership is not None:
                    membership.joined(frame)
                    self._writer.wake()
            case Left():
                membership = self._around.memberships.get(frame.topic)
                if membership is not None and membership.phase is Phase.MEMBER:
                    membership.left(frame, anyio.current_time(), self._around.random())
                    self._outside(membership)
            case ErrorFrame():
                raise Malformed(f"it takes a message of ours for no frame: {frame.message}")
            case _:
                await self._deliver(frame)

    async def _deliver(self, frame: TopicFrame) -> None:
        membership = self._around.memberships.get(frame.topic)
        if membership is None:
            return
        # Who asks must get the answer, which may come behind this: then the reader goes on.
        while membership.inbox.pressing and not self._awaited() and not self._closing:
            await self._reader.wait()
        membership.receive(frame)

    def _awaited(self) -> bool:
        """Tell whether somebody waits for an answer, or to be able to ask."""
        unsent = any(each.unsent for each in self._around.memberships.values())
        return bool(self._asked or self._joins or unsent)

    def _answered(self, frame: Reply | RefusedFrame) -> None:
        question = self._asked.pop(frame.ref, None)
        if isinstance(frame, Reply):
            self._around.proved()
            if question is not None:
                question.answer(frame.payload)
        elif question is not None:
            question.fail(refusal(frame, question.topic))
        elif (membership := self._joins.pop(frame.ref, None)) is not None:
            membership.refused(frame, anyio.current_time(), self._around.random())
            self._outside(membership)

    def _outside(self, membership: Membership) -> None:
        """Join again what the server wants back, and forget what it does not."""
        if membership.phase is Phase.OUTSIDE:
            self.join(membership)
        elif self._around.memberships.get(membership.topic) is membership:
            del self._around.memberships[membership.topic]

    # Writing.

    async def _write(self) -> None:
        # A loss is told by the reader: before it there may be a close frame, which says more.
        with suppress(*GONE):
            while not self._ended:
                frame = self._next()
                if frame is not None:
                    self._wire.write(encode(frame))
                elif self._closing:
                    self._wire.close(NORMAL)
                if not await self._wire.flush():
                    await self._writer.wait()
            await self._wire.flush()
        self._written.happen()

    def _next(self) -> ClientFrame | None:
        if not self._wire.open:
            return None  # what was not sent can be sent again
        if self._first:
            return self._first.popleft()
        for membership in self._around.memberships.values():
            if membership.phase is Phase.MEMBER and membership.unsent:
                question = membership.unsent.popleft()
                question.sent = True
                self._asked[question.ref] = question
                return question.frame
        return None

    def _say(self, frame: ClientFrame) -> None:
        self._first.append(frame)
        self._writer.wake()

    def _join(self, membership: Membership) -> None:
        ref = next(self._around.refs)
        self._joins[ref] = membership
        self._say(membership.join(ref))
        self._reader.wake()

    async def _join_later(self, membership: Membership) -> None:
        await anyio.sleep_until(membership.retry_at)
        if membership.phase is Phase.OUTSIDE:
            self._join(membership)
