"""Tests of examples/demo, without its page; that has a test of its own, in a browser."""

import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from examples.demo.app import app
from examples.demo.fell import FELLS
from herdwick import serve
from herdwick.client import Client, Event, Gap, Message, PresenceChanged, Refused, Rejoined, Room
from tests.examples.client import PATIENCE
from tests.support.clients import as_ws
from tests.support.waiting import until


@asynccontextmanager
async def guest(
    url: str, name: str, *, token: str | None = None, fell: str = "skiddaw"
) -> AsyncGenerator[Room]:
    """Be in a fell as this guest, who shows the name as the token unless another one is given."""
    with anyio.fail_after(PATIENCE):
        async with (
            Client(f"{as_ws(url)}/live", token=token or name, random=lambda: 0.0) as client,
            client.join(f"fell:{fell}", params={"name": name}) as room,
        ):
            yield room


async def say(room: Room, text: str, *, id: str | None = None) -> None:
    await room.push({"type": "Say", "id": id or text, "text": text})


async def crash(room: Room) -> None:
    await room.push({"type": "Crash"})


async def heard(room: Room, count: int) -> list[dict[str, Any]]:
    """Take that many messages, and leave out all other events."""
    messages = room.messages()
    return [await anext(messages) for _ in range(count)]


async def events_until(room: Room, is_last: Callable[[Event], object]) -> list[Event]:
    """Take events up to the first like that, and give all of them."""
    events: list[Event] = []
    async for event in room:
        events.append(event)
        if is_last(event):
            break
    return events


def says(text: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Message) and event.payload.get("text") == text


def texts(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages if message["type"] == "Said"]


def names(room: Room) -> list[str]:
    """Give the names of those who are present, each person's once."""
    return sorted({meta["name"] for tabs in room.presence.values() for meta in tabs.values()})


# ---------------------------------------------------------------------- a chat


async def test_what_one_says_reaches_all_and_comes_first_for_who_joins_later() -> None:
    async with serve(app) as url, guest(url, "Ada") as ada:
        async with guest(url, "Bob") as bob:
            await say(ada, "hello")

            for room in (ada, bob):
                (said,) = await heard(room, 1)
                assert (said["name"], said["text"]) == ("Ada", "hello")
                assert said["who"] == ada.payload["you"]

        async with guest(url, "Cyd") as cyd:
            assert texts(await heard(cyd, 1)) == ["hello"]


async def test_everybody_sees_who_comes_who_changes_the_name_and_who_goes() -> None:
    async with serve(app) as url, guest(url, "Ada") as ada:
        async with guest(url, "Bob") as bob:
            await until(lambda: names(ada) == names(bob) == ["Ada", "Bob"])

            await bob.push({"type": "Rename", "name": "Rob"})
            await until(lambda: names(ada) == ["Ada", "Rob"])

        await until(lambda: names(ada) == ["Ada"])


async def test_the_tabs_of_one_guest_count_as_one_and_nobody_is_told_the_token() -> None:
    async with (
        serve(app) as url,
        guest(url, "Ada") as ada,
        guest(url, "Bob", token="wool") as bob,
        guest(url, "Bob", token="wool"),
    ):
        await until(lambda: len(ada.presence.get(bob.payload["you"], {})) == 2)

        assert set(ada.presence) == {ada.payload["you"], bob.payload["you"]}
        assert "wool" not in repr(ada.presence)


async def test_what_is_said_again_for_want_of_an_answer_is_heard_once() -> None:
    async with serve(app) as url, guest(url, "Ada") as ada, guest(url, "Bob") as bob:
        await say(ada, "once", id="1")
        await say(ada, "once", id="1")
        await say(bob, "of another guest", id="1")

        assert texts(await heard(bob, 2)) == ["once", "of another guest"]


async def test_each_fell_is_a_room_of_its_own() -> None:
    async with (
        serve(app) as url,
        guest(url, "Ada", fell="skiddaw") as ada,
        guest(url, "Bob", fell="catbells") as bob,
    ):
        await say(ada, "on Skiddaw")
        await say(bob, "on Catbells")

        assert texts(await heard(bob, 1)) == ["on Catbells"]
        assert names(bob) in ([], ["Bob"])


async def test_a_fell_that_is_none_and_names_and_texts_that_are_none_are_refused() -> None:
    async with serve(app) as url:
        with pytest.raises(Refused, match="no such fell"):
            async with guest(url, "Ada", fell="everest"):
                pass
        with pytest.raises(Refused, match="name"):
            async with guest(url, " ", token="Ada"):
                pass
        async with guest(url, "Ada") as ada:
            for bad in (
                {"type": "Rename", "name": "x" * 25},
                {"type": "Say", "id": "1", "text": "x" * 501},
                {"type": "Say", "text": "without an id"},
                {"type": "Fail"},
            ):
                with pytest.raises(Refused) as refused:
                    await ada.push(bad)
                assert refused.value.code == "invalid_message"

            assert ada.payload["incarnation"] == 1
            await say(ada, "still here")


