"""A WebSocket's transport in memory, the peer of which is a test."""

from collections import deque
from dataclasses import dataclass

from herdwick.actors import Bounds, Data, RawHeaders, Shared, size_of
from herdwick.runtime import Once, Waiters


@dataclass(frozen=True, slots=True)
class Accepted:
    """The handshake was answered with 101."""

    subprotocol: str | None
    headers: RawHeaders


@dataclass(frozen=True, slots=True)
class Refused:
    """The handshake was answered with an HTTP response."""

    status: int
    headers: RawHeaders
    body: bytes


class MemoryTransport:
    """What a connection sends, until the test reads it; bounded like a real outbox."""

    longest_pause = float("inf")

    def __init__(self, most_bytes: int) -> None:
        self.answered = Once()
        """The handshake was answered."""
        self.answer: Accepted | Refused | None = None
        self.ending: tuple[int, str] | None = None
        """The code and reason that the connection was closed with, from its own side."""
        self._messages: deque[Data] = deque()
        self._bytes = 0
        self._most_bytes = most_bytes
        self._paused = False
        self._changed = Waiters()

    def limit(self, bounds: Bounds) -> None:
        """Be bounded as a route says; the size of messages is the test's own affair."""
        self._most_bytes = bounds.outbox_bytes

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake with 101."""
        self._answer(Accepted(subprotocol, headers))

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer the handshake with an HTTP response."""
        self._answer(Refused(status, headers, body))

    def offer(self, data: Data) -> bool:
        """Append a message, and tell whether more wait than may."""
        if self.ending is None:
            self._messages.append(data)
            self._bytes += size_of(data)
            self._changed.wake_all()
        return self._bytes > self._most_bytes

    def share(self, message: Shared) -> bool:
        """Append a message that others get too."""
        return self.offer(message.data)

    async def drained(self) -> None:
        """Wait until the test has read enough."""
        while self._bytes > self._most_bytes and self.ending is None:
            await self._changed.wait()

    def close(self, code: int, reason: str = "") -> None:
        """End the connection, after what waits to be read."""
        if self.ending is None:
            self.ending = (code, reason)
            self._changed.wake_all()

    def abort(self) -> None:
        """Drop the connection."""
        self.close(1006)

    def pause_reading(self) -> None:
        """Let the test wait before it sends more."""
        self._paused = True

    def resume_reading(self) -> None:
        """Let the test send again."""
        self._paused = False
        self._changed.wake_all()

    async def take(self) -> Data | None:
        """Wait for the next message of the connection; None once it is closed."""
        while not self._messages:
            if self.ending is not None:
                return None
            await self._changed.wait()
        data = self._messages.popleft()
        self._bytes -= size_of(data)
        self._changed.wake_all()
        return data

    async def readable(self) -> None:
        """Wait until the connection reads, or is closed."""
        while self._paused and self.ending is None:
            await self._changed.wait()

    def _answer(self, answer: Accepted | Refused) -> None:
        self.answer = answer
        self.answered.happen()
