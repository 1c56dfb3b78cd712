"""A thousand connections at once, and nothing is left of them."""

import asyncio
import gc
import os
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import anyio
import pytest
import trio

from herdwick import Application, WebSocket
from herdwick.actors import Connection
from tests.acceptance.stage import Stage
from tests.support.clients import Refused, closing
from tests.support.programs import on_ci
from tests.support.raw_client import RawPeer, raw_client
from tests.support.servers import OWN, RUN
from tests.support.waiting import settled, until

CROWD = 300 if on_ci() else 1000  # make soak does it with 100,000
SERVERS: list[Any] = [
    pytest.param(Stage(OWN, raw_client), id="own"),
    pytest.param(Stage(RUN, raw_client), id="uvicorn", marks=pytest.mark.asyncio_only),
]


@dataclass(frozen=True, slots=True)
class Open:
    """What is open in this process."""

    descriptors: int
    tasks: int


def count_open() -> Open:
    if trio.lowlevel.in_trio_run():
        tasks = trio.lowlevel.current_statistics().tasks_living
    else:
        tasks = len(asyncio.all_tasks())
    return Open(len(os.listdir("/dev/fd")), tasks)


@pytest.fixture
def _enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * CROWD
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this needs {wanted} descriptors, and `ulimit -Hn` is {hard}")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Clients that all come, wait for each other, and all go."""

    def __init__(self, stage: Stage[RawPeer], leave: Callable[[RawPeer], Awaitable[None]]) -> None:
        self.most = 0
        self.answers: list[bool] = []
        self._stage = stage
        self._leave = leave
        self._present = 0
        self._doors = anyio.CapacityLimiter(50)
        self._all_came = anyio.Event()
        self._all_there = anyio.Event()

    async def gather(self, app: Application, url: str) -> None:
        """Have all come and go."""
        async with anyio.create_task_group() as tasks:
            for number in range(CROWD):
                tasks.start_soon(self._visit, url, number)
            await self._all_came.wait()
            self.most = app.connections
            self._all_there.set()

    async def _visit(self, url: str, number: int) -> None:
        async with AsyncExitStack() as stack:
            async with self._doors:
                peer = await stack.enter_async_context(self._stage.connect(url))
                await self._echo(peer, f"{number} comes")
            self._present += 1
            if self._present == CROWD:
                self._all_came.set()
            await self._all_there.wait()
            await self._echo(peer, f"{number} goes")
            await self._leave(peer)

    async def _echo(self, peer: RawPeer, text: str) -> None:
        await peer.send(text)
        self.answers.append(await peer.receive() == text)


async def close(peer: RawPeer) -> None:
    await peer.close()
    assert (await closing(peer)).code == 1000


@pytest.mark.heavy
@pytest.mark.usefixtures("_enough_descriptors")
@pytest.mark.parametrize("leave", [close, RawPeer.drop])
@pytest.mark.parametrize("stage", SERVERS)
async def test_of_a_crowd_of_connections_nothing_is_left(
    stage: Stage[RawPeer], leave: Callable[[RawPeer], Awaitable[None]]
) -> None:
    app = Application()
    crowd = Crowd(stage, leave)
    seen: WeakSet[WebSocket] = WeakSet()

    @app.ws("/")
    async def echo(websocket: WebSocket) -> None:
        seen.add(websocket)
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    gc.collect()
    before = count_open()
    async with stage.serve(app) as url:
        await settled(count_open)
        idle = count_open()
        await crowd.gather(app, url)
        await until(lambda: app.connections == 0)
        await until(lambda: count_open() == idle)
    await until(lambda: count_open() == before)

    gc.collect()
    assert crowd.most == CROWD
    assert crowd.answers == [True] * 2 * CROWD
    assert len(seen) == 0


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("leave", [close, RawPeer.drop])
@pytest.mark.parametrize("stage", SERVERS)
async def test_an_ended_connection_does_not_wait_for_the_collector(
    stage: Stage[RawPeer], leave: Callable[[RawPeer], Awaitable[None]]
) -> None:
    app = Application()
    seen: WeakSet[object] = WeakSet()

    @app.ws("/")
    async def echo(websocket: WebSocket) -> None:
        seen.update((websocket, websocket.connection, websocket.request))
        await websocket.accept()
        async with websocket.join("fell"):
            async for message in websocket.iter_text():
                await websocket.send_text(message)

    async with stage.serve(app) as url:
        for _ in range(3):
            async with stage.connect(url) as peer:
                await peer.send("baa")
                assert await peer.receive() == "baa"
                await leave(peer)

        await until(lambda: not seen)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("stage", SERVERS)
async def test_a_refused_connection_does_not_wait_for_the_collector(
    stage: Stage[RawPeer],
) -> None:
    app = Application()

    @app.ws("/closed")
    async def closed(websocket: WebSocket) -> None:
        await websocket.reject(403)

    async with stage.serve(app) as url:
        for path in ("/nowhere", "/closed") * 2:
            with pytest.raises(Refused):
                async with stage.connect(f"{url}{path}"):
                    pass

        await until(lambda: not any(isinstance(each, Connection) for each in gc.get_objects()))
