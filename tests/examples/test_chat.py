"""Tests of examples/chat.py."""

from examples.chat import app, rooms
from herdwick import serve
from tests.examples.client import receive_until
from tests.support.clients import httpx_ws_client as connect
from tests.support.clients import receive_json


async def test_what_one_says_reaches_all_in_the_room() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/chat/fell?name=Ada") as ada,
        connect(f"{url}/chat/fell?name=Bob") as bob,
    ):
        await receive_until(ada, type="joined", name="Bob")
        await ada.send("hello")

        for peer in (ada, bob):
            said = await receive_until(peer, type="said")
            assert (said["name"], said["text"]) == ("Ada", "hello")


async def test_who_comes_later_sees_what_was_said() -> None:
    async with serve(app) as url, connect(f"{url}/chat/fell?name=Ada") as ada:
        await ada.send("early")
        await receive_until(ada, text="early")

        async with connect(f"{url}/chat/fell?name=Bob") as bob:
            first = await receive_json(bob)

        assert (first["type"], first["text"]) == ("said", "early")


async def test_rooms_are_apart() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/chat/fell?name=Ada") as ada,
        connect(f"{url}/chat/dale?name=Bob") as bob,
    ):
        await ada.send("only in the fell")
        await receive_until(ada, text="only in the fell")
        await bob.send("only in the dale")

        heard = [(await receive_json(bob))["text"] for _ in range(2)]

        assert heard == ["", "only in the dale"]


async def test_who_leaves_is_announced_and_an_empty_room_is_forgotten() -> None:
    async with serve(app) as url, connect(f"{url}/chat/fell?name=Ada") as ada:
        async with connect(f"{url}/chat/fell?name=Bob"):
            await receive_until(ada, type="joined", name="Bob")

        await receive_until(ada, type="left", name="Bob")

    assert not rooms
