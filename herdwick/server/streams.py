"""The driver of one WebSocket over a byte stream: one task reads, one writes."""

import ssl
from typing import Final

import anyio
from anyio.abc import ByteStream

from herdwick.actors import Receiver
from herdwick.runtime import Once, Waiter

from .carrier import Carrier, Site
from .connection import ENDING, OVER
from .head import Head

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


class StreamTransport(Carrier):
    """A WebSocket over a stream; `run` is its life.

    Reading stops by itself while the connection is held; the at most 64 KiB that are on their way
    then are kept.
    """

    def __init__(self, stream: ByteStream, site: Site, head: Head) -> None:
        super().__init__(site, head)
        self._stream = stream
        self._scope = anyio.CancelScope()
        self._writer = Waiter()
        self._reader = Waiter()
        self._peer_left = Once()

    def flush_soon(self) -> None:
        """Let the writing task go on."""
        self._writer.wake()

    def hold(self) -> None:
        """Read no further than what is on its way."""

    def go_on(self) -> None:
        """Let the reading task go on."""
        self._reader.wake()

    def finish(self) -> None:
        """Let the writing task see that all was said; drop what is left of a lost connection."""
        self._writer.wake()
        if self.connection.phase is OVER:
            self._scope.cancel()

    # The driver's side.

    def drop(self) -> None:
        """Make room for others."""
        self.abort()

    async def run(self, receiver: Receiver, early: bytes) -> bool:
        """Carry the connection until its end, and tell whether the stream can be closed.

        If not, we gave the peer up, and the stream is to be dropped.

        `early` came together with the handshake. RFC 6455 section 4.1 forbids a client to send
        it before it has our 101, but clients do: it is parsed after `accept`.
        """
        in_order = False
        self.connection.receiver = receiver
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._read, early)
                    await self._write()
                    await self._linger()
                    in_order = self.connection.phase is ENDING
                    tasks.cancel_scope.cancel()
        finally:
            self.connection.lost()
            self.changed()
            self._site.ticker.forget(self)
        return in_order or bool(self._peer_left)

    async def _read(self, early: bytes) -> None:
        if early:
            self.connection.receive(early, self._site.clock())
        try:
            while self.connection.phase is not OVER:
                await self._read_once()
            return
        except anyio.EndOfStream:
            self.connection.ended()
        except LOST:
            self.connection.lost()
        self._peer_left.happen()
        self.changed()

    async def _read_once(self) -> None:
        data = b""
        if self.connection.held:
            await self._reader.wait()
        else:
            data = await self._stream.receive(RECEIVE_BYTES)
        self.connection.receive(data, self._site.clock())
        self.changed()

    async def _write(self) -> None:
        outbox = self.connection.outbox
        try:
            while not self.connection.finished:
                if not outbox:
                    await self._writer.wait()
                    continue
                await self._stream.send(outbox.take())
                outbox.written()
                self.taken()
        except LOST:
            self.connection.lost()

    async def _linger(self) -> None:
        """Give the peer time to read our last words, until it closes or the close timeout."""
        if not self.connection.lingering or self.connection.phase is OVER:
            return
        try:
            await self._stream.send_eof()
        except (*LOST, NotImplementedError):
            return  # TLS has no half to close; its own closing handshake takes that part
        with self._site.lobby.waiting(self):
            await self._peer_left.wait()
