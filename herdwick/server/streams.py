"""The driver of one WebSocket over a byte stream: one task reads, one writes."""

import ssl
from typing import Final

import anyio
from anyio.abc import ByteStream

from herdwick.actors import Data, RawHeaders, Receiver, Shared
from herdwick.runtime import Clock, Once, Waiter, Waiters
from herdwick.websocket import Limits

from .connection import Phase, WebSocketConnection
from .frames import INTERNAL_ERROR
from .handshake import build_acceptance, build_rejection
from .scope import Head
from .ticker import Ticker

LOST: Final = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    ssl.SSLError,
    OSError,
)
"""What a stream raises where its peer is gone."""

RECEIVE_BYTES: Final = 64 * 1024
"""The most that is taken from a stream at once."""


class StreamTransport:
    """A `Transport` over a stream. The connection holds the truth; this moves its bytes.

    `run` is the life of the connection; the other methods may be called before and after it.
    """

    def __init__(
        self, stream: ByteStream, head: Head, limits: Limits, ticker: Ticker, clock: Clock
    ) -> None:
        self._stream = stream
        self._head = head
        self._ticker = ticker
        self._clock = clock
        self._connection = WebSocketConnection(limits)
        self._scope = anyio.CancelScope()
        self._writer = Waiter()
        self._reader = Waiter()
        self._senders = Waiters()
        self._peer_left = Once()

    # The actor's side.

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
        self._connection.accept(response, self._clock())
        self._changed()

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer the handshake with an HTTP response, and close the TCP connection.

        Raises:
            InvalidHeader: A header would break the response.
        """
        self._connection.reject(build_rejection(status, headers, body), self._clock())
        self._changed()

    def offer(self, data: Data) -> bool:
        """Append a message to the outbox, and tell whether it is over its bound."""
        over = self._connection.offer(data)
        self._writer.wake()
        return over

    def share(self, message: Shared) -> bool:
        """Append a message that others get too, framed once for all of them."""
        over = self._connection.share(message)
        self._writer.wake()
        return over

    async def drained(self) -> None:
        """Wait until the outbox is under its bound, or nothing more will be sent."""
        while self._connection.outbox.over and self._connection.phase is Phase.OPEN:
            await self._senders.wait()

    def close(self, code: int, reason: str = "") -> None:
        """Close after what the outbox holds; before `accept`, answer 403, or 500 for 1011.

        Raises:
            IllegalCloseCode: The code must not be sent.
        """
        if self._connection.phase is Phase.CONNECTING:
            self.reject(500 if code == INTERNAL_ERROR else 403, (), b"")
            return
        self._connection.close(code, reason, self._clock())
        self._changed()

    def abort(self) -> None:
        """Drop the connection."""
        self._connection.abort()
        self._changed()

    def pause_reading(self) -> None:
        """Take no more bytes than the at most 64 KiB that are on their way already."""
        self._connection.pause()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self._connection.resume(self._clock())
        self._changed()

    # The driver's side.

    async def run(self, receiver: Receiver, early: bytes) -> bool:
        """Carry the connection until its end, and tell whether the stream can be closed.

        If not, we gave the peer up, and the stream is to be dropped.

        `early` came together with the handshake. RFC 6455 section 4.1 forbids a client to send
        it before it has our 101, but clients do: it is parsed after `accept`.
        """
        in_order = False
        self._connection.receiver = receiver
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._read, early)
                    await self._write()
                    await self._linger()
                    in_order = self._connection.phase is Phase.ENDING
                    tasks.cancel_scope.cancel()
        finally:
            self._connection.lost()
            self._changed()
            self._ticker.forget(self)
        return in_order or bool(self._peer_left)

    def tick(self, now: float) -> None:
        """Do what is due at `now`."""
        self._connection.tick(now)
        self._changed()

    def _changed(self) -> None:
        """Wake whoever may go on after the connection was told something."""
        connection = self._connection
        self._writer.wake()
        if not connection.held:
            self._reader.wake()
        if connection.phase is not Phase.OPEN:
            self._senders.wake_all()
        if connection.phase is Phase.OVER:
            self._scope.cancel()
        self._ticker.watch(self, connection.deadline)

    async def _read(self, early: bytes) -> None:
        if early:
            self._connection.receive(early, self._clock())
        try:
            while self._connection.phase is not Phase.OVER:
                await self._read_once()
            return
        except anyio.EndOfStream:
            self._connection.ended()
        except LOST:
            self._connection.lost()
        self._peer_left.happen()
        self._changed()

    async def _read_once(self) -> None:
        data = b""
        if self._connection.held:
            await self._reader.wait()
        else:
            data = await self._stream.receive(RECEIVE_BYTES)
        self._connection.receive(data, self._clock())
        self._changed()

    async def _write(self) -> None:
        outbox = self._connection.outbox
        try:
            while not self._connection.finished:
                if not outbox:
                    await self._writer.wait()
                    continue
                await self._stream.send(outbox.take())
                outbox.written()
                if not outbox.over:
                    self._senders.wake_all()
        except LOST:
            self._connection.lost()

    async def _linger(self) -> None:
        """Give the peer time to read our last words, until it closes or the close timeout."""
        if not self._connection.lingering or self._connection.phase is Phase.OVER:
            return
        try:
            await self._stream.send_eof()
        except (*LOST, NotImplementedError):
            return  # TLS has no half to close; its own closing handshake takes that part
        await self._peer_left.wait()
