"""BlackSheep, with the room that its users write by hand."""

# The type checkers' environment has no BlackSheep.
# mypy: disable-error-code="import-not-found, untyped-decorator"
# pyright: basic, reportMissingImports=false

import asyncio
import json
from contextlib import suppress

from blacksheep import Application, WebSocket
from blacksheep.server.websocket import WebSocketDisconnectError

app = Application()
room: set[WebSocket] = set()


@app.router.ws("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnectError):
        while True:
            await websocket.send_text(await websocket.receive_text())


@app.router.ws("/json")
async def json_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnectError):
        while True:
            await websocket.send_json(await websocket.receive_json())


@app.router.ws("/room")
async def subscribe(websocket: WebSocket) -> None:
    await websocket.accept()
    room.add(websocket)
    try:
        with suppress(WebSocketDisconnectError):
            while True:
                await websocket.receive_text()
    finally:
        room.remove(websocket)


@app.router.ws("/publish")
async def publish(websocket: WebSocket) -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnectError):
        while True:
            text = json.dumps(await websocket.receive_json())
            await asyncio.gather(*[member.send_text(text) for member in room])
