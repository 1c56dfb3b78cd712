"""Tests of examples/chat.py."""

from examples.chat import app
from herdwick import serve
from tests.examples.client import receive_until
from tests.support.clients import closing, receive_json
from tests.support.clients import httpx_ws_client as connect


async def test_what_one_says_reaches_all_in_the_room() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/chat/fell?name=Ada") as ada,
        connect(f"{url}/chat/fell?name=Bob") as bob,
    ):
        await receive_until(ada, type="Came", name="Bob")
        await ada.send("hello")

        for peer in (ada, bob):
            said = await receive_until(peer, type="Said")
            assert (said["name"], said["text"]) == ("Ada", "hello")


async def test_who_comes_later_sees_what_was_said_though_nobody_stayed() -> None:
    async with serve(app) as url:
        async with connect(f"{url}/chat/fell?name=Ada") as ada:
            await ada.send("early")
            await receive_until(ada, text="early")

        async with connect(f"{url}/chat/fell?name=Bob") as bob:
            first = await receive_json(bob)

    assert (first["type"], first["text"]) == ("Said", "early")


async def test_rooms_are_apart() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/chat/fell?name=Ada") as ada,
        connect(f"{url}/chat/dale?name=Bob") as bob,
    ):
        await ada.send("only in the fell")
        await receive_until(ada, text="only in the fell")
        await bob.send("only in the dale")

        heard = [await receive_json(bob) for _ in range(2)]

    assert [fact.get("text") for fact in heard] == [None, "only in the dale"]


async def test_who_leaves_is_announced() -> None:
    async with serve(app) as url, connect(f"{url}/chat/fell?name=Ada") as ada:
        async with connect(f"{url}/chat/fell?name=Bob"):
            await receive_until(ada, type="Came", name="Bob")

        await receive_until(ada, type="Went", name="Bob")


async def test_who_sends_no_text_is_put_out_and_announced_too() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/chat/fell?name=Ada") as ada,
        connect(f"{url}/chat/fell?name=Bob") as bob,
    ):
        await receive_until(ada, type="Came", name="Bob")
        await bob.send(b"\x00")

        assert (await closing(bob)).code == 1003
        await receive_until(ada, type="Went", name="Bob")


async def test_a_room_of_no_name_that_a_topic_can_have_refuses_its_guests() -> None:
    async with serve(app) as url, connect(f"{url}/chat/{'x' * 256}?name=Ada") as ada:
        assert (await closing(ada)).code == 4403
