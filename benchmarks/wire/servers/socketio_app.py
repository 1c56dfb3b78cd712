"""python-socketio, with its own protocol and its rooms."""

# The type checkers' environment has no python-socketio.
# mypy: disable-error-code="import-not-found, untyped-decorator"
# pyright: basic, reportMissingImports=false

import socketio

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
app = socketio.ASGIApp(server)


@server.event
async def connect(sid: str, environ: dict[str, str]) -> None:
    if environ["QUERY_STRING"].endswith("room"):
        await server.enter_room(sid, "room")


@server.event
async def echo(sid: str, data: object) -> None:
    await server.emit("echo", data, to=sid)


@server.event
async def publish(sid: str, data: object) -> None:
    await server.emit("publish", data, to="room")
