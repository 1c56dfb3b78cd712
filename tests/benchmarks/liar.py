"""An ASGI application that answers the load generator wrongly: the path says how."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

room: list[Send] = []


async def app(scope: Event, receive: Receive, send: Send) -> None:
    assert scope["type"] == "websocket"
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    await WAYS[scope["path"]](receive, send)


async def altered(receive: Receive, send: Send) -> None:
    while (text := await received(receive)) is not None:
        await say(send, text.upper())


async def as_bytes(receive: Receive, send: Send) -> None:
    while (text := await received(receive)) is not None:
        await send({"type": "websocket.send", "bytes": text.encode()})


async def swapped(receive: Receive, send: Send) -> None:
    while (first := await received(receive)) is not None:
        second = await received(receive)
        await say(send, second or "")
        await say(send, first)


async def twice(receive: Receive, send: Send) -> None:
    while (text := await received(receive)) is not None:
        await say(send, text)
        await say(send, text)


async def lost(receive: Receive, send: Send) -> None:
    await received(receive)
    await received(receive)


async def closed(receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1011})


async def subscribe(receive: Receive, send: Send) -> None:
    room.append(send)
    await received(receive)
    room.remove(send)


async def differing(receive: Receive, send: Send) -> None:
    while (text := await received(receive)) is not None:
        *most, last = room
        for each in most:
            await say(each, text)
        await say(last, text.replace("alice", "alike"))


async def forgotten(receive: Receive, send: Send) -> None:
    while (text := await received(receive)) is not None:
        for each in room[1:]:
            await say(each, text)


async def received(receive: Receive) -> str | None:
    event = await receive()
    text: str | None = event.get("text")
    return text


async def say(send: Send, text: str) -> None:
    await send({"type": "websocket.send", "text": text})


WAYS = {
    "/altered": altered,
    "/bytes": as_bytes,
    "/swapped": swapped,
    "/twice": twice,
    "/lost": lost,
    "/closed": closed,
    "/room": subscribe,
    "/differing": differing,
    "/forgotten": forgotten,
}
