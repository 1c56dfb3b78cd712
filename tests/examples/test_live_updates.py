"""Tests of examples/live_updates.py."""

import httpx
import pytest

from examples.live_updates import app
from herdwick import serve
from herdwick.client import Client, Message, Room
from tests.examples.client import PATIENCE, post, receive_until
from tests.support.clients import as_ws, receive_json
from tests.support.clients import httpx_ws_client as connect


def update(topic: str, **data: object) -> dict[str, object]:
    return {"type": "Update", "topic": topic, "data": data}


async def change(url: str, topic: str, **data: object) -> None:
    await post(f"{url}/api/data/{topic}", data)


async def next_of(room: Room) -> object:
    return await anext(room.messages())


async def test_who_comes_sees_what_there_is_and_each_change() -> None:
    async with serve(app) as url:
        await change(url, "weather", wind=3)

        async with connect(f"{url}/updates/weather") as peer:
            before = await receive_json(peer)
            await change(url, "weather", wind=7)
            after = await receive_json(peer)

    assert (before, after) == (update("weather", wind=3), update("weather", wind=7))


async def test_what_there_is_stays_though_nobody_follows() -> None:
    async with serve(app) as url:
        await change(url, "weather", wind=3)
        async with connect(f"{url}/updates/weather") as peer:
            await receive_json(peer)
        await change(url, "weather", wind=7)

        async with connect(f"{url}/updates/weather") as peer:
            assert await receive_json(peer) == update("weather", wind=7)


async def test_a_client_follows_topics_over_one_connection_and_leaves_them_again() -> None:
    async with serve(app) as url, Client(f"{as_ws(url)}/live") as client:
        async with client.join("updates:weather") as weather:
            async with client.join("updates:tides") as tides:
                await change(url, "tides", high=True)
                assert await next_of(tides) == update("tides", high=True)
            await change(url, "tides", high=False)
            await change(url, "weather", wind=7)

            assert await next_of(weather) == update("weather", wind=7)
        assert app.connections == 1


async def test_a_client_that_was_away_is_told_what_has_changed() -> None:
    async with serve(app) as url:
        async with Client(f"{as_ws(url)}/live") as client, client.join("updates:weather") as room:
            await change(url, "weather", wind=3)
            seen = await anext(room)
            assert isinstance(seen, Message)
        await change(url, "weather", wind=7)

        async with (
            Client(f"{as_ws(url)}/live") as client,
            client.join("updates:weather", since=seen.position) as room,
        ):
            assert room.recovered
            assert await next_of(room) == update("weather", wind=7)


async def test_what_is_no_order_is_answered_with_what_is_wrong() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/live", subprotocols=["herdwick.v1"]) as peer,
    ):
        await peer.send('{"type": "join", "ref": 1}')

        answer = await receive_until(peer, type="error")

    assert answer["code"] == "invalid_message"
    assert "topic" in answer["message"]


@pytest.mark.parametrize("content", ["7", "[]", "{"])
async def test_what_is_no_object_is_not_published(content: str) -> None:
    headers = {"content-type": "application/json"}
    async with (
        serve(app) as url,
        httpx.AsyncClient(timeout=PATIENCE, trust_env=False, headers=headers) as http,
    ):
        answer = await http.post(f"{url}/api/data/weather", content=content)

    assert answer.status_code == 400
