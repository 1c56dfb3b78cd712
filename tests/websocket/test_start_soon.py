"""Tasks beside a handler, and the end of their connection."""

import anyio
import pytest

from herdwick import Application, WebSocket, WebSocketDisconnectError
from herdwick.testing import TestClient


async def test_a_task_that_meets_the_disconnect_is_no_crash() -> None:
    app = Application()
    met = anyio.Event()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        async def send_forever() -> None:
            try:
                while True:
                    await websocket.send_text("tick")
                    await anyio.lowlevel.checkpoint()
            finally:
                met.set()

        await websocket.accept()
        websocket.start_soon(send_forever)
        await met.wait()

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.receive_text()
        socket.leave(1001)
        await socket.wait_handler()

        assert socket.error is None


async def test_the_disconnect_of_another_connection_is_a_crash_like_any_other() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        async def fail() -> None:
            raise WebSocketDisconnectError(1001)

        await websocket.accept()
        websocket.start_soon(fail)
        await websocket.wait_closed()

    async with TestClient(app) as client:
        with pytest.raises(WebSocketDisconnectError):
            async with client.websocket_connect("/") as socket:
                await socket.wait_handler()
                assert socket.close_code == 1011
