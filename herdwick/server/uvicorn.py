"""Serving by uvicorn, on asyncio: the fastest there, held to our rules of starting and stopping."""

import logging
import socket
import ssl as tls
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .hosting import hosted
from .sockets import base_url, close_all
from .visit import Served

logger: Final = logging.getLogger("herdwick.server")

REQUEST_GRACE: Final = 10
"""Seconds that requests in flight have to be answered at the end."""

LOOK_EVERY: Final = 0.02
"""Seconds between two looks at what is still open; uvicorn tells nobody."""


class Server(uvicorn.Server):
    """Uvicorn's server, without its handling of signals, and with an end of ours."""

    def __init__(
        self, app: Served, sockets: Sequence[socket.socket], config: uvicorn.Config
    ) -> None:
        super().__init__(config)
        self._sockets = sockets
        self.ready = anyio.Event()
        self._app = app

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: the process's signals are not the server's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell so."""
        await super().startup(sockets)
        self.ready.set()

    async def host(self) -> None:
        """Serve until `stop`.

        Shielded: cancelling uvicorn's `serve` leaks its port, its connections and its tasks.
        """
        with anyio.CancelScope(shield=True):
            await self.serve(list(self._sockets))

    async def stop(self) -> None:
        """Close the WebSockets with 1012, and let uvicorn end.

        Meanwhile it goes on listening: handshakes are answered with 503.
        """
        limits = self._app.limits
        with anyio.move_on_after(REQUEST_GRACE):
            await self._app.drain()
        with anyio.move_on_after(limits.close_timeout):
            await self._websockets_closed()
        for websocket in self._websockets():
            websocket.transport.abort()  # the peer does not read
        self.should_exit = True

    async def _websockets_closed(self) -> None:
        # uvicorn's own shutdown closes a socket while its peer still sends: that resets the
        # connection, and what we have sent last is lost, the close frame too.
        while self._websockets():  # noqa: ASYNC110 - uvicorn has no event for it
            await anyio.sleep(LOOK_EVERY)

    def _websockets(self) -> list[WebSocketsSansIOProtocol]:
        connections = self.server_state.connections
        return [each for each in connections if isinstance(each, WebSocketsSansIOProtocol)]


@asynccontextmanager
async def serve_by_uvicorn(
    app: Served, sockets: Sequence[socket.socket], *, ssl: tls.SSLContext | None = None
) -> AsyncGenerator[str]:
    """Serve on listening sockets in the background of the block, and give the base URL.

    Leaving the block, cancelled or not, stops gracefully within about 20 s, and closes the
    sockets.

    Raises:
        Exception: What the application raised when it started, or when it gave up.
    """
    try:
        url = base_url(sockets[0], secure=ssl is not None)
        async with app.running(), hosted(Server(app, sockets, _config(app, ssl))):
            yield url
    finally:
        close_all(sockets)


def _config(app: Served, ssl: tls.SSLContext | None) -> uvicorn.Config:
    """Configure uvicorn.

    The lifespan is off because the block runs the application itself: so a failed start and a
    root that gives up are plain exceptions, where uvicorn has `sys.exit(3)` and a log line.
    """
    limits = app.limits
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        ws=WebSocketsSansIOProtocol,
        ws_max_size=limits.message_bytes,
        ws_ping_interval=limits.ping_interval,
        ws_ping_timeout=limits.ping_timeout,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_graceful_shutdown=REQUEST_GRACE,
        server_header=False,
        log_config=None,
        workers=1,
    )
    config.load()
    config.ssl = ssl
    return config
