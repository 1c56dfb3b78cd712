"""Servers on a free port of this machine: ours, and the foreign ones that we run under."""

import contextlib
import logging
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import hypercorn
import hypercorn.asyncio
import hypercorn.trio
import trio
import uvicorn

from herdwick import Application, serve
from herdwick.server.sockets import bind
from herdwick.server.uvicorn import serve_by_uvicorn
from herdwick.websocket import ASGIApp, ASGIReceive, ASGISend, Scope


class Serve(Protocol):
    """Serve an application in the background of a block, and give its base URL."""

    def __call__(self, app: Application, /) -> AbstractAsyncContextManager[str]: ...


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and what it cannot do."""

    name: str
    serve: Serve
    tells_codes: bool = True
    """Whether it tells the application the code that a client closed with."""
    tells_losses: bool = True
    """Whether it tells a lost connection from a close frame without a code."""


class _Uvicorn(uvicorn.Server):
    """Uvicorn, that says when it has started, stops at once, and leaves the signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = anyio.Event()
        self.may_stop = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.may_stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def uvicorn_server(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve under uvicorn; asyncio only."""
    with _listening() as listening:
        config = uvicorn.Config(app, lifespan="on", log_config=None, timeout_graceful_shutdown=5)
        server = _Uvicorn(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_uvicorn, server, listening)
            try:
                await server.is_up.wait()
                yield _url(listening)
            finally:
                server.may_stop.set()


async def _run_uvicorn(server: uvicorn.Server, listening: socket.socket) -> None:
    # Shielded: uvicorn leaks its port and its tasks where it is cancelled.
    with anyio.CancelScope(shield=True):
        await server.serve(sockets=[listening])


@asynccontextmanager
async def run_server(app: Application) -> AsyncGenerator[str]:
    """Serve as `herdwick run` does on asyncio: by uvicorn, with an end of ours."""
    async with serve_by_uvicorn(app, await bind("127.0.0.1", 0)) as url:
        yield url


@asynccontextmanager
async def hypercorn_server(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve under hypercorn, on either backend."""
    started, stop = anyio.Event(), anyio.Event()

    async def watched(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        async def watched_send(event: Any) -> None:
            await send(event)
            if event["type"] == "lifespan.startup.complete":
                started.set()

        await app(scope, receive, watched_send)

    with _listening() as listening:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_hypercorn, watched, os.dup(listening.fileno()), stop)
            try:
                await started.wait()
                yield _url(listening)
            finally:
                stop.set()


async def _run_hypercorn(app: ASGIApp, listening: int, stop: anyio.Event) -> None:
    config = hypercorn.Config()
    config.bind = [f"fd://{listening}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = 5
    on_trio = trio.lowlevel.in_trio_run()
    module: Any = hypercorn.trio if on_trio else hypercorn.asyncio
    with anyio.CancelScope(shield=True):
        await module.serve(app, config, shutdown_trigger=stop.wait, mode="asgi")


@contextlib.contextmanager
def _listening() -> Generator[socket.socket]:
    """Listen before the server does: a client that comes too early waits in the backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        yield listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"http://{host}:{port}"


OWN = Server("own", serve)
RUN = Server("run", run_server, tells_losses=False)
UVICORN = Server("uvicorn", uvicorn_server, tells_losses=False)
HYPERCORN = Server("hypercorn", hypercorn_server, tells_codes=False)
