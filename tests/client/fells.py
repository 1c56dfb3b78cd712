"""The rooms of examples/demo, for pages of any origin: what the clients are tested against."""

from examples.demo.app import Guests
from examples.demo.fell import Fell
from herdwick import Application, History, WebSocket

app = Application(origins=["*"])
app.use_authentication().add(Guests())
app.room("fell:{name}", history=History(size=100, replay=50), presence=True, cool_down=1.0)(Fell)


@app.ws("/live")
async def live(websocket: WebSocket) -> None:
    await websocket.serve_rooms()
