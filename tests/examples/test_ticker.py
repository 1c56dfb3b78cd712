"""Tests of examples/ticker.py."""

import logging
from typing import Any

import pytest

from examples import ticker
from herdwick import serve
from tests.examples.client import post, receive_until
from tests.support.clients import httpx_ws_client as connect
from tests.support.clients import receive_json

TICKER = "root/services/Ticker"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker, "PERIOD", 0.01)


async def test_every_subscriber_hears_every_tick() -> None:
    async with (
        serve(ticker.app) as url,
        connect(f"{url}/ticks") as one,
        connect(f"{url}/ticks") as other,
    ):
        for peer in (one, other):
            first: dict[str, Any] = await receive_json(peer)
            second: dict[str, Any] = await receive_json(peer)

            assert second == {"count": first["count"] + 1, "incarnation": 1}


async def test_the_peers_of_a_crashed_ticker_stay_open_and_hear_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        serve(ticker.app) as url,
        connect(f"{url}/ticks") as one,
        connect(f"{url}/ticks") as other,
    ):
        await receive_json(one)
        await receive_json(other)
        await post(f"{url}/crash")

        for peer in (one, other):
            assert (await receive_until(peer, incarnation=2))["count"] == 1

        assert caplog.record_tuples == [
            (
                "herdwick.runtime",
                logging.ERROR,
                f"{TICKER} crashed: RuntimeError: somebody asked for a crash",
            ),
            ("herdwick.runtime", logging.WARNING, f"{TICKER} restarted, incarnation 2"),
        ]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False]


async def test_who_has_left_is_forgotten() -> None:
    subscribers = ticker.subscribers
    async with serve(ticker.app) as url, connect(f"{url}/ticks") as stays:
        async with connect(f"{url}/ticks") as leaves:
            await receive_json(leaves)
            await receive_json(stays)
            assert len(subscribers) == 2

        while len(subscribers) > 1:
            await receive_json(stays)
