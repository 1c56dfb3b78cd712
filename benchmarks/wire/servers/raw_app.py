"""An ASGI application without a library: what all others are compared with. On trio as well."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import sniffio
import trio

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

room: set[Send] = set()


async def app(scope: Event, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await ROUTES[scope["path"]](receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    while (event := await receive())["type"] != "lifespan.shutdown":
        await send({"type": event["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def echo(receive: Receive, send: Send) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def json_echo(receive: Receive, send: Send) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": json.dumps(json.loads(event["text"]))})


async def subscribe(receive: Receive, send: Send) -> None:
    room.add(send)
    try:
        while (await receive())["type"] == "websocket.receive":
            pass
    finally:
        room.remove(send)


async def publish(receive: Receive, send: Send) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        await broadcast({"type": "websocket.send", "text": json.dumps(json.loads(event["text"]))})


async def broadcast(event: Event) -> None:
    if sniffio.current_async_library() == "trio":
        async with trio.open_nursery() as nursery:
            for send in room:
                nursery.start_soon(send, event)
    else:
        await asyncio.gather(*[send(event) for send in room])


ROUTES = {"/echo": echo, "/json": json_echo, "/room": subscribe, "/publish": publish}
