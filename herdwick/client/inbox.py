"""The events of one room that nobody has taken yet."""

from collections import deque
from typing import Final

import anyio.lowlevel

from herdwick.runtime import Waiter

from .events import Event, Gap

_SLOW: Final = Gap("slow")


class Inbox:
    """A bounded queue for one reader; what finds no place becomes one `Gap("slow")`.

    Half of it is for the burst that a reader lags behind with; the other half for what must be
    taken in although the reader lags, because somebody waits for an answer that comes behind it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._waiter = Waiter()
        self._error: BaseException | None = None
        self._ended = False
        self._read = False

    @property
    def pressing(self) -> bool:
        """Whether somebody reads it, and lags behind by half of what it can hold."""
        return self._read and not self._ended and len(self._events) * 2 >= self._capacity

    def put(self, event: Event) -> None:
        """Append an event."""
        if len(self._events) < self._capacity:
            self._events.append(event)
        elif self._events[-1] is not _SLOW:
            self._events.append(_SLOW)
        self._waiter.wake()

    def end(self, error: BaseException | None) -> None:
        """Let the reader come to an end, by an error or without, once it has taken the rest."""
        self._ended = True
        self._error = error
        self._waiter.wake()

    def begin(self) -> None:
        """Promise that somebody reads it."""
        self._read = True

    async def get(self) -> Event:
        """Wait for the oldest event and remove it; cancelling loses none.

        Raises:
            StopAsyncIteration: It has ended without an error, and is empty.
            BaseException: The error that it has ended by.
        """
        self.begin()
        await anyio.lowlevel.checkpoint()
        while not self._events:
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._ended:
                raise StopAsyncIteration
            await self._waiter.wait()
        return self._events.popleft()
