"""The in-memory client, which users test their applications with."""

import anyio
import pytest

from herdwick import Application, FromJSON, Response, WebSocket, WebSocketDisconnectError, json
from herdwick.testing import HandlerStillRuns, TestClient

app = Application()


@app.ws("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        if isinstance(message, str):
            await websocket.send_text(message)
        else:
            await websocket.send_bytes(message)


@app.ws("/broken")
async def broken(websocket: WebSocket) -> None:
    await websocket.accept()
    raise ZeroDivisionError("in the handler")


@app.post("/double")
async def double(data: FromJSON[list[int]]) -> Response:
    return json([2 * number for number in data.value])


async def test_it_sends_and_receives() -> None:
    async with TestClient(app) as client, client.websocket_connect("/echo") as socket:
        await socket.send_text("text")
        await socket.send_bytes(b"bytes")
        await socket.send_json({"a": 1})

        assert await socket.receive_text() == "text"
        assert await socket.receive_bytes() == b"bytes"
        assert await socket.receive_json() == {"a": 1}


async def test_it_makes_http_calls() -> None:
    async with TestClient(app) as client:
        response = await client.post("/double", json=[1, 2])

    assert (response.status, response.json()) == (200, [2, 4])
    assert response.headers["content-type"] == "application/json"


async def test_a_refused_handshake_is_a_value() -> None:
    async with TestClient(app) as client, client.websocket_connect("/nothing") as socket:
        assert socket.rejection is not None
        assert socket.rejection.status == 404
        with pytest.raises(WebSocketDisconnectError, match="404"):
            await socket.send_text("hello?")


async def test_the_error_of_the_handler_is_raised_in_the_test() -> None:
    with pytest.raises(ZeroDivisionError, match="in the handler"):
        async with TestClient(app) as client, client.websocket_connect("/broken") as socket:
            await socket.receive()


async def test_the_error_of_the_handler_can_be_looked_at_instead() -> None:
    async with (
        TestClient(app, raise_errors=False) as client,
        client.websocket_connect("/broken") as socket,
    ):
        await socket.wait_handler()

        assert isinstance(socket.error, ZeroDivisionError)
        assert socket.close_code == 1011


async def test_waiting_for_nothing_times_out() -> None:
    async with TestClient(app) as client, client.websocket_connect("/echo") as socket:
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0)


async def test_a_handler_that_ignores_the_end_is_told() -> None:
    deaf = Application()
    released = anyio.Event()

    @deaf.ws("/deaf")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await released.wait()

    async with TestClient(deaf, timeout=0.1) as client:
        with pytest.raises(HandlerStillRuns, match="/deaf"):
            async with client.websocket_connect("/deaf"):
                pass
        released.set()


async def test_a_lost_connection_is_1006_to_the_handler() -> None:
    lost = Application()
    codes: list[int] = []

    @lost.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive()
        except WebSocketDisconnectError as error:
            codes.append(error.code)

    async with TestClient(lost) as client, client.websocket_connect("/") as socket:
        socket.leave()
        await socket.wait_handler()

    assert codes == [1006]
