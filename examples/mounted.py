"""Mounted: herdwick's WebSockets under a path of a FastAPI application.

uvicorn examples.mounted:app        (asyncio only: FastAPI and uvicorn do not run on trio)

Connect to ws://127.0.0.1:8000/live/hello, then POST /greet/Ada.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from herdwick import Application, Ref, Send, WebSocket

live = Application()
listeners: set[Ref[Send]] = set()


@live.ws("/hello")
async def hello(websocket: WebSocket) -> None:
    await websocket.accept()
    listeners.add(websocket.ref)
    try:
        await websocket.send_text("listening")
        await websocket.wait_closed()
    finally:
        listeners.discard(websocket.ref)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with live.running():  # what is mounted gets no lifespan of its own
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/live", live)


@app.post("/greet/{name}")
async def greet(name: str) -> dict[str, int]:
    return {"reached": sum(one.tell(Send(f"hello, {name}")) for one in listeners)}


if __name__ == "__main__":
    uvicorn.run(app)
