"""Live updates: an HTTP call changes something, and whoever follows it sees the change.

herdwick run examples.live_updates:app

Connect to ws://127.0.0.1:8000/updates/weather, then publish:
curl http://127.0.0.1:8000/api/data/weather --json '{"wind": 7}'

/updates/weather sends what there is, and each change, as plain JSON, to any client. One that speaks
herdwick.v1, as herdwick.js and herdwick.client do, connects to /live instead: it follows as many
topics as it likes over one connection, and after a lost one it goes on where it was.
"""

import herdwick
from herdwick import (
    Application,
    FromJSON,
    History,
    Message,
    Response,
    WebSocket,
    accepted,
    everyone,
)


class Update(Message):
    topic: str
    data: object


DAY = 86_400.0

app = Application()
# The newest one is what there is: who comes gets it first.
app.topic("updates:{topic}", history=History(size=1, replay=1, ttl=DAY), authorize=everyone)


@app.ws("/updates/{topic}")
async def updates(websocket: WebSocket, topic: str) -> None:
    await websocket.accept()
    async with websocket.join(f"updates:{topic}"):
        await websocket.wait_closed()


@app.ws("/live")
async def live(websocket: WebSocket) -> None:
    await websocket.serve_rooms()


@app.post("/api/data/{topic}")
async def update_data(topic: str, data: FromJSON[dict[str, object]]) -> Response:
    await app.broadcast(f"updates:{topic}", Update(topic, data.value))
    return accepted()


if __name__ == "__main__":
    herdwick.run(app)
