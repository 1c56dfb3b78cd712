"""The clients, in Python and in JavaScript, against Herdwick's own servers and rooms."""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event, Thread

import anyio
import guardpost
import pytest
from anyio.abc import TaskStatus
from guardpost import AuthenticationHandler

from examples.demo.fell import Crash, Rename, Said, Say
from herdwick import Application, Identity, Request, WebSocket, auth, everyone, serve
from herdwick.client import Client, Gap, Message, Refused, Rejoined, Room, StayedAway
from tests.client.fells import app
from tests.client.javascript.acts import Act
from tests.examples.pages import run_program
from tests.support.line import line_to


@asynccontextmanager
async def in_fell(url: str, name: str = "Ada") -> AsyncGenerator[Room]:
    """Be in a room as somebody who comes back after a moment of virtual time."""
    live = url.replace("http", "ws", 1) + "/live"
    token = f"token-of-{name}"
    async with (
        Client(live, token=token, random=lambda: 0.1) as client,
        client.join("fell:helvellyn", params={"name": name}) as room,
    ):
        yield room


async def say(room: Room, text: str) -> None:
    await room.push(Say(id=text, text=text))


async def hear(room: Room, count: int) -> list[str]:
    """Give the next texts, whatever else comes between them."""
    texts: list[str] = []
    async for event in room:
        assert not isinstance(event, Gap)
        if isinstance(event, Message) and event.payload["type"] == "Said":
            texts.append(event.decode(Said).text)
            if len(texts) == count:
                break
    return texts


async def test_members_hear_each_other_and_what_was_said_before() -> None:
    async with serve(app) as url, in_fell(url) as ada:
        await say(ada, "one")
        async with in_fell(url, "Bob") as bob:
            await say(bob, "two")

            assert await hear(ada, 2) == ["one", "two"]
            assert await hear(bob, 2) == ["one", "two"]


async def test_who_is_present_is_known_and_changes_are_told() -> None:
    async with serve(app) as url, in_fell(url) as ada:
        async with in_fell(url, "Bob") as bob:
            await bob.push(Rename("Bobby"))
            names: list[str] = []
            while names != ["Ada", "Bobby"]:
                await anext(ada)
                metas = [meta for key in ada.presence.values() for meta in key.values()]
                names = sorted(meta["name"] for meta in metas)
        while len(ada.presence) > 1:
            await anext(ada)


async def test_a_crash_of_the_room_is_an_event_like_any_other() -> None:
    async with serve(app) as url, in_fell(url) as ada, in_fell(url, "Bob") as bob:
        before = ada.payload["incarnation"]
        await say(ada, "before")
        await bob.push(Crash())
        await say(ada, "after")

        told = [
            event.payload
            for event in [await anext(bob) for _ in range(4)]
            if isinstance(event, Message)
        ]
        assert [each["type"] for each in told] == ["Said", "Restored", "Said"]
        assert told[1]["incarnation"] == before + 1


async def test_lost_connections_leave_no_hole_and_nothing_comes_twice() -> None:
    async with serve(app) as url:
        with line_to(url) as line:
            async with in_fell(line.url) as away, in_fell(url, "Bob") as near:
                for number in range(40):
                    if number % 10 == 5:
                        line.drop()
                    await say(near, f"{number}")

                assert await hear(away, 40) == [f"{number}" for number in range(40)]


async def test_after_a_restart_of_the_server_the_hole_is_told() -> None:
    async with anyio.create_task_group() as tasks:
        first, second = Stint(), Stint()
        url = await tasks.start(first.run, 0)
        async with in_fell(url) as ada:
            await say(ada, "lost")
            await hear(ada, 1)
            first.stop.set()
            await first.ended.wait()
            await tasks.start(second.run, int(url.rpartition(":")[2]))

            events = [event async for event in until_gap(ada)]
            await say(ada, "found")

            assert isinstance(events[-2], Rejoined)
            assert events[-1] == Gap("epoch")
            assert await hear(ada, 1) == ["found"]
        second.stop.set()


