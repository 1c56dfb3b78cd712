"""The demo: a chat whose rooms may crash while everybody stays, and nothing that was said is lost.

make demo        or: herdwick run examples.demo.app:app
"""

from hashlib import sha256
from pathlib import Path

from guardpost import AuthenticationHandler

import herdwick
from herdwick import (
    Application,
    History,
    Identity,
    PresenceOptions,
    Request,
    Response,
    WebSocket,
    file,
    token_from_subprotocol,
)
from herdwick.client import JAVASCRIPT

from .fell import Fell

HERE = Path(__file__).parent


class Guests(AuthenticationHandler):
    """Whoever shows the same token is the same guest, in however many tabs.

    A browser makes up its token by itself and tells nobody else. What the others see is made of it
    and does not give it away: so nobody can pretend to be somebody else.
    """

    _shown = staticmethod(token_from_subprotocol())

    @property
    def scheme(self) -> str:
        return "Guest"

    def authenticate(self, context: Request) -> Identity | None:
        token = self._shown(context)
        if token is None:
            return None
        return Identity({"id": sha256(token.encode()).hexdigest()[:16]}, self.scheme)


app = Application()
app.use_authentication().add(Guests())
app.room(
    "fell:{name}",
    history=History(size=100, replay=50),
    presence=PresenceOptions(grace=1.0),  # who reloads the page has not gone
    cool_down=1.0,
)(Fell)
app.serve_health()
app.serve_files(HERE / "static")


@app.ws("/live")
async def live(websocket: WebSocket) -> None:
    await websocket.serve_rooms()


@app.get("/herdwick.js")
async def client() -> Response:
    return file(JAVASCRIPT, content_disposition="inline")


if __name__ == "__main__":
    herdwick.run(app)
