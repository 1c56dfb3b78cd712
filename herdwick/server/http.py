"""Plain HTTP/1.1 over one stream, framed by h11: heads in, refusals out, requests to the app."""

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext

import anyio
import h11
from anyio.abc import ByteStream

from herdwick.websocket import ASGIApp, Limits

from .exchange import Exchange
from .gate import END, read_head
from .handshake import Refusal, log_slow_head
from .head import Head
from .proxies import Proxies
from .scope import InvalidTarget, Peers, http_scope
from .streams import LOST, RECEIVE_BYTES


class HTTPConnection:
    """One TCP connection that speaks HTTP, request by request, until it ends or is upgraded."""

    def __init__(
        self,
        stream: ByteStream,
        peers: Peers,
        limits: Limits,
        early: bytes = b"",
        awaiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.awaiting = awaiting
        """Stands around each wait for the rest of a request."""
        self._stream = stream
        self._peers = peers
        self._limits = limits
        self.h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        if early:
            self.h11.receive_data(early)
        self.stopping = False
        # Whether the peer may still be sending what we do not read.
        self.lingering = False
        # Whether an answer broke off: the connection is reset then, so that the peer sees it.
        self.cut = False
        self._waiting = anyio.CancelScope()

    def stop(self) -> None:
        """Take no further request: an idle connection ends now, a busy one after its answer."""
        self.stopping = True
        self._waiting.cancel()

    async def next_head(self) -> Head | None:
        """Wait for the head of the next request.

        None where there is none: the peer left, or it was too slow, or its bytes were refused.
        """
        with self.awaiting(), anyio.move_on_after(self._limits.head_timeout) as self._waiting:
            if self.stopping:
                return None
            head: Head | Refusal
            try:
                come = await self._next_request()
            except h11.RemoteProtocolError as error:
                head = Refusal(error.error_status_hint, f"not an HTTP request: {error}")
            else:
                if come is None:
                    return None
                head = read_head(come[: come.find(END) + 2], self._limits)
            if isinstance(head, Head):
                return head
            await self.refuse(head)
            return None
        if not self.stopping and self.h11.trailing_data[0]:
            log_slow_head(self._peers.client)
        return None

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, after which the connection ends."""
        self.lingering = True
        refusal.log(self._peers.client)
        await self.write(refusal.response())

    async def answer(
        self, app: ASGIApp, head: Head, state: MutableMapping[str, object], proxies: Proxies
    ) -> bool:
        """Let the application answer a request, and tell whether another one may follow."""
        try:
            scope = http_scope(head, self._peers, state=state)
        except InvalidTarget as error:
            await self.refuse(Refusal(400, str(error)))
            return False
        proxies.adapt_scope(scope, head)
        return await Exchange(self, head).run(app, scope)

    async def feed(self) -> int:
        """Give h11 more bytes, and tell how many; 0 where the peer is gone."""
        try:
            data = await self._stream.receive(RECEIVE_BYTES)
        except LOST:
            data = b""
        self.h11.receive_data(data)
        return len(data)

    async def write(self, data: bytes) -> bool:
        """Write, each 64 KiB within the send timeout; False where the peer is gone or too slow."""
        for at in range(0, len(data), RECEIVE_BYTES):
            with anyio.move_on_after(self._limits.send_timeout) as waiting:
                try:
                    await self._stream.send(data[at : at + RECEIVE_BYTES])
                except LOST:
                    return False
            if waiting.cancelled_caught:
                return False
        return True

    def unread(self) -> bytes:
        """Give the bytes that came after the head, for whoever takes the connection over."""
        return self.h11.trailing_data[0]

    async def _next_request(self) -> bytes | None:
        """Wait until h11 has a head, and give the bytes that it begins, for it is lenient."""
        while True:
            come = self.h11.trailing_data[0]
            event = self.h11.next_event()
            if isinstance(event, h11.Request):
                return come
            if event is not h11.NEED_DATA or not await self.feed():
                return None
