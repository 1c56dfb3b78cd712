"""Herdwick: on asyncio and on trio, on the servers of `herdwick run` and as plain ASGI."""

from herdwick import Application, Limits, WebSocket

app = Application(limits=Limits(connections=1_000_000))


@app.ws("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


@app.ws("/json")
async def json_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_json(await websocket.receive_json())


@app.ws("/room")
async def subscribe(websocket: WebSocket) -> None:
    await websocket.accept()
    async with websocket.join("room"):
        await websocket.wait_closed()


@app.ws("/publish")
async def publish(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await app.broadcast("room", await websocket.receive_json())
