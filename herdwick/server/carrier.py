"""What carries one WebSocket, whatever its bytes travel over: the drivers' common half."""

from typing import Final

from herdwick.actors import Data, RawHeaders, Shared
from herdwick.runtime import Clock, Waiters
from herdwick.websocket import Limits

from .connection import Phase, WebSocketConnection, framed
from .frames import INTERNAL_ERROR
from .handshake import build_acceptance, build_rejection
from .scope import Head
from .ticker import Watches

WRITE_BYTES: Final = 64 * 1024
"""Bytes that wait in a driver's own hands before the rest stays in the outbox."""

QUIET_TURNS: Final = 2
LONGEST_WAIT: Final = 0.002
"""Seconds that a message may wait for others that it can be written with: 8 broadcasts in a row
reach each of a crowd of 1,000 in 1 or 2 writes."""


class Pace:
    """When to write the outboxes of one loop, all at once: as soon as nothing more comes for them.

    That is two turns of the loop after the last message: one turn would come before the rest of
    the same burst was handled, and write a frame each. Where there is no end of messages, the first
    waits `LONGEST_WAIT`, or twice as long as the last writing has taken: the more there is to
    write, the more is written at once.
    """

    __slots__ = ("_quiet", "_took", "_until")

    def __init__(self) -> None:
        self._quiet = 0
        self._until = 0.0
        self._took = 0.0

    def begin(self, now: float) -> None:
        """Take note of the first message."""
        self._quiet = 0
        self._until = now + max(LONGEST_WAIT, 2 * self._took)

    def more(self) -> None:
        """Take note of another one."""
        self._quiet = 0

    def is_time(self, now: float) -> bool:
        """Tell, once a turn, whether to write now."""
        self._quiet += 1
        return self._quiet >= QUIET_TURNS or now >= self._until

    def wrote(self, seconds: float) -> None:
        """Take note of how long the writing has taken."""
        self._took = seconds


class Nobody:
    """The receiver of a connection that has no actor."""

    def deliver(self, data: Data) -> None:
        """Take a message, and do nothing."""

    def disconnected(self, code: int, reason: str) -> None:
        """Take the end, and do nothing."""


class Carrier:
    """A `Transport` over a sans-I/O connection. That one holds the truth; a driver moves its bytes.

    A subclass says how: `flush_soon` has the outbox written in a moment, `hold` and `go_on` stop
    and start reading, `finish` ends the stream once nothing is left to do on it.
    """

    __slots__ = ("_clock", "_head", "_senders", "_ticker", "connection")

    def __init__(self, head: Head, limits: Limits, ticker: Watches, clock: Clock) -> None:
        self.connection = WebSocketConnection(limits)
        self.connection.receiver = Nobody()
        self._head = head
        self._ticker = ticker
        self._clock = clock
        self._senders = Waiters()

    # ------------------------------------------------------------------ the subclass's

    def flush_soon(self) -> None:
        """Write what the outbox holds, in a moment: with all that comes until then."""
        raise NotImplementedError

    def hold(self) -> None:
        """Take no more bytes from the peer."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Take bytes again, and have the connection parse those that wait."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the stream: the connection is over, or has said all that it had to."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the actor's side

    @property
    def longest_pause(self) -> float:
        """No limit: no pong is demanded of a peer whose bytes we do not take."""
        return float("inf")

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake with 101.

        Raises:
            InvalidHeader: A header or the subprotocol would break the response.
        """
        response = build_acceptance(self._head, subprotocol, headers)
        self.connection.accept(response, self._clock())
        self.changed()

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer the handshake with an HTTP response, and close the TCP connection.

        Raises:
            InvalidHeader: A header would break the response.
        """
        self.connection.reject(build_rejection(status, headers, body), self._clock())
        self.changed()

    def offer(self, data: Data) -> bool:
        """Append a message to the outbox, and tell whether it is over its bound."""
        over = self.connection.offer(data)
        self.flush_soon()
        return over

    def share(self, message: Shared) -> bool:
        """Append a message that others get too, framed once for all of them."""
        connection = self.connection
        if connection.phase is not Phase.OPEN:
            return False
        over = connection.outbox.put(message.frame or framed(message))
        self.flush_soon()
        return over

    async def drained(self) -> None:
        """Wait until the outbox is under its bound, or nothing more will be sent."""
        while self.connection.outbox.over and self.connection.phase is Phase.OPEN:
            await self._senders.wait()

    def close(self, code: int, reason: str = "") -> None:
        """Close after what the outbox holds; before `accept`, answer 403, or 500 for 1011.

        Raises:
            IllegalCloseCode: The code must not be sent.
        """
        if self.connection.phase is Phase.CONNECTING:
            self.reject(500 if code == INTERNAL_ERROR else 403, (), b"")
            return
        self.connection.close(code, reason, self._clock())
        self.changed()

    def abort(self) -> None:
        """Drop the connection."""
        self.connection.abort()
        self.changed()

    def pause_reading(self) -> None:
        """Take no more bytes, but for those that are on their way already."""
        self.connection.pause()
        self.hold()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self.connection.resume(self._clock())
        self.changed()

    # ------------------------------------------------------------------ the driver's side

    def tick(self, now: float) -> None:
        """Do what is due at `now`."""
        self.connection.tick(now)
        self.changed()

    def taken(self) -> None:
        """Let those go on who wait for the outbox, where it has room again."""
        if self._senders and not self.connection.outbox.over:
            self._senders.wake_all()

    def changed(self) -> None:
        """Do what follows from what the connection was told."""
        connection = self.connection
        if connection.outbox:
            self.flush_soon()
        if not connection.held:
            self.go_on()
        if connection.phase is not Phase.OPEN:
            self._senders.wake_all()
        if connection.finished:
            self.finish()
        self._ticker.watch(self, connection.deadline)
