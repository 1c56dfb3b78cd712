"""Which error that leaves a handler is an end of its connection, and which a crash."""

import json
import logging

import anyio
import anyio.lowlevel
import pytest

from herdwick import (
    Application,
    Close,
    ConcurrentReceive,
    HTTPError,
    Request,
    Send,
    WebSocket,
    WebSocketDisconnectError,
)
from herdwick.testing import TestClient
from herdwick.testing.transport import MemoryTransport
from herdwick.websocket import IllegalCloseCode, InvalidText
from tests.websocket.exchange import websocket_scope


async def close_code_after(app: Application, message: str | bytes) -> int | None:
    """Send one message, and give the code that the application then closes with."""
    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        if isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_bytes(message)
        await socket.wait_handler()
        return socket.close_code


async def test_a_wrong_message_in_a_task_group_closes_with_1003() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(websocket.receive_text)

    assert await close_code_after(app, b"binary") == 1003


async def test_a_wrong_message_in_background_work_closes_with_1003() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(websocket.receive_text)
        while not websocket.closed:
            await anyio.lowlevel.checkpoint()

    assert await close_code_after(app, b"binary") == 1003


async def test_what_own_loads_cannot_read_closes_with_1007() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_json(loads=json.loads)

    assert await close_code_after(app, "{") == 1007


async def test_a_disconnect_out_of_a_task_group_reaches_no_exception_handler() -> None:
    app = Application()
    seen: list[Exception] = []

    @app.exception_handler(Exception)
    async def note(request: Request, error: Exception) -> None:
        seen.append(error)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(websocket.receive_text)

    async with TestClient(app) as client, client.websocket_connect("/"):
        pass

    assert seen == []


async def test_a_handler_that_asked_for_it_is_cancelled_whoever_ends_its_connection() -> None:
    app = Application()
    ended: list[bool] = []

    @app.ws("/", cancel_on_disconnect=True)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.ref.tell(Close(4000, "by another actor"))
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(websocket.closed)

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.wait_handler()

    assert ended == [True]


def test_a_close_code_that_cannot_travel_is_refused_where_it_is_given() -> None:
    with pytest.raises(IllegalCloseCode, match="999"):
        Close(999)


async def test_a_text_that_cannot_travel_is_refused_where_it_is_given() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(InvalidText, match="surrogate"):
            await websocket.send_text("\ud800")
        with pytest.raises(InvalidText, match="surrogate"):
            websocket.ref.tell(Send("\ud800"))
        await websocket.send_text("still open")

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        assert await socket.receive_text() == "still open"


async def test_a_header_that_cannot_travel_leaves_the_handshake_open() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(ValueError, match="bad name"):
            await websocket.accept(headers={"bad name": "x"})
        await websocket.accept()

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.wait_handler()
        assert socket.rejection is None


async def test_two_receivers_are_told_apart_at_every_turn() -> None:
    app = Application()
    refused: list[ConcurrentReceive] = []

    async def receive(websocket: WebSocket) -> None:
        try:
            await websocket.receive_text()
        except ConcurrentReceive as error:
            refused.append(error)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(63):  # the next one lets the others run before it looks
            await websocket.receive_text()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive, websocket)
            tasks.start_soon(receive, websocket)

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        for number in range(64):
            await socket.send_text(str(number))
        await socket.wait_handler()

    assert len(refused) == 1


async def test_leaving_an_iteration_leaves_nothing_behind() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket:
            break
        async for text in websocket.iter_text():
            await websocket.send_text(text)
            break

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.send_text("first")
        await socket.send_text("second")
        assert await socket.receive_text() == "second"
        with pytest.raises(WebSocketDisconnectError):
            await socket.receive()


async def test_to_refuse_a_client_that_has_left_already_is_no_crash(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, gone = Application(), anyio.Event()

    @app.ws("/")
    async def refuse(websocket: WebSocket) -> None:
        await gone.wait()
        raise HTTPError(404)

    async with app.running():
        connection = app.connect(Request(websocket_scope("/")), MemoryTransport(1000))
        connection.disconnected(1006, "")
        gone.set()
        await connection.over.wait()

    assert connection.error is None
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
