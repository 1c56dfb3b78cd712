"""Ticker: a supervised actor that pushes to sockets, crashes, and comes back.

herdwick run examples.ticker:app

Connect to ws://127.0.0.1:8000/ticks and watch it count; then `curl -X POST
http://127.0.0.1:8000/crash`. The log shows one traceback and what followed from it:

    root/services/Ticker crashed: RuntimeError: somebody asked for a crash
    root/services/Ticker restarted, incarnation 2

No socket is closed: the next tick arrives with "incarnation": 2, and counts from 1 again.
"""

import anyio

import herdwick
from herdwick import (
    Actor,
    Application,
    Child,
    Message,
    Ref,
    Response,
    Send,
    WebSocket,
    accepted,
    on,
)

PERIOD = 1.0
"""Seconds between two ticks."""


class Subscribe(Message):
    subscriber: Ref[Send]


class Tick(Message):
    """It is time."""


class Crash(Message):
    """Fail, to show what follows."""


class Ticker(Actor[Subscribe | Tick | Crash]):
    """Counts; `subscribers` outlive its crashes, as all arguments of a `Child` do."""

    def __init__(self, subscribers: set[Ref[Send]]) -> None:
        self._subscribers = subscribers
        self._count = 0

    async def on_start(self) -> None:
        self.ctx.start_soon(self._tick_forever)

    @on(Subscribe)
    async def subscribe(self, message: Subscribe) -> None:
        self._subscribers.add(message.subscriber)

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        self._count += 1
        fact = Send({"count": self._count, "incarnation": self.ctx.incarnation})
        gone = {subscriber for subscriber in self._subscribers if not subscriber.tell(fact)}
        self._subscribers -= gone

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise RuntimeError("somebody asked for a crash")

    async def _tick_forever(self) -> None:
        while True:
            await anyio.sleep(PERIOD)
            self.ctx.ref.tell(Tick())


app = Application()
subscribers: set[Ref[Send]] = set()
ticker = Child(Ticker, subscribers)
app.supervise(ticker)


@app.ws("/ticks")
async def ticks(websocket: WebSocket) -> None:
    await websocket.accept()
    app.ref(ticker).tell(Subscribe(websocket.ref))
    await websocket.wait_closed()


@app.post("/crash")
async def crash() -> Response:
    app.ref(ticker).tell(Crash())
    return accepted()


if __name__ == "__main__":
    herdwick.run(app)
