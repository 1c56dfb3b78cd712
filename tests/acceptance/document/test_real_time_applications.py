"""The chapter "Real-time Applications" of the document."""

import time
from typing import Any

import httpx

import herdwick
from herdwick import (
    FromJSON,
    WebSocket,
)
from tests.acceptance.document.page import Chapter, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, receive_json, send_json
from tests.support.waiting import until

chapter = Chapter("Real-time Applications")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


CHAT = "Chat Application"


@chapter.covers(CHAT)
async def test_the_chat_announces_broadcasts_and_remembers(stage: Stage[Peer]) -> None:
    app = chapter.run(CHAT, time=time)["app"]

    async with stage.serve(app) as url, stage.connect(f"{url}/chat/fold") as anna:
        async with stage.connect(f"{url}/chat/fold") as ben:
            joined = await receive_json(anna)
            await send_json(anna, {"user": "Anna", "message": "baa"})
            heard = await receive_json(ben)
            await send_json(ben, {})
            answered = await receive_json(anna)
            async with stage.connect(f"{url}/chat/fold") as late:
                history = [await receive_json(late), await receive_json(late)]
                joined_late = [await receive_json(anna), await receive_json(ben)]
            left = [await receive_json(anna), await receive_json(ben)]
        left_too = await receive_json(anna)

    timeless = [joined, *joined_late, *left, left_too]
    assert [one["type"] for one in timeless] == ["user_joined"] * 3 + ["user_left"] * 3
    assert {one["room"] for one in timeless} == {"fold"}
    assert heard == {
        "type": "chat_message",
        "room": "fold",
        "user": "Anna",
        "message": "baa",
        "timestamp": heard["timestamp"],
    }
    assert (answered["user"], answered["message"]) == ("Anonymous", "")
    assert history == [heard, answered]


@chapter.covers(CHAT)
async def test_the_rooms_of_the_chat_do_not_hear_each_other(stage: Stage[Peer]) -> None:
    page = chapter.run(CHAT, time=time)

    async with stage.serve(page["app"]) as url:
        async with (
            stage.connect(f"{url}/chat/fold") as anna,
            stage.connect(f"{url}/chat/hill") as ben,
            stage.connect(f"{url}/chat/hill") as cleo,
        ):
            assert (await receive_json(ben))["type"] == "user_joined"
            await send_json(cleo, {"message": "on the hill"})
            assert (await receive_json(ben))["message"] == "on the hill"
            async with stage.connect(f"{url}/chat/fold"):
                first = await receive_json(anna)
        await until(all_gone(page["app"]))

    assert (first["type"], first["room"]) == ("user_joined", "fold")
    assert [room.connections for room in page["chat_rooms"].values()] == [set(), set()]


LIVE_UPDATES = "Live Updates"


def live_updates(saved: dict[str, object]) -> dict[str, Any]:
    async def get_topic_data(topic: str) -> dict[str, str]:
        return {"all about": topic}

    async def save_data(topic: str, data: object) -> None:
        saved[topic] = data

    return chapter.run(
        LIVE_UPDATES,
        time=time,
        get_topic_data=get_topic_data,
        save_data=save_data,
        FromJSON=FromJSON,
        json=herdwick.json,
    )


async def post(url: str, data: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.post(url, json=data)


@chapter.covers(LIVE_UPDATES)
async def test_an_http_post_reaches_the_subscribers(stage: Stage[Peer]) -> None:
    saved: dict[str, object] = {}
    app = live_updates(saved)["app"]

    async with stage.serve(app) as url, stage.connect(f"{url}/updates/wool") as peer:
        initial = await receive_json(peer)
        response = await post(f"{url}/api/data/wool", {"price": 3})
        update = await receive_json(peer)

    assert initial == {"type": "initial_data", "topic": "wool", "data": {"all about": "wool"}}
    assert (response.status_code, response.json()) == (200, {"updated": True})
    assert saved == {"wool": {"price": 3}}
    assert update == {"topic": "wool", "data": {"price": 3}, "timestamp": update["timestamp"]}


@chapter.covers(LIVE_UPDATES)
async def test_a_subscriber_adds_topics_and_leaves_them(stage: Stage[Peer]) -> None:
    page = live_updates({})
    subscribers: dict[str, list[WebSocket]] = page["update_subscribers"]

    async with stage.serve(page["app"]) as url:
        async with stage.connect(f"{url}/updates/wool") as peer:
            await receive_json(peer)
            await send_json(peer, {"type": "subscribe_additional", "topic": "milk"})
            await until(lambda: subscribers.get("milk"))
            await post(f"{url}/api/data/milk", {"litres": 1})
            milk = await receive_json(peer)
            await send_json(peer, {"type": "unsubscribe", "topic": "milk"})
            await until(lambda: not subscribers["milk"])
            await post(f"{url}/api/data/milk", {"litres": 2})
            await post(f"{url}/api/data/wool", {"price": 4})
            wool = await receive_json(peer)
        await until(all_gone(page["app"]))

    assert (milk["topic"], milk["data"]) == ("milk", {"litres": 1})
    assert (wool["topic"], wool["data"]) == ("wool", {"price": 4})
    assert subscribers == {"wool": [], "milk": []}
