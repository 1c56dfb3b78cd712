r"""Serving by uvicorn, on asyncio: the fastest there, held to our rules of starting and stopping.

WebSockets go past its ASGI side: `entrance` takes their handshakes out before its HTTP parser, and
`websocket` those that come as a later request. Under a uvicorn that somebody else starts, both
find the application by its lifespan:

    uvicorn module:app --http herdwick.server.uvicorn:entrance \
        --ws herdwick.server.uvicorn:websocket
"""

import asyncio
import socket
import ssl as tls
from collections.abc import AsyncGenerator, Generator, MutableMapping, Sequence, Set
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, cast

import anyio
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from .gate import Gate
from .hosting import hosted
from .protocols import Entrance, Station, WebSocketProtocol
from .proxies import Proxies
from .requests import make_http
from .scope import Handshake
from .sockets import accept_failures_told, base_url, close_all, tune_all
from .visit import Served

REQUEST_GRACE: Final = 10
"""Seconds that requests in flight have to be answered at the end."""

LOOK_EVERY: Final = 0.02
"""Seconds between two looks at what is still open; uvicorn tells nobody."""


APPLICATION: Final = "herdwick"
"""Where the state of the lifespan has the application."""

STATION: Final = "herdwick.station"
"""Where it has what all connections share."""


def entrance(
    config: uvicorn.Config,
    server_state: ServerState,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> asyncio.Protocol:
    """Make the protocol of one TCP connection: what uvicorn's `http` takes."""
    station = station_of(config, server_state, app_state)
    http = partial(make_http, station, config, server_state, app_state)
    return http() if station is None else Entrance(station, http)


def websocket(
    config: uvicorn.Config,
    server_state: ServerState,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> asyncio.Protocol:
    """Make the protocol of one WebSocket: what uvicorn's `ws` takes.

    For an application that is not ours it is uvicorn's own.
    """
    station = station_of(config, server_state, app_state)
    if station is None:
        return WebSocketsSansIOProtocol(config, server_state, app_state)
    return WebSocketProtocol(station, Gate(station.limits))


def station_of(
    config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]
) -> Station | None:
    """Give what the connections of a server share; None where its application is not ours."""
    station: Station | None = app_state.get(STATION)
    app = app_state.get(APPLICATION)
    if station is None and app is not None:
        state = {name: value for name, value in app_state.items() if name != APPLICATION}
        station = app_state[STATION] = make_station(app, config, server_state, state)
    return station


def make_station(
    app: Served,
    config: uvicorn.Config,
    server_state: ServerState,
    state: MutableMapping[str, object],
    *,
    tunes: bool = True,
) -> Station:
    """Make what the connections of a server share, by how uvicorn is configured."""
    return Station(
        app,
        asyncio.get_running_loop(),
        state,
        config.root_path,
        Proxies(config.forwarded_allow_ips).adapt if config.proxy_headers else _leave_alone,
        lambda: server_state.default_headers,
        cast("set[Any]", server_state.connections),
        tunes,
    )


def _leave_alone(handshake: Handshake) -> None:
    """Heed no proxy."""


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
        self.lifespan.state[STATION] = make_station(
            self._app, self.config, self.server_state, {}, tunes=False
        )
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
        limits, present = self._app.limits, self._websockets()
        with anyio.move_on_after(REQUEST_GRACE):
            await self._app.drain()
        with anyio.move_on_after(limits.close_timeout):
            await self._gone(present)
        for websocket in present & self._websockets():
            websocket.drop()  # the peer does not read
        self.should_exit = True

    async def _gone(self, websockets: Set[WebSocketProtocol]) -> None:
        # uvicorn's own shutdown closes a socket while its peer still sends: that resets the
        # connection, and what we have sent last is lost, the close frame too.
        while not websockets.isdisjoint(self._websockets()):  # noqa: ASYNC110 - there is no event
            await anyio.sleep(LOOK_EVERY)

    def _websockets(self) -> set[WebSocketProtocol]:
        connections: set[Any] = self.server_state.connections
        return {each for each in connections if isinstance(each, WebSocketProtocol)}


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
        tune_all(sockets)
        with accept_failures_told():
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
        http=cast("type[asyncio.Protocol]", entrance),
        ws=cast("type[asyncio.Protocol]", websocket),
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_graceful_shutdown=REQUEST_GRACE,
        server_header=False,
        log_config=None,
        workers=1,
    )
    config.load()
    config.ssl = ssl
    return config
