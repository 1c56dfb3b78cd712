"""Tests of examples/demo, without its page; that has a test of its own, in a browser."""

import httpx

from examples.demo.app import app
from herdwick import serve
from tests.examples.client import receive_until
from tests.support.clients import Peer, receive_json, send_json
from tests.support.clients import httpx_ws_client as connect


async def enter(peer: Peer, name: str) -> list[str]:
    """Tell a name, and give what was said before."""
    await send_json(peer, {"type": "Enter", "name": name})
    welcome = await receive_until(peer, type="Welcome")
    await receive_until(peer, type="Here")
    return [said["text"] for said in welcome["history"]]


async def test_what_one_says_reaches_all_and_is_kept() -> None:
    async with serve(app) as url, connect(f"{url}/lobby") as ada:
        await enter(ada, "Ada")
        async with connect(f"{url}/lobby") as bob:
            await enter(bob, "Bob")
            await send_json(ada, {"type": "Say", "text": "hello"})

            for peer in (ada, bob):
                said = await receive_until(peer, type="Said")
                assert (said["name"], said["text"]) == ("Ada", "hello")

        async with connect(f"{url}/lobby") as cyd:
            assert await enter(cyd, "Cyd") == ["hello"]


async def test_everybody_sees_who_comes_who_changes_the_name_and_who_goes() -> None:
    async with serve(app) as url, connect(f"{url}/lobby") as ada:
        await enter(ada, "Ada")
        async with connect(f"{url}/lobby") as bob:
            await enter(bob, "Bob")
            await receive_until(ada, type="Note", text="Bob came in")
            await receive_until(ada, type="Here", names=["Ada", "Bob"])

            await send_json(bob, {"type": "Enter", "name": "Rob"})
            await receive_until(ada, type="Note", text="Bob is now Rob")
            await receive_until(ada, type="Here", names=["Ada", "Rob"])

        await receive_until(ada, type="Note", text="Rob left")
        await receive_until(ada, type="Here", names=["Ada"])


async def test_a_crash_drops_nobody_and_takes_the_history_with_it() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/lobby") as ada,
        connect(f"{url}/lobby") as bob,
        connect(f"{url}/lobby") as cyd,
    ):
        await enter(ada, "Ada")
        await enter(bob, "Bob")
        await send_json(ada, {"type": "Say", "text": "lost"})
        await send_json(ada, {"type": "Crash"})
        await send_json(ada, {"type": "Say", "text": "kept"})

        for peer in (ada, bob):
            await receive_until(peer, type="Restored", incarnation=2)
            await receive_until(peer, type="Here", names=["Ada", "Bob"])
            await receive_until(peer, type="Said", text="kept")
        assert await enter(cyd, "Cyd") == ["kept"]


async def test_crashing_it_over_and_over_takes_a_branch_of_the_tree_and_still_drops_nobody() -> (
    None
):
    async with serve(app) as url, connect(f"{url}/lobby") as ada:
        await enter(ada, "Ada")

        for _ in range(6):
            await send_json(ada, {"type": "Crash"})
            await receive_until(ada, type="Restored")
        await send_json(ada, {"type": "Say", "text": "still here"})

        await receive_until(ada, type="Said", text="still here")


async def test_a_name_or_text_that_is_none_is_answered_and_harms_nobody() -> None:
    async with serve(app) as url, connect(f"{url}/lobby") as ada:
        for bad in (
            {"type": "Enter", "name": " "},
            {"type": "Enter", "name": "x" * 25},
            {"type": "Say", "text": "x" * 501},
            {"type": "Gone", "member": "Ada"},
        ):
            await send_json(ada, bad)
            assert (await receive_json(ada))["error"] == "invalid_message"

        assert await enter(ada, "Ada") == []


async def test_who_has_not_entered_is_not_heard() -> None:
    async with serve(app) as url, connect(f"{url}/lobby") as ada, connect(f"{url}/lobby") as bob:
        await send_json(bob, {"type": "Say", "text": "psst"})
        await enter(bob, "Bob")

        assert await enter(ada, "Ada") == []


async def test_the_page_and_its_parts_are_served() -> None:
    async with serve(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        page = await http.get("/")
        parts = [await http.get(f"/{name}") for name in ("lobby.js", "lobby.css", "favicon.svg")]

    assert "Herdwick lobby" in page.text
    assert [part.headers["content-type"].partition(";")[0] for part in parts] == [
        "text/javascript",
        "text/css",
        "image/svg+xml",
    ]
