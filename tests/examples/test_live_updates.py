"""Tests of examples/live_updates.py."""

from collections.abc import Iterator

import pytest

from examples.live_updates import app, data, subscribers
from herdwick import serve
from tests.examples.client import post
from tests.support.clients import httpx_ws_client as connect
from tests.support.clients import receive_json, send_json


@pytest.fixture(autouse=True)
def no_data() -> Iterator[None]:
    data.clear()
    yield
    data.clear()


async def test_a_subscriber_sees_what_there_is_and_each_change() -> None:
    async with serve(app) as url:
        await post(f"{url}/api/data/weather", {"wind": 3})

        async with connect(f"{url}/updates/weather") as peer:
            before = await receive_json(peer)
            answer = await post(f"{url}/api/data/weather", {"wind": 7})
            after = await receive_json(peer)

    assert before == {"type": "Update", "topic": "weather", "data": {"wind": 3}}
    assert after == {"type": "Update", "topic": "weather", "data": {"wind": 7}}
    assert answer == {"reached": 1}


async def test_a_client_adds_topics_and_takes_them_back() -> None:
    async with serve(app) as url, connect(f"{url}/updates/weather") as peer:
        await receive_json(peer)
        await send_json(peer, {"type": "Subscribe", "topic": "tides"})
        added = await receive_json(peer)
        reached = await post(f"{url}/api/data/tides", {"high": True})
        await receive_json(peer)
        await send_json(peer, {"type": "Unsubscribe", "topic": "tides"})
        await send_json(peer, {"type": "Subscribe", "topic": "weather"})
        await receive_json(peer)  # the order before it was carried out too

        left = await post(f"{url}/api/data/tides", {"high": False})

    assert added == {"type": "Update", "topic": "tides", "data": None}
    assert (reached, left) == ({"reached": 1}, {"reached": 0})


async def test_a_topic_is_forgotten_with_its_last_subscriber() -> None:
    async with serve(app) as url, connect(f"{url}/updates/weather") as peer:
        await post(f"{url}/api/data/nobody", {"listens": True})
        for order in ("Unsubscribe", "Subscribe", "Unsubscribe"):
            await send_json(peer, {"type": order, "topic": "tides"})
        await send_json(peer, {"type": "Subscribe", "topic": "weather"})
        for _ in range(3):
            await receive_json(peer)  # the orders before the last were carried out too

        left = set(subscribers)

    assert left == {"weather"}
    assert subscribers == {}  # the connection has ended with the server


async def test_what_is_no_order_is_answered_with_what_is_wrong() -> None:
    async with serve(app) as url, connect(f"{url}/updates/weather") as peer:
        await receive_json(peer)
        await send_json(peer, {"type": "Subscribe"})

        answer = await receive_json(peer)

    assert answer["error"] == "invalid_message"
    assert "topic" in answer["detail"]
