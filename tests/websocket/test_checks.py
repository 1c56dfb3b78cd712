"""Sessions that are checked again while their connections are open."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import guardpost
import pytest
from guardpost import AuthenticationHandler

from herdwick import Application, HTTPError, Identity, Limits, Request, WebSocket, auth
from herdwick.testing import VIRTUAL_BACKENDS, Backend, TestClient, settle, virtual_backend
from herdwick.websocket.checks import Checks
from tests.runtime.samples import Door
from tests.websocket.rooms.inner import at, restarts


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on, with a clock that jumps."""
    return virtual_backend(request.param)


Hook = Callable[[Identity], Awaitable[bool]]

INTERVAL = 1800.0
"""Seconds within which everybody is asked about, unless said otherwise."""


class ByName(AuthenticationHandler):
    """Takes `ada/phone` for Ada on her phone; nobody has no id."""

    def authenticate(self, context: Request) -> guardpost.Identity | None:
        name, _, device = (context.headers.get("authorization") or "").partition("/")
        if not name:
            return None
        claims = {"device": device} if name == "nobody" else {"sub": name, "device": device}
        return guardpost.Identity(claims, "token")


class Sessions:
    """A hook that writes down whom it is asked about, and what it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.came = anyio.Event()
        self.over: set[str] = set()
        self.fails: Exception | None = None
        self.hangs = False
        self.door = Door(is_open=True)

    async def __call__(self, identity: Identity) -> bool:
        name, device = identity.claims.get("sub", ""), identity.claims["device"]
        self.asked.append((name, device))
        self.came.set()
        await self.door.passed()
        if self.hangs:
            await anyio.sleep_forever()
        if self.fails is not None:
            raise self.fails
        return not self.over & {name, device}


def checked(hook: Hook, limits: Limits | None = None) -> Application:
    """Give an application whose sessions are checked by a hook."""
    app = Application(limits=limits)
    app.use_authentication().add(ByName())

    @app.revalidate
    async def still_holds(identity: Identity) -> bool:
        return await hook(identity)

    @app.ws("/")
    @auth()
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket:
            await websocket.refresh("")

    @app.ws("/open")
    async def strangers(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()

    return app


def known_as(who: str) -> dict[str, Any]:
    return {"headers": {"authorization": who}}


# ------------------------------------------------------------------ in time


async def test_each_user_is_asked_about_within_the_interval_and_again_and_again() -> None:
    sessions = Sessions()
    async with (
        TestClient(checked(sessions)) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        await anyio.sleep(INTERVAL / 2 - 1)
        assert sessions.asked == []
        for round_ in range(1, 6):
            await anyio.sleep(INTERVAL)
            assert round_ <= len(sessions.asked) <= 2 * round_

        assert ada.close_code is None


async def test_a_session_that_is_over_is_closed_with_4401_and_others_go_on() -> None:
    sessions = Sessions()
    async with (
        TestClient(checked(sessions)) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
        client.websocket_connect("/", **known_as("bob/phone")) as bob,
    ):
        sessions.over.add("ada")
        await anyio.sleep(INTERVAL + 1)

        assert (ada.close_code, ada.close_reason) == (4401, "the session is over")
        assert bob.close_code is None


async def test_those_who_came_at_once_are_not_asked_about_at_once() -> None:
    moments: set[float] = set()

    async def hook(identity: Identity) -> bool:
        moments.add(anyio.current_time())
        return True

    app = checked(hook)
    async with TestClient(app) as client, anyio.create_task_group() as tasks:

        async def come(name: str) -> None:
            async with client.websocket_connect("/", **known_as(f"{name}/phone")):
                await anyio.sleep(INTERVAL)

        for number in range(50):
            tasks.start_soon(come, f"user{number}")

    assert len(moments) == 50
    assert max(moments) - min(moments) > INTERVAL / 10


async def test_the_hook_is_asked_once_about_all_connections_with_the_same_claims() -> None:
    sessions = Sessions()
    app = checked(sessions)
    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as one,
        client.websocket_connect("/", **known_as("ada/phone")) as two,
        client.websocket_connect("/", **known_as("ada/desk")) as desk,
    ):
        sessions.over.add("phone")
        await anyio.sleep(INTERVAL + 1)

        assert sorted(sessions.asked) == [("ada", "desk"), ("ada", "phone")]
        assert (one.close_code, two.close_code, desk.close_code) == (4401, 4401, None)
        assert app.users.connections("ada") == 1


async def test_who_has_no_id_is_asked_about_too_and_who_has_no_identity_is_not() -> None:
    sessions = Sessions()
    async with (
        TestClient(checked(sessions)) as client,
        client.websocket_connect("/", **known_as("nobody/phone")) as nobody,
        client.websocket_connect("/open") as stranger,
    ):
        sessions.over.add("phone")
        await anyio.sleep(INTERVAL + 1)

        assert sessions.asked == [("", "phone")]
        assert (nobody.close_code, stranger.close_code) == (4401, None)


async def test_nobody_is_asked_about_who_has_left() -> None:
    sessions = Sessions()
    app = checked(sessions)
    async with TestClient(app) as client:
        for who in ("ada/phone", "nobody/phone"):
            async with client.websocket_connect("/", **known_as(who)):
                pass
        await settle()
        await anyio.sleep(2 * INTERVAL)

    assert sessions.asked == []


async def test_a_client_cannot_put_the_check_off_by_showing_its_token_again() -> None:
    sessions = Sessions()
    app = Application()
    app.revalidate(sessions.__call__)

    class Always(AuthenticationHandler):
        def authenticate(self, context: Request) -> guardpost.Identity | None:
            return guardpost.Identity({"sub": "ada", "device": "phone"}, "token")

    app.use_authentication().add(Always())

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for token in websocket.iter_text():
            await websocket.refresh(token)

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        sessions.over.add("ada")
        for _ in range(19):
            await anyio.sleep(100)
            if ada.close_code is None:
                await ada.send_text("again")

        assert ada.close_code == 4401


async def test_none_turns_it_off_and_asking_now_still_works() -> None:
    sessions = Sessions()
    app = checked(sessions, Limits(revalidate_interval=None))
    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        await anyio.sleep(10 * INTERVAL)
        assert sessions.asked == []

        assert await app.users.revalidate("ada") == 0
        sessions.over.add("ada")
        assert await app.users.revalidate("ada") == 1
        assert ada.close_code == 4401


# ------------------------------------------------------------------ hooks that fail


async def test_a_hook_that_raises_closes_with_4401_is_logged_and_tells_the_client_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sessions = Sessions()
    sessions.fails = LookupError("a secret")
    async with (
        TestClient(checked(sessions)) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        await anyio.sleep(INTERVAL + 1)

        assert (ada.close_code, ada.close_reason) == (4401, "the session is over")
    records = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert [each.getMessage() for each in records] == [
        "a session could not be checked, so it is over"
    ]
    assert records[0].exc_info is not None


async def test_a_hook_that_hangs_has_10_seconds() -> None:
    sessions = Sessions()
    sessions.hangs = True
    app = checked(sessions)
    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(app.users.revalidate, "ada")
        await anyio.sleep(9.9)
        assert ada.close_code is None
        await anyio.sleep(0.2)

        assert ada.close_code == 4401


async def test_a_hook_that_says_nothing_has_not_said_that_the_session_holds() -> None:
    async def forgetful(identity: Identity) -> bool:
        return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    async with (
        TestClient(checked(forgetful)) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        await anyio.sleep(INTERVAL + 1)

        assert ada.close_code == 4401


async def test_no_more_than_32_users_are_asked_about_at_the_same_time() -> None:
    running, most = 0, 0

    async def slow(identity: Identity) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(5)
        running -= 1
        return True

    app = checked(slow, Limits(revalidate_interval=0.1))
    async with TestClient(app) as client, anyio.create_task_group() as tasks:

        async def come(name: str) -> None:
            async with client.websocket_connect("/", **known_as(f"{name}/phone")) as socket:
                await anyio.sleep(20)
                assert socket.close_code is None

        for number in range(100):
            tasks.start_soon(come, f"user{number}")

    assert most == 32


# ------------------------------------------------------------------ what changes meanwhile


async def test_who_shows_another_token_while_the_hook_thinks_is_judged_by_that_one() -> None:
    sessions = Sessions()
    sessions.door.shut()
    app = Application()
    app.use_authentication().add(ByName())
    app.revalidate(sessions.__call__)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for token in websocket.iter_text():
            try:
                await websocket.refresh(token)
            except HTTPError as error:
                await websocket.send_json(error.status)
            else:
                await websocket.send_text("taken")

    class ByBearer(ByName):
        def authenticate(self, context: Request) -> guardpost.Identity | None:
            text = (context.headers.get("authorization") or "").removeprefix("Bearer ")
            name, _, device = text.partition("/")
            return guardpost.Identity({"sub": name, "device": device}, "token") if name else None

    app.use_authentication().handlers[:] = [ByBearer()]

    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/old")) as ada,
        anyio.create_task_group() as tasks,
    ):
        sessions.over.add("old")
        tasks.start_soon(app.users.revalidate, "ada")
        await settle()
        await ada.send_text("ada/new")
        assert await ada.receive() == "taken"
        sessions.door.open()
        await settle()

        assert sessions.asked == [("ada", "old")]
        assert ada.close_code is None


async def test_who_leaves_while_the_hook_thinks_is_forgotten() -> None:
    sessions = Sessions()
    sessions.over.add("ada")
    sessions.door.shut()
    app = checked(sessions)
    async with TestClient(app) as client:
        async with client.websocket_connect("/", **known_as("ada/phone")):
            await anyio.sleep(INTERVAL)
            assert sessions.asked == [("ada", "phone")]
        sessions.door.open()
        await anyio.sleep(2 * INTERVAL)

        assert len(sessions.asked) == 1
        assert len(app.users) == 0


async def test_an_application_stops_although_a_hook_hangs() -> None:
    sessions = Sessions()
    sessions.hangs = True
    app = checked(sessions)
    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        await sessions.came.wait()
        await app.drain()

        assert ada.close_code == 1012


# ------------------------------------------------------------------ how it is given


async def test_without_a_hook_nobody_can_be_asked_and_nothing_is_planned() -> None:
    app = Application()
    app.use_authentication().add(ByName())

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/", **known_as("ada/phone")):
        assert all("sessions" not in node.path for node in app.system.tree())
        with pytest.raises(RuntimeError, match=r"@app\.revalidate"):
            await app.users.revalidate("ada")


async def test_a_crash_of_who_asks_loses_nobody() -> None:
    sessions = Sessions()
    sessions.door.shut()
    app = checked(sessions)
    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        await sessions.came.wait()
        at(app, "root/sessions").tell("what it does not know")
        await anyio.sleep(5)
        assert restarts(app, "root/sessions") == 1
        sessions.door.open()
        sessions.over.add("ada")
        await anyio.sleep(INTERVAL)

        assert ada.close_code == 4401


async def test_who_falls_due_while_nobody_asks_is_asked_about_later() -> None:
    sessions = Sessions()
    sessions.over.add("ada")
    app = checked(sessions)
    async with (
        TestClient(app) as client,
        client.websocket_connect("/", **known_as("ada/phone")) as ada,
    ):
        asker = at(app, "root/sessions")
        await app.system.terminate_child(asker)
        await anyio.sleep(INTERVAL)
        assert sessions.asked == []

        await app.system.restart_child(asker)
        await settle()
        assert ada.close_code == 4401


async def test_a_hook_is_one_async_function_given_before_the_start() -> None:
    app = Application()
    with pytest.raises(TypeError, match="async def"):
        app.revalidate(bool)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    app.revalidate(Sessions().__call__)
    with pytest.raises(RuntimeError, match="put both into one"):
        app.revalidate(Sessions().__call__)

    late = Application()
    async with late.running():
        with pytest.raises(RuntimeError, match="before"):
            late.revalidate(Sessions().__call__)


async def test_an_application_that_runs_a_second_time_checks_again() -> None:
    sessions = Sessions()
    app = checked(sessions)
    for _ in range(2):
        async with (
            TestClient(app) as client,
            client.websocket_connect("/", **known_as("ada/phone")),
        ):
            await anyio.sleep(INTERVAL)

    assert len(sessions.asked) >= 2


async def test_whoever_comes_and_goes_while_somebody_is_due_is_planned_once() -> None:
    """The last connection of a user leaves, and another comes, before it is asked about."""

    class Plan:
        def __init__(self) -> None:
            self.armed: list[Armed] = []

        def call_later(self, delay: float, call: Callable[[], None]) -> "Armed":
            armed = Armed(self, call)
            self.armed.append(armed)
            return armed

    class Armed:
        def __init__(self, plan: Plan, call: Callable[[], None]) -> None:
            self.plan, self.call = plan, call

        def cancel(self) -> None:
            if self in self.plan.armed:
                self.plan.armed.remove(self)

        def fire(self) -> None:
            self.plan.armed.remove(self)
            self.call()

    async def hook(identity: Identity) -> bool:
        return True

    async def judge(owner: object) -> int:
        return 0

    plan: Any = Plan()
    checks = Checks(hook, INTERVAL, lambda: plan, judge)
    turns = anyio.Semaphore(1)
    checks.begin("ada")
    for _ in range(5):
        plan.armed[0].fire()
        due = checks.take_due()
        checks.end("ada")
        checks.begin("ada")
        for owner in due:
            await checks.check(owner, turns)

        assert len(plan.armed) == 1
