"""The queue of one actor: bounded, ordered, with one reader."""

from collections import deque
from typing import Generic, TypeVar

from .backend import Waiter
from .errors import ActorStopped, MailboxFull

M = TypeVar("M")


class Mailbox(Generic[M]):
    """Messages in the order of their arrival; many put, one task gets."""

    __slots__ = ("_capacity", "_closed", "_items", "_owner", "_reader", "_writers")

    def __init__(self, owner: str, capacity: int | None = 1000) -> None:
        self._owner = owner
        self._capacity = capacity
        self._items: deque[M] = deque()
        self._reader = Waiter()
        self._writers: deque[Waiter] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, message: M) -> None:
        """Append a message.

        Raises:
            ActorStopped: The mailbox is closed.
            MailboxFull: As many messages as it may hold wait already.
        """
        if self._closed:
            raise ActorStopped(self._owner)
        if self._capacity is not None and len(self._items) >= self._capacity:
            raise MailboxFull(self._owner, self._capacity)
        self._items.append(message)
        self._reader.wake()

    async def put(self, message: M) -> None:
        """Append a message, and wait for room first where there is none.

        Cancelling a waiting `put` leaves the message out.

        Raises:
            ActorStopped: The mailbox is closed.
        """
        if self._full and not self._closed:
            await self._room()
        self.put_nowait(message)

    async def get(self) -> M:
        """Wait for the oldest message and remove it.

        Cancelling a pending `get` never loses a message.

        Raises:
            ActorStopped: The mailbox is closed and empty.
        """
        while not self._items:
            if self._closed:
                raise ActorStopped(self._owner)
            await self._reader.wait()
        return self.get_nowait()

    def get_nowait(self) -> M:
        """Remove the oldest message; an `IndexError` where there is none."""
        message = self._items.popleft()
        if self._writers:
            self._writers[0].wake()
        return message

    def close(self) -> None:
        """Take no more messages; those that wait can still be read."""
        self._closed = True
        self.wake()
        for writer in self._writers:
            writer.wake()

    def reopen(self) -> None:
        """Take messages again: the next incarnation starts."""
        self._closed = False

    def clear(self) -> list[M]:
        """Remove and return all messages."""
        messages = list(self._items)
        self._items.clear()
        for writer in self._writers:
            writer.wake()
        return messages

    async def wait(self) -> None:
        """Wait until something changes: a message, the end, or a `wake`."""
        await self._reader.wait()

    def wake(self) -> None:
        """Let the reader look again: something besides the messages has changed."""
        self._reader.wake()

    @property
    def _full(self) -> bool:
        return self._capacity is not None and len(self._items) >= self._capacity

    async def _room(self) -> None:
        """Wait in the queue of the writers, and keep the place in it until there is room."""
        waiter = Waiter()
        self._writers.append(waiter)
        try:
            while self._full and not self._closed:
                await waiter.wait()
        finally:
            # A writer that was woken and then cancelled must not keep its turn to itself.
            self._writers.remove(waiter)
            if self._writers and not self._full:
                self._writers[0].wake()
