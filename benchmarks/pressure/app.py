"""An application under pressure: handlers that do not read, that answer, that send, a topic."""

from collections import Counter
from typing import Final

import anyio

from herdwick import (
    Application,
    CatchUp,
    Disconnect,
    History,
    Limits,
    WebSocket,
    WebSocketDisconnectError,
    everyone,
)

MESSAGE: Final = bytes(16 * 1024)
TEXT: Final = "x" * len(MESSAGE)

LIMITS: Final = Limits(pause_timeout=4, send_timeout=2, close_timeout=0.5)
"""In bytes they are the default ones, and in seconds as short as a benchmark is patient."""

app = Application(limits=LIMITS)
app.topic("strict", slow=Disconnect(), authorize=everyone)
app.topic("patient", slow=CatchUp(patience=2), history=History(size=100), authorize=everyone)

ends: Counter[int] = Counter()
"""How many connections have ended, by the code."""


@app.get("/ends")
async def tell_ends() -> dict[str, int]:
    return {str(code): count for code, count in ends.items()}


@app.ws("/unread")
async def unread(websocket: WebSocket) -> None:
    """Receive nothing until it is over."""
    await websocket.accept()
    while not websocket.closed:  # noqa: ASYNC110 - what waits for the end receives too
        await anyio.sleep(0.05)
    await count_end(websocket)


@app.ws("/answered")
async def answered(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_bytes(await websocket.receive_bytes())
    except WebSocketDisconnectError:
        await count_end(websocket)


@app.ws("/sent")
async def sent(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            # A copy, as what is sent to one peer is mostly its own.
            await websocket.send_bytes(bytes(bytearray(MESSAGE)))
    except WebSocketDisconnectError:
        await count_end(websocket)


@app.ws("/member/{topic}")
async def member(websocket: WebSocket, topic: str) -> None:
    await websocket.accept()
    async with websocket.join(topic):
        await websocket.wait_closed()
    await count_end(websocket)


@app.ws("/publisher/{topic}")
async def publisher(websocket: WebSocket, topic: str) -> None:
    await websocket.accept()
    while not websocket.closed:
        await app.broadcast(topic, TEXT)
        await anyio.sleep(0.001)


async def count_end(websocket: WebSocket) -> None:
    """Take note of the code, once all that had come before is read."""
    try:
        while True:
            await websocket.receive()
    except WebSocketDisconnectError as error:
        ends[error.code] += 1
