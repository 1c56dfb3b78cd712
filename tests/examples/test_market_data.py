"""Tests of examples/market_data.py."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any, TypeAlias

import anyio
import pytest

from examples import market_data
from examples.market_data import OPENING, Price, app, latest
from herdwick import serve
from tests.examples.client import PATIENCE
from tests.support.clients import Peer, receive_json
from tests.support.clients import httpx_ws_client as connect
from tests.support.waiting import until

FEED = "root/services/feed"
Upstream: TypeAlias = Callable[[dict[str, float], Random], AsyncGenerator[Price]]


@pytest.fixture(autouse=True)
def nothing_yet() -> Iterator[None]:
    latest.clear()
    yield
    latest.clear()


def exchange(*acts: Sequence[Price] | Exception | anyio.Event) -> Upstream:
    """Give an upstream that tells prices, fails, or waits, over one connection or several."""
    to_come = iter(acts)

    async def upstream(bids: dict[str, float], chance: Random) -> AsyncGenerator[Price]:
        for act in to_come:
            match act:
                case Exception():
                    raise act
                case anyio.Event():
                    await act.wait()
                case _:
                    for price in act:
                        yield price
        await anyio.sleep_forever()

    return upstream


@asynccontextmanager
async def joined(url: str) -> AsyncGenerator[Peer]:
    """Connect, and have joined: what there is comes after that."""
    latest["WOOL"] = Price("WOOL", 1.0)
    async with connect(f"{url}/prices") as peer:
        assert await receive_bids(peer, 1) == [("WOOL", 1.0)]
        yield peer


async def receive_bids(peer: Peer, count: int) -> list[tuple[str, float]]:
    with anyio.fail_after(PATIENCE):
        prices: list[dict[str, Any]] = [await receive_json(peer) for _ in range(count)]
    return [(price["symbol"], price["bid"]) for price in prices]


async def test_of_all_prices_in_an_interval_a_client_gets_the_newest_of_each_symbol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, closed = anyio.Event(), anyio.Event()
    flood = [Price(symbol, bid) for bid in range(1, 501) for symbol in ("EWE", "TUP")]
    upstream = exchange(opened, flood, closed, [Price("WOOL", 2.0)])
    monkeypatch.setattr(market_data, "upstream", upstream)

    async with serve(app) as url, joined(url) as mobile:
        opened.set()
        heard: list[tuple[str, float]] = []
        # The flood fits into one interval, or two where the machine is busy.
        while not {("EWE", 500.0), ("TUP", 500.0)} <= set(heard):
            heard += await receive_bids(mobile, 1)
        closed.set()
        last = await receive_bids(mobile, 1)

    assert len(heard) < 50
    assert last == [("WOOL", 2.0)]


async def test_who_comes_gets_what_each_symbol_costs_before_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(market_data, "upstream", exchange([Price("EWE", 118.0), Price("TUP", 9)]))

    async with serve(app) as url:
        await until(lambda: len(latest) == 2)
        async with connect(f"{url}/prices") as mobile:
            assert await receive_bids(mobile, 2) == [("EWE", 118.0), ("TUP", 9.0)]


async def test_an_upstream_that_hangs_up_drops_nobody_and_its_feed_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hung_up = ConnectionResetError("the upstream has hung up")
    opened, failed = anyio.Event(), anyio.Event()
    prices = [[Price("EWE", bid)] for bid in (1.0, 2.0, 3.0)]
    upstream = exchange(opened, prices[0], failed, hung_up, hung_up, prices[1])
    monkeypatch.setattr(market_data, "upstream", upstream)

    async with serve(app) as url, joined(url) as mobile:
        opened.set()
        before = await receive_bids(mobile, 1)
        failed.set()
        after = await receive_bids(mobile, 1)

    assert (before, after) == ([("EWE", 1.0)], [("EWE", 2.0)])
    said = [message for _, level, message in caplog.record_tuples if level == logging.ERROR]
    assert said[0] == f"{FEED} crashed: ConnectionResetError: the upstream has hung up"
    assert said[1].endswith(" suppressed=1")  # within the same second


async def test_the_same_seed_gives_the_same_walk_which_fails_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(market_data, "PRICES_PER_SECOND", 100_000)
    monkeypatch.setattr(market_data, "LASTS", 0.003)
    walks: list[list[Price]] = [[], []]

    for walk in walks:
        with pytest.raises(ConnectionResetError):
            async for price in market_data.upstream(dict(OPENING), Random(4)):
                walk.append(price)

    assert walks[0] == walks[1]
    assert len(walks[0]) > 10
    assert {price.symbol for price in walks[0]} == OPENING.keys()
    ewe = [price.bid for price in walks[0] if price.symbol == "EWE"]
    assert all(abs(later / earlier - 1) < 0.01 for earlier, later in pairwise(ewe))


async def test_as_it_is_a_client_sees_the_market_move() -> None:
    async with serve(app) as url, connect(f"{url}/prices") as mobile:
        heard = await receive_bids(mobile, 3 * len(OPENING))

    assert {symbol for symbol, _ in heard} == OPENING.keys()
    assert len(set(heard)) > len(OPENING)
