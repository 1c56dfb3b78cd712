"""The demo: a chat whose lobby may crash while everybody stays connected.

make demo        or: herdwick run examples.demo.app:app
"""

from pathlib import Path

import herdwick
from herdwick import Application, Child, WebSocket

from .lobby import Crash, Enter, From, Gone, Lobby, Say

app = Application()
lobby = Child(Lobby, {})
app.supervise(lobby)
app.serve_files(Path(__file__).parent / "static")


@app.ws("/lobby", on_invalid="reply")
async def visit(websocket: WebSocket) -> None:
    await websocket.accept()
    me = websocket.ref
    try:
        async for message in websocket.iter_as(Enter, Say, Crash):
            await app.ref(lobby).send(From(me, message))
    finally:
        app.ref(lobby).tell(Gone(me))


if __name__ == "__main__":
    herdwick.run(app)
