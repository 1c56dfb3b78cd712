"""Shutdown: every client sees 1012, newcomers 503, and handlers come to their end."""

from functools import partial
from logging import ERROR
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from herdwick import Application, Limits, WebSocket
from herdwick.server import listen
from tests.acceptance.stage import Stage
from tests.support.clients import Closed, Peer, Refused, closing, websockets_client
from tests.support.raw_client import RawPeer, raw_client
from tests.support.servers import OWN, RUN, UVICORN
from tests.support.waiting import turns

STOPPING_WITH_1012: list[Any] = [
    pytest.param(Stage(OWN, raw_client), id="own"),
    pytest.param(Stage(RUN, raw_client), id="run", marks=pytest.mark.asyncio_only),
    pytest.param(Stage(UVICORN, websockets_client), id="uvicorn", marks=pytest.mark.asyncio_only),
]


async def test_stopping_the_connections_closes_them_with_1012(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()
    ended: list[str] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.send_text("hello")
            await websocket.receive_text()
        finally:
            ended.append(websocket.id)

    async with stage.serve(app) as url, stage.connect(url) as anna, stage.connect(url) as ben:
        await anna.receive()
        await ben.receive()
        await app.drain()
        codes = [(await closing(anna)).code, (await closing(ben)).code]

    assert codes == [1012, 1012]
    assert len(ended) == 2
    assert [record for record in caplog.records if record.levelno >= ERROR] == []


async def test_a_draining_application_refuses_handshakes_with_503(stage: Stage[Peer]) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    async with stage.serve(app) as url:
        await app.drain()
        with pytest.raises(Refused) as refused:
            async with stage.connect(url):
                pass

    assert refused.value.status == 503
    assert "retry-after" in refused.value.headers
    assert not app.ready


async def test_our_listener_answers_newcomers_with_503_until_all_have_left() -> None:
    app = Application()
    own = Stage(OWN, raw_client)
    may_end = anyio.Event()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await may_end.wait()

    async with (
        listen(app) as listener,
        own.connect(listener.url) as anna,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.stop)
        assert (await closing(anna)).code == 1012
        with pytest.raises(Refused, match="503"):
            async with own.connect(listener.url):
                pass
        may_end.set()


async def test_what_a_client_said_before_the_stop_can_still_be_read(stage: Stage[Peer]) -> None:
    app = Application()
    received: list[str] = []
    stopped = anyio.Event()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text("go")
        await stopped.wait()
        received.extend([message async for message in websocket.iter_text()])

    async with stage.serve(app) as url, stage.connect(url) as peer:
        for message in ["first", "second", "third"]:
            await peer.send(message)
        assert await peer.receive() == "go"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.drain)
            assert (await closing(peer)).code == 1012
            stopped.set()

    assert received == ["second", "third"]


@pytest.mark.parametrize("stage", STOPPING_WITH_1012)
async def test_a_server_that_stops_closes_its_connections_with_1012(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()
    ended = anyio.Event()
    closed: list[Closed] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()
        ended.set()

    async def visit(url: str, *, task_status: TaskStatus[None]) -> None:
        async with stage.connect(url) as peer:
            task_status.started()
            closed.append(await closing(peer))

    async with anyio.create_task_group() as visitors:
        async with stage.serve(app) as url:
            await visitors.start(visit, url)
            await visitors.start(visit, url)
        assert ended.is_set()

    assert [one.code for one in closed] == [1012, 1012]
    assert [record for record in caplog.records if record.levelno >= ERROR] == []


@pytest.mark.parametrize("stage", STOPPING_WITH_1012[:2])
async def test_clients_that_neither_read_nor_leave_keep_no_server_from_stopping(
    stage: Stage[RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application(limits=Limits(send_timeout=1000, close_timeout=0.05))
    ended: list[str] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(bytes(100_000))
        finally:
            ended.append(websocket.id)

    async def visit(url: str, *, say_goodbye: bool, task_status: TaskStatus[None]) -> None:
        async with stage.connect(url) as peer:
            if say_goodbye:
                await peer.close()
            task_status.started()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as visitors:
        async with stage.serve(app) as url:
            await visitors.start(partial(visit, url, say_goodbye=False))
            await visitors.start(partial(visit, url, say_goodbye=True))
            await turns(1000)
        visitors.cancel_scope.cancel()

    assert len(ended) == 2
    assert [record for record in caplog.records if record.levelno >= ERROR] == []