async def test_who_is_refused_is_told_why_and_the_others_go_on() -> None:
    async with serve(app) as url, in_fell(url):
        live = url.replace("http", "ws", 1) + "/live"
        async with Client(live, token="eve") as client:
            for topic, code in (("fell:nowhere", "forbidden"), ("valley:1", "unknown_topic")):
                with pytest.raises(Refused) as refused:
                    async with client.join(topic, params={"name": "Eve"}):
                        pass
                assert refused.value.code == code
            with pytest.raises(Refused) as refused:
                async with client.join("fell:helvellyn", params={"name": ""}):
                    pass
            assert refused.value.code == "invalid_message"
            async with client.join("fell:helvellyn", params={"name": "Eve"}) as room:
                with pytest.raises(Refused) as refused:
                    await room.push({"type": "Shout"})
                assert refused.value.code == "invalid_message"
                await say(room, "still here")


async def test_who_is_logged_out_stays_away() -> None:
    async with serve(app) as url:
        with pytest.raises(StayedAway) as away:
            async with in_fell(url) as ada:
                [key] = ada.payload["you"].split()
                assert app.users.disconnect(key) == 1
                async for _ in ada:
                    pass
        assert away.value.code == 4401


class ByName(AuthenticationHandler):
    """Takes a name as the token."""

    def authenticate(self, context: Request) -> guardpost.Identity | None:
        name = context.headers.get("authorization", "").removeprefix("Bearer ")
        return guardpost.Identity({"sub": name}, "token") if name else None


async def test_a_token_shown_first_lets_in_and_one_that_is_over_is_not_shown_again() -> None:
    over: set[str] = set()
    shown: list[str] = []
    guarded = Application()
    guarded.use_authentication().add(ByName())
    guarded.topic("news", authorize=everyone)

    @guarded.revalidate
    async def holds(identity: Identity) -> bool:
        return identity.id not in over

    @guarded.ws("/live")
    @auth(first_message=True)
    async def live(websocket: WebSocket, identity: Identity) -> None:
        shown.append(identity.id)
        await websocket.serve_rooms()

    names = iter(["ada", "ada-again", "ada-again"])

    async def token() -> str:
        return next(names)

    async with serve(guarded) as url:
        client = Client(f"{url.replace('http', 'ws')}/live", token=token, first_message=True)
        async with client, client.join("news") as room:
            await guarded.broadcast("news", "one")
            assert isinstance(await anext(room), Message)
            over.update({"ada", "ada-again"})
            assert await guarded.users.revalidate("ada") == 1
            assert isinstance(await anext(room), Rejoined)
            assert await guarded.users.revalidate("ada-again") == 1

            with pytest.raises(StayedAway, match="4401"):
                async for _ in room:
                    pass

    assert shown == ["ada", "ada-again"]


class Stint:
    """One run of the server, in a task of its own."""

    def __init__(self) -> None:
        self.stop = anyio.Event()
        self.ended = anyio.Event()

    async def run(
        self, port: int, *, task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        async with serve(app, port=port) as url:
            task_status.started(url)
            await self.stop.wait()
        self.ended.set()


async def until_gap(room: Room) -> AsyncGenerator[object]:
    async for event in room:
        yield event
        if isinstance(event, Gap):
            return


# ---------------------------------------------------------------------- JavaScript


@pytest.fixture(params=["asyncio", "trio"])
def program(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that runs as a program of its own."""
    with run_program("tests.client.fells", request.param) as url:
        yield url


def test_in_javascript_members_outlast_a_crash_of_the_room(act: Act, program: str) -> None:
    act("talksAcrossACrash", program)


def test_in_javascript_lost_connections_leave_no_hole(act: Act, program: str) -> None:
    with line_to(program) as line, again_and_again(line.drop):
        act("resumesWithoutAHole", f"{line.url} {program}")


@contextmanager
def again_and_again(call: object) -> Generator[None]:
    """Call something each 0.3 s, beside the block."""
    assert callable(call)
    done = Event()

    def go_on() -> None:
        while not done.wait(0.3):
            call()

    thread = Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
