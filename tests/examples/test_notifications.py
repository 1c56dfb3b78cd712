"""Tests of examples/notifications, without its page; that has a test of its own, in a browser."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from examples.notifications.app import Note, Read, app, tokens
from herdwick import serve
from herdwick.client import Client, GaveUp, HandshakeRefused, Message, Refused, Room
from tests.examples.client import PATIENCE
from tests.support.clients import as_ws, closing
from tests.support.clients import httpx_ws_client as connect

WORKER = "dog"


@pytest.fixture(autouse=True)
def nobody_logged_in() -> Iterator[None]:
    yield
    for token in tokens.keys() - {WORKER}:
        del tokens[token]


async def call(
    url: str, path: str, data: object, token: str = "nobody", **headers: str
) -> httpx.Response:
    headers["authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, headers=headers) as http:
        return await http.post(f"{url}/{path}", json=data)


async def log_in(url: str, name: str = "ada", password: str = "wool") -> str:
    answer = await call(url, "login", {"name": name, "password": password})
    token: str = answer.json()["token"]
    return token


async def notify(url: str, text: str, user: str = "ada", **headers: str) -> None:
    answer = await call(url, f"internal/users/{user}/notes", {"text": text}, WORKER, **headers)
    assert answer.status_code == 202


def device(url: str, token: str) -> Client:
    return Client(f"{as_ws(url)}/live", token=token)


async def next_of(room: Room) -> Any:
    return await anext(room.messages(Note | Read))


# ------------------------------------------------------------------ notes


async def test_a_note_reaches_all_devices_of_a_user_and_nobody_else() -> None:
    async with serve(app) as url:
        ada, bob = await log_in(url), await log_in(url, "bob", "fell")
        async with (
            device(url, ada) as phone,
            device(url, ada) as laptop,
            device(url, bob) as other,
            phone.join("user:ada") as on_phone,
            laptop.join("user:ada") as on_laptop,
            other.join("user:bob") as of_bob,
        ):
            await notify(url, "for Ada")
            await notify(url, "for Bob", "bob")

            assert (await next_of(on_phone)).text == "for Ada"
            assert (await next_of(on_laptop)).text == "for Ada"
            assert (await next_of(of_bob)).text == "for Bob"


async def test_a_device_that_was_away_gets_what_it_missed_and_nothing_twice() -> None:
    async with serve(app) as url:
        token = await log_in(url)
        async with device(url, token) as phone, phone.join("user:ada") as room:
            await notify(url, "before")
            seen = await anext(room)
            assert isinstance(seen, Message)
        await notify(url, "meanwhile")
        await notify(url, "meanwhile too")

        async with (
            device(url, token) as phone,
            phone.join("user:ada", since=seen.position) as room,
        ):
            await notify(url, "after")
            heard = [(await next_of(room)).text for _ in range(3)]
            assert room.recovered

    assert heard == ["meanwhile", "meanwhile too", "after"]


async def test_a_new_device_gets_all_there_is_and_how_far_it_was_read() -> None:
    async with serve(app) as url:
        token = await log_in(url)
        await notify(url, "old")
        async with device(url, token) as phone, phone.join("user:ada") as room:
            old = await next_of(room)
            assert (await call(url, "read", {"id": old.id}, token)).status_code == 202
            assert await next_of(room) == Read(old.id)
        await notify(url, "new")

        async with device(url, token) as laptop, laptop.join("user:ada") as room:
            heard = [await next_of(room) for _ in range(3)]

    assert heard[:2] == [old, Read(old.id)]
    assert heard[2].text == "new"


async def test_a_worker_that_tries_again_tells_once() -> None:
    async with serve(app) as url:
        token = await log_in(url)
        for text in ("once", "once", "another"):
            await notify(url, text, **{"idempotency-key": text})

        async with device(url, token) as phone, phone.join("user:ada") as room:
            heard = [(await next_of(room)).text for _ in range(2)]

    assert heard == ["once", "another"]


# ------------------------------------------------------------------ who may what


async def test_nobody_reads_the_notes_of_somebody_else() -> None:
    async with serve(app) as url:
        bob = await log_in(url, "bob", "fell")
        async with device(url, bob) as other:
            for topic in ("user:ada", "user:ada:more", "chat"):
                with pytest.raises(Refused):
                    async with other.join(topic):
                        pass


async def test_nobody_is_connected_without_a_token() -> None:
    async with serve(app) as url:
        for token in ("nobody", WORKER):
            with pytest.raises(HandshakeRefused):
                async with device(url, token):
                    pass


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("internal/users/ada/notes", {"text": "from a user"}, 403),
        ("read", {}, 400),
        ("read", {"id": "x" * 33}, 400),
        ("login", {"name": "ada", "password": "fell"}, 401),
        ("login", {"name": "eve", "password": "fell"}, 401),
    ],
)
async def test_what_a_user_may_not_do_is_refused(path: str, data: object, status: int) -> None:
    async with serve(app) as url:
        token = await log_in(url)

        assert (await call(url, path, data, token)).status_code == status


@pytest.mark.parametrize(
    ("user", "data", "status"),
    [("eve", {"text": "hello"}, 404), ("ada", {"text": " "}, 400), ("ada", {}, 400)],
)
async def test_a_note_to_nobody_or_of_nothing_is_refused(
    user: str, data: object, status: int
) -> None:
    async with serve(app) as url:
        answer = await call(url, f"internal/users/{user}/notes", data, WORKER)

    assert answer.status_code == status


async def test_who_logs_out_everywhere_is_out_on_all_devices_and_cannot_come_back() -> None:
    async with serve(app) as url:
        mine, my_other, bobs = (
            await log_in(url),
            await log_in(url),
            await log_in(url, "bob", "fell"),
        )
        async with device(url, bobs) as other, other.join("user:bob") as of_bob:
            await watch_the_end_of(url, mine, my_other)
            await notify(url, "still here", "bob")

            assert (await next_of(of_bob)).text == "still here"
        for token in (mine, my_other):
            assert (await call(url, "read", {"id": "1"}, token)).status_code == 401


async def watch_the_end_of(url: str, *owned: str) -> None:
    """Log out everywhere with the first of these tokens, on a device of each."""
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(
                connect(f"{url}/live", subprotocols=["herdwick.v1", f"bearer.{token}"])
            )
            for token in owned
        ]
        assert (await call(url, "log-out-everywhere", {}, owned[0])).status_code == 204
        assert [(await closing(peer)).code for peer in peers] == [4401] * len(owned)


async def test_a_device_that_is_logged_out_gives_up() -> None:
    async with serve(app) as url:
        token = await log_in(url)

        with pytest.raises(GaveUp):
            async with device(url, token) as phone, phone.join("user:ada") as room:
                await call(url, "log-out-everywhere", {}, token)
                await next_of(room)


async def test_the_page_and_its_parts_are_served() -> None:
    names = ("notes.js", "herdwick.js", "notes.css", "favicon.svg")
    async with serve(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        page = await http.get("/")
        parts = [await http.get(f"/{name}") for name in names]

    assert "Herdwick notes" in page.text
    assert [part.headers["content-type"].partition(";")[0] for part in parts] == [
        "text/javascript",
        "text/javascript",
        "text/css",
        "image/svg+xml",
    ]
