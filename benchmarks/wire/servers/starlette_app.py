"""Starlette, with the room that its users write by hand."""

import asyncio
import json

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

room: set[WebSocket] = set()


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def json_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_json():
        await websocket.send_json(message)


async def subscribe(websocket: WebSocket) -> None:
    await websocket.accept()
    room.add(websocket)
    try:
        async for _ in websocket.iter_text():
            pass
    finally:
        room.remove(websocket)


async def publish(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_json():
        text = json.dumps(message)
        await asyncio.gather(*[member.send_text(text) for member in room])


app = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/json", json_echo),
        WebSocketRoute("/room", subscribe),
        WebSocketRoute("/publish", publish),
    ]
)
