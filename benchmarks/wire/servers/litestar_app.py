"""Litestar, with its channels."""

# The type checkers' environment has no Litestar.
# mypy: disable-error-code="import-not-found, untyped-decorator"
# pyright: basic, reportMissingImports=false

from contextlib import suppress

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect

channels = ChannelsPlugin(backend=MemoryChannelsBackend(), channels=["room"])


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await socket.receive_text())


@websocket("/json")
async def json_echo(socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_json(await socket.receive_json())


@websocket("/room")
async def subscribe(socket: WebSocket) -> None:
    await socket.accept()
    async with (
        channels.start_subscription(["room"]) as subscriber,
        subscriber.run_in_background(socket.send_text),
    ):
        with suppress(WebSocketDisconnect):
            while True:
                await socket.receive_text()


@websocket("/publish")
async def publish(socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            channels.publish(await socket.receive_json(), "room")


app = Litestar([echo, json_echo, subscribe, publish], plugins=[channels])
