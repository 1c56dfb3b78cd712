"""Other ASGI applications under a path of ours, their WebSockets included."""

from typing import Any

import pytest

from herdwick import Application, Response, WebSocket, WebSocketDisconnectError, text
from herdwick.testing import TestClient
from herdwick.websocket import ASGIReceive, ASGISend, Scope


async def inner(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Answer with the path, and echo."""
    seen = f"{scope['root_path']} {scope['path']}"
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": seen.encode()})
        return
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-in", b"yes")]})
    await send({"type": "websocket.send", "text": seen})
    event: Any = {}
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked to"})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


def mounted() -> TestClient:
    app = Application()

    @app.get("/inner/ours")
    async def ours() -> Response:
        return text("ours")

    app.mount("/inner", inner)
    return TestClient(app)


async def test_a_mounted_application_answers_below_its_path() -> None:
    async with mounted() as client:
        assert (await client.get("/inner/a/b")).text() == "/inner /inner/a/b"
        assert (await client.get("/inner")).text() == "/inner /inner"
        assert (await client.get("/innermost")).status == 404


async def test_routes_come_before_mounts() -> None:
    async with mounted() as client:
        assert (await client.get("/inner/ours")).text() == "ours"


async def test_the_longest_prefix_wins() -> None:
    app = Application()
    app.mount("/", Application())
    app.mount("/inner", inner)

    async with TestClient(app) as client:
        assert (await client.get("/inner/x")).status == 200


async def test_its_websockets_are_connections_of_ours() -> None:
    async with mounted() as client, client.websocket_connect("/inner/ws") as socket:
        assert socket.headers["x-in"] == "yes"
        assert await socket.receive_text() == "/inner /inner/ws"
        await socket.send_bytes(b"bytes")
        assert await socket.receive_bytes() == b"bytes"
        await socket.send_text("close")
        with pytest.raises(WebSocketDisconnectError, match="asked to"):
            await socket.receive()


async def test_it_can_refuse_with_a_response_of_its_own() -> None:
    async def refusing(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"tea", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"pot"})

    app = Application()
    app.mount("/", refusing)

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        assert socket.rejection is not None
        assert (socket.rejection.status, socket.rejection.body) == (418, b"teapot")


async def test_a_herdwick_application_mounts_into_another() -> None:
    child = Application()

    @child.ws("/echo/{name}")
    async def echo(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        await websocket.send_text(name)

    parent = Application()
    parent.mount("/child", child)

    async with (
        child.running(),
        TestClient(parent) as client,
        client.websocket_connect("/child/echo/ann") as socket,
    ):
        assert await socket.receive_text() == "ann"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "websocket.send", "text": "before accept"},
        {"type": "websocket.close", "code": 1006},
        {"type": "http.response.start", "status": 200},
    ],
)
async def test_what_asgi_does_not_allow_is_told_to_the_mounted_application(event: Any) -> None:
    async def careless(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        with pytest.raises((RuntimeError, ValueError)):
            await send(event)
        await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError, match=r"websocket\.accept"):
            await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        with pytest.raises(OSError, match="over"):
            await send({"type": "websocket.send", "text": "too late"})

    app = Application()
    app.mount("/", careless)

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        await socket.wait_handler()
