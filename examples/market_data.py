"""Market data: prices by the hundred, of which each client gets what it can make use of.

herdwick run examples.market_data:app

Connect to ws://127.0.0.1:8000/prices: it sends what each symbol costs, then, twice a second, those
that have changed. However many prices come in, a mobile on a slow network gets no more than that,
and always the newest.

The feed is a supervised actor. Its upstream hangs up now and then: the log says so, it comes back
after a moment, and nobody is disconnected.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from operator import attrgetter
from random import Random
from typing import Never

import anyio

import herdwick
from herdwick import Application, Backoff, Child, Conflate, Context, Message, WebSocket

INTERVAL = 0.5
"""Seconds in which a client gets at most one price of each symbol."""


class Price(Message):
    symbol: str
    bid: float


# ------------------------------------------------------------------ where prices come from

OPENING = {"EWE": 118.2, "FELL": 42.5, "LAMB": 96.4, "TUP": 310.0, "WOOL": 1.37}
PRICES_PER_SECOND = 200
LASTS = 20.0
"""Seconds, on average, after which the upstream hangs up."""


async def upstream(bids: dict[str, float], chance: Random) -> AsyncGenerator[Price]:
    """Be an exchange: bids that walk at random, over a connection that does not last."""
    while True:
        await anyio.sleep(1 / PRICES_PER_SECOND)
        if chance.random() < 1 / (LASTS * PRICES_PER_SECOND):
            raise ConnectionResetError("the upstream has hung up")
        symbol = chance.choice(list(bids))
        bids[symbol] *= 1 + chance.gauss(0, 0.001)
        yield Price(symbol, round(bids[symbol], 4))


# ------------------------------------------------------------------ where they go

app = Application()
app.topic("prices", slow=Conflate[Price](key=attrgetter("symbol"), interval=INTERVAL))
latest: dict[str, Price] = {}


async def feed(ctx: Context[Never], bids: dict[str, float], chance: Random) -> None:
    async with aclosing(upstream(bids, chance)) as prices:
        async for price in prices:
            latest[price.symbol] = price
            await app.broadcast("prices", price, record=False)


backoff = Backoff(min=0.1, max=5.0, reset_after=10.0)
# What a child is made with outlives its crashes: the walk goes on where it was.
app.supervise(Child(feed, dict(OPENING), Random(7)).policy(backoff=backoff))


@app.ws("/prices")
async def prices(websocket: WebSocket) -> None:
    await websocket.accept()
    async with websocket.join("prices"):
        for price in list(latest.values()):
            await websocket.send_message(price)
        await websocket.wait_closed()


if __name__ == "__main__":
    herdwick.run(app)
