"""What is weighed: crowds to which more can be added, in a process that does little else."""

import importlib
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from herdwick import Application, serve

from ..contestants import GET
from ..contestants.herdwick import open_crowd

Add: TypeAlias = Callable[[int], Awaitable[None]]
"""Adds so many, and waits until they are at rest."""

REST: Final = 0.5
"""Seconds after which those who were left alone are at rest."""

APP: Final = "benchmarks.wire.servers.herdwick_app"


@asynccontextmanager
async def connections(backend: str, path: str) -> AsyncGenerator[Add]:
    """Serve as `herdwick run` does: by uvicorn on asyncio, by our own server on trio."""
    app: Application = importlib.import_module(APP).app
    async with _serving(app, backend) as url, AsyncExitStack() as clients:

        async def add(count: int) -> None:
            wanted = app.connections + count
            await clients.enter_async_context(_clients(url, path, count))
            await anyio.sleep(REST)
            if app.connections != wanted:
                raise ConnectionError(f"{app.connections} connections, not {wanted}")

        yield add


def _serving(app: Application, backend: str) -> AbstractAsyncContextManager[str]:
    if backend == "trio":
        return serve(app)
    from herdwick.server.uvicorn import serve_by_uvicorn  # not imported where it is not used

    return serve_by_uvicorn(app, [socket.create_server(("127.0.0.1", 0), backlog=2048)])


@asynccontextmanager
async def _clients(url: str, path: str, count: int) -> AsyncGenerator[None]:
    """Have a process of clients connected, as long as the block runs."""
    command = [sys.executable, "-m", "benchmarks.peers", "wait", f"{urlsplit(url).port}", path]
    async with await anyio.open_process([*command, f"{count}"], stderr=None) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        lines = BufferedByteReceiveStream(process.stdout)
        assert await lines.receive_until(b"\n", 100) == b"ready"
        yield
        await process.stdin.aclose()


@asynccontextmanager
async def actors(_backend: str, *, asked: bool) -> AsyncGenerator[Add]:
    """Start actors that count, and ask each once, where that is wanted."""
    async with open_crowd() as crowd:

        async def add(count: int) -> None:
            refs = [await crowd.start(number) for number in range(count)]
            if asked:
                for ref in refs:
                    await ref.ask(GET)
            await anyio.sleep(REST)

        yield add
        await crowd.stop()


SUBJECTS: Final[dict[str, Callable[[str], AbstractAsyncContextManager[Add]]]] = {
    "connection": partial(connections, path="/echo"),
    "connection in a room": partial(connections, path="/room"),
    "actor, started": partial(actors, asked=False),
    "actor, asked once": partial(actors, asked=True),
}
"""By the name of what is counted."""
