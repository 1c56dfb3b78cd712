"""Live updates: an HTTP call changes a topic, and whoever subscribed to it sees the change.

herdwick run examples.live_updates:app

Connect to ws://127.0.0.1:8000/updates/weather, then publish:
curl http://127.0.0.1:8000/api/data/weather --json '{"wind": 7}'
"""

import herdwick
from herdwick import Application, FromJSON, Message, Ref, Response, Send, WebSocket, json


class Subscribe(Message):
    topic: str


class Unsubscribe(Message):
    topic: str


class Update(Message):
    topic: str
    data: object


app = Application()
data: dict[str, object] = {}
subscribers: dict[str, set[Ref[Send]]] = {}


@app.ws("/updates/{topic}", on_invalid="reply")
async def live_updates(websocket: WebSocket, topic: str) -> None:
    await websocket.accept()
    me = websocket.ref
    subscribe(me, topic)
    try:
        async for message in websocket.iter_as(Subscribe, Unsubscribe):
            match message:
                case Subscribe(wanted):
                    subscribe(me, wanted)
                case Unsubscribe(unwanted):
                    unsubscribe(me, unwanted)
    finally:
        for subscribed in list(subscribers):
            unsubscribe(me, subscribed)


def subscribe(subscriber: Ref[Send], topic: str) -> None:
    """Tell what there is now, and each change from now on."""
    subscribers.setdefault(topic, set()).add(subscriber)
    subscriber.tell(Send(Update(topic, data.get(topic))))


def unsubscribe(subscriber: Ref[Send], topic: str) -> None:
    """Forget the topic with its last subscriber: clients name topics, as many as they like."""
    left = subscribers.get(topic, set())
    left.discard(subscriber)
    if not left:
        subscribers.pop(topic, None)


@app.post("/api/data/{topic}")
async def update_data(topic: str, value: FromJSON[dict[str, object]]) -> Response:
    data[topic] = value.value
    update = Send(Update(topic, value.value))
    return json({"reached": sum(one.tell(update) for one in subscribers.get(topic, ()))})


if __name__ == "__main__":
    herdwick.run(app)