# ---------------------------------------------------------------------- what goes wrong


async def test_a_crash_in_mid_conversation_drops_nobody_and_loses_and_doubles_nothing() -> None:
    async with (
        serve(app) as url,
        guest(url, "Ada") as ada,
        guest(url, "Bob") as bob,
        guest(url, "Cyd") as cyd,
    ):
        await until(lambda: names(cyd) == ["Ada", "Bob", "Cyd"])
        present = dict(cyd.presence)

        async def talk(room: Room, name: str) -> None:
            for number in range(40):
                await say(room, f"{name} {number}")
                if number % 20 == 10:
                    await crash(room)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk, ada, "Ada")
            tasks.start_soon(talk, bob, "Bob")
        await say(ada, "the end")

        seen = [await events_until(room, says("the end")) for room in (ada, bob, cyd)]
        said = [
            [event.payload for event in events if isinstance(event, Message)] for events in seen
        ]
        assert said[0] == said[1] == said[2]
        for name in ("Ada", "Bob"):
            of_one = [text for text in texts(said[0]) if text.startswith(name)]
            assert of_one == [f"{name} {number}" for number in range(40)]
        restored = [each["incarnation"] for each in said[0] if each["type"] == "Restored"]
        assert restored == [2, 3, 4, 5]
        assert not any(isinstance(event, Rejoined | Gap) for events in seen for event in events)
        assert dict(cyd.presence) == present


async def test_who_comes_after_a_crash_hears_what_was_said_before_it() -> None:
    async with serve(app) as url, guest(url, "Ada") as ada:
        await say(ada, "before")
        await crash(ada)
        await say(ada, "after")

        async with guest(url, "Bob") as bob:
            assert bob.payload["incarnation"] == 2
            assert texts(await heard(bob, 3)) == ["before", "after"]
            await until(lambda: names(bob) == ["Ada", "Bob"])


async def test_who_was_away_hears_what_was_said_meanwhile_and_nothing_twice() -> None:
    back = anyio.Event()
    back.set()

    async def token() -> str:  # the client asks for it before each connection
        await back.wait()
        return "Bob"

    async with (
        serve(app) as url,
        guest(url, "Ada") as ada,
        Client(f"{as_ws(url)}/live", token=token, random=lambda: 0.0) as client,
        client.join("fell:skiddaw", params={"name": "Bob"}) as bob,
    ):
        await say(ada, "before")
        assert texts(await heard(bob, 1)) == ["before"]

        back = anyio.Event()
        app.users.disconnect(bob.payload["you"], code=4000)
        await until(lambda: not client.connected)
        await say(ada, "meanwhile")
        await crash(ada)
        await say(ada, "after the crash")
        back.set()
        await say(bob, "back")

        events = await events_until(bob, says("back"))
        assert [event.recovered for event in events if isinstance(event, Rejoined)] == [True]
        said = [event.payload for event in events if isinstance(event, Message)]
        assert texts(said) == ["meanwhile", "after the crash", "back"]
        assert not any(isinstance(event, Gap) for event in events)


async def test_a_room_that_crashes_over_and_over_rests_and_goes_on_with_all_that_was_said() -> None:
    async with serve(app) as url, guest(url, "Ada") as ada:
        await say(ada, "before")
        for _ in range(6):
            await crash(ada)
        await until(lambda: not ada.joined)
        await say(ada, "after")

        events = await events_until(ada, says("after"))
        said = [event.payload for event in events if isinstance(event, Message)]
        assert texts(said) == ["before", "after"]
        assert [event.recovered for event in events if isinstance(event, Rejoined)] == [True]


async def test_who_is_back_within_the_grace_was_never_absent() -> None:
    async with serve(app) as url, guest(url, "Ada") as ada, guest(url, "Bob") as bob:
        key = bob.payload["you"]
        await events_until(ada, lambda event: names(ada) == ["Ada", "Bob"])

        app.users.disconnect(key, code=4000)
        changes = await events_until(
            ada, lambda event: isinstance(event, PresenceChanged) and key in event.joins
        )

        assert not any(isinstance(event, PresenceChanged) and event.leaves for event in changes)
        assert len(ada.presence[key]) == 2  # the connection that is lost, and the new one
        await until(lambda: names(bob) == ["Ada", "Bob"])


# ---------------------------------------------------------------------- the page


async def test_the_page_and_its_parts_are_served() -> None:
    parts = ("chat.js", "chat.css", "favicon.svg", "herdwick.js")
    async with serve(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        page = await http.get("/")
        answers = [await http.get(f"/{name}") for name in parts]

    assert set(re.findall(r'href="#(\w+)"', page.text)) == FELLS
    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == [
        "text/javascript",
        "text/css",
        "image/svg+xml",
        "text/javascript",
    ]
    assert "export class Client" in answers[-1].text
