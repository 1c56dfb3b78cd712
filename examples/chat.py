"""Chat: a room is a topic, which keeps what was said there lately.

herdwick run examples.chat:app

Connect to ws://127.0.0.1:8000/chat/fell?name=Ada and send texts.
"""

from time import time
from typing import Annotated

from msgspec import Meta

import herdwick
from herdwick import Application, FromQuery, History, Message, WebSocket

app = Application()
app.topic("chat:{room_id}", history=History(size=50, replay=50))  # for an hour


class Came(Message):
    name: str


class Said(Message):
    name: str
    text: str
    at: float


class Went(Message):
    name: str


@app.ws("/chat/{room_id}")
async def chat(
    websocket: WebSocket, room_id: str, name: FromQuery[Annotated[str, Meta(max_length=24)]]
) -> None:
    await websocket.accept()
    topic = f"chat:{room_id}"
    async with websocket.join(topic):  # first what was said, then what is being said
        await app.broadcast(topic, Came(name.value), record=False)
        try:
            async for text in websocket.iter_text():
                await app.broadcast(topic, Said(name.value, text, time()))
        finally:
            await app.broadcast(topic, Went(name.value), record=False)


if __name__ == "__main__":
    herdwick.run(app)
