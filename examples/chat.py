"""Chat: rooms in plain sets, each with its recent history.

herdwick run examples.chat:app

Connect to ws://127.0.0.1:8000/chat/fell?name=Ada and send texts.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from time import time

import herdwick
from herdwick import Application, FromQuery, Ref, Send, WebSocket

app = Application()


@dataclass
class Room:
    """Who is in a room, and what was said in it lately; it lasts as long as somebody is there."""

    members: set[Ref[Send]] = field(default_factory=set[Ref[Send]])
    history: deque[Send] = field(default_factory=lambda: deque[Send](maxlen=50))

    def tell(self, kind: str, name: str, text: str = "") -> Send:
        """Send to all members; `tell` never waits, so a slow one holds up nobody."""
        fact = Send({"type": kind, "name": name, "text": text, "at": time()})
        for member in self.members:
            member.tell(fact)
        return fact


rooms: defaultdict[str, Room] = defaultdict(Room)


@app.ws("/chat/{room_id}")
async def chat(websocket: WebSocket, room_id: str, name: FromQuery[str]) -> None:
    await websocket.accept()
    room, me = rooms[room_id], websocket.ref
    for said in room.history:
        me.tell(said)
    room.members.add(me)
    room.tell("joined", name.value)
    try:
        async for text in websocket.iter_text():
            room.history.append(room.tell("said", name.value, text))
    finally:
        room.members.discard(me)
        room.tell("left", name.value)
        if not room.members:
            del rooms[room_id]


if __name__ == "__main__":
    herdwick.run(app)
