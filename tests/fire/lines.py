"""A transport whose peer reads as the test says: at once, later, or never."""

from __future__ import annotations

from collections import deque

from herdwick.actors import Bounds, Data, RawHeaders, Shared, size_of
from herdwick.runtime import Once, Waiters


class Line:
    """What carries one connection; what the client has read stands in `received`."""

    longest_pause = float("inf")

    def __init__(self, most: int, *, prompt: bool = True) -> None:
        self.received: list[Data] = []
        self.answered = Once()
        self.status: int | None = None
        """That of the answer which refused the handshake."""
        self.ending: tuple[int, str] | None = None
        self.prompt = prompt
        self.lagged = not prompt
        """Whether it has ever not read at once."""
        self.waiting: deque[Data] = deque()
        self.bytes = 0
        self.most_bytes = 0
        """The most that ever waited."""
        self.offered = 0
        """How many messages the server has sent on their way."""
        self._most = most
        self._room = Waiters()

    # ------------------------------------------------------------------ the server's side

    def limit(self, bounds: Bounds) -> None:
        self._most = bounds.outbox_bytes

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        self.answered.happen()

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        self.status, self.ending = status, (1006, "refused")
        self.answered.happen()

    def offer(self, data: Data) -> bool:
        if self.ending is not None:
            return False
        self.offered += 1
        if self.prompt:
            self.received.append(data)
            return False
        self.waiting.append(data)
        self.bytes += size_of(data)
        self.most_bytes = max(self.most_bytes, self.bytes)
        return self.bytes > self._most

    def share(self, message: Shared) -> bool:
        return self.offer(message.data)

    async def drained(self) -> None:
        while self.bytes > self._most and self.ending is None:
            await self._room.wait()

    def close(self, code: int, reason: str = "") -> None:
        if self.ending is None:
            self.ending = (code, reason)
            self._room.wake_all()

    def abort(self) -> None:
        self.close(1006)

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    # ------------------------------------------------------------------ the client's side

    def stall(self) -> None:
        """Read nothing from now on."""
        self.prompt, self.lagged = False, True

    def sip(self, count: int) -> None:
        """Read a few messages."""
        for _ in range(min(count, len(self.waiting))):
            data = self.waiting.popleft()
            self.bytes -= size_of(data)
            self.received.append(data)
        self._room.wake_all()

    def resume(self) -> None:
        """Read all that waits, and at once from now on."""
        self.sip(len(self.waiting))
        self.prompt = True
