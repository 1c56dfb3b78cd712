"""Joins that are refused, cut short or too late: each leaves nothing behind."""

import anyio
import pytest

from herdwick import (
    Application,
    InvalidWebSocketStateError,
    JoinRefused,
    Left,
    Limits,
    Member,
    Params,
    Room,
    RoomUnavailable,
    WebSocket,
    WebSocketDisconnectError,
)
from herdwick.actors import AlreadyJoined, JoinFailed, TooManyTopics
from herdwick.testing import TestClient, settle
from tests.runtime.samples import Door
from tests.websocket.rooms.inner import realtime
from tests.websocket.rooms.stage import diary, ending, joins

# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize("where", ["authorize", "on_join", "on_start"])
async def test_a_refusal_closes_with_4403_and_its_reason(where: str) -> None:
    app = Application()

    async def refuse(*_: object) -> None:
        raise JoinRefused("members only")

    app.room("room")(type("Own", (Room,), {where: refuse}))
    joins(app, "room")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ending(ada) == (4403, "members only")
        assert ada.error is None
        assert all(node.restarts == 0 for node in app.system.tree())


async def test_a_refusal_that_is_worth_another_try_closes_with_1013() -> None:
    app = Application()

    async def full(member: Member, params: Params) -> None:
        raise JoinRefused("full", retry_after=5)

    app.topic("chat", authorize=full)
    joins(app, "chat")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ending(ada) == (1013, "full")


@pytest.mark.parametrize("where", ["authorize", "on_join"])
async def test_an_error_refuses_that_one_join_and_charges_nobody(where: str) -> None:
    app = Application()
    errors = [ValueError("a secret"), None]

    async def fail(*_: object) -> None:
        error = errors.pop(0)
        if error is not None:
            raise error

    app.room("room")(type("Own", (Room,), {where: fail}))
    joins(app, "room")

    async with (
        TestClient(app) as client,
        client.websocket_connect("/") as ada,
        client.websocket_connect("/") as bob,
    ):
        code, reason = await ending(ada)

        assert code == 1013
        assert "secret" not in reason
        await settle()
        assert bob.close_code is None
        assert all(node.restarts == 0 for node in app.system.tree())


async def test_a_handler_may_catch_the_refusal_and_its_cause() -> None:
    app = Application()
    caught: list[JoinFailed] = []

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            raise ValueError("a bug")

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async with websocket.join("room"):
                pass
        except JoinFailed as error:
            caught.append(error)
            await websocket.send_text("try another one")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ada.receive_text() == "try another one"

    assert isinstance(caught[0].__cause__, ValueError)


async def test_a_refusal_before_accept_is_a_403_and_one_worth_another_try_a_503() -> None:
    app = Application()

    @app.ws("/{seconds}")
    async def handler(websocket: WebSocket, seconds: str) -> None:
        raise JoinRefused("no", retry_after=float(seconds) or None)

    async with TestClient(app) as client:
        async with client.websocket_connect("/0") as ada:
            assert ada.rejection is not None
            assert ada.rejection.status == 403
        async with client.websocket_connect("/7") as bob:
            assert bob.rejection is not None
            assert bob.rejection.status == 503
            assert bob.rejection.headers["retry-after"] == "7"


async def test_a_room_that_does_not_start_closes_with_1013() -> None:
    app = Application()

    @app.room("room")
    class Broken(Room):
        async def on_start(self) -> None:
            raise OSError("no database")

    joins(app, "room")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        code, reason = await ending(ada)

    assert code == 1013
    assert "database" not in reason


async def test_joining_twice_and_joining_too_many_are_refused() -> None:
    app = Application(limits=Limits(topics=2))
    errors: list[JoinRefused] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("a"):
            for names in (["a"], ["b", "c"]):
                with pytest.raises(JoinRefused) as caught:
                    async with websocket.join(names[0]), websocket.join(names[-1]):
                        pass
                errors.append(caught.value)
        async with websocket.join("a"), websocket.join("b"):
            await websocket.send_text("fine")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ada.receive_text() == "fine"

    assert [type(error) for error in errors] == [AlreadyJoined, TooManyTopics]


async def test_a_route_may_have_a_limit_of_its_own() -> None:
    app = Application()

    @app.ws("/", topics=1)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("a"), websocket.join("b"):
            pass

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        code, reason = await ending(ada)

    assert code == 4403
    assert "1 topics" in reason


# ------------------------------------------------------------------ when it cannot be


async def test_a_join_before_accept_and_one_after_the_disconnect_are_errors() -> None:
    app = Application()
    errors: list[BaseException] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(InvalidWebSocketStateError, match="call accept"):
            websocket.join("chat")
        await websocket.accept()
        await websocket.wait_closed()
        with pytest.raises(WebSocketDisconnectError) as caught:
            websocket.join("chat")
        errors.append(caught.value)

    async with TestClient(app) as client, client.websocket_connect("/"):
        pass

    assert len(errors) == 1


async def test_a_client_that_leaves_while_it_joins_leaves_nothing_behind() -> None:
    app = Application()
    door, journal = Door(), list[str]()

    @app.room("room", presence=True)
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            self.presence.track(member, {})
            await door.passed()
            journal.append("join")

        async def on_leave(self, member: Member, reason: Left) -> None:
            journal.append(f"leave {reason.kind}")

    joins(app, "room")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        await settle()
        ada.leave()
        await settle()
        door.open()
        await ada.wait_handler()
        await settle()

        assert ada.error is None
        assert journal == ["join", "leave lost"]
        assert realtime(app).topics["room"].members == {}
        assert app.presence("room") == {}


async def test_a_room_does_not_hear_of_who_left_while_his_join_waited() -> None:
    app = Application()
    door, joined = Door(), list[str]()

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            joined.append(params["name"])
            await door.passed()

    joins(app, "room")

    async with TestClient(app) as client, client.websocket_connect("/?name=ada") as ada:
        await settle()
        async with client.websocket_connect("/?name=bob") as bob:
            await settle()
            bob.leave()
            await settle()
            door.open()
            await bob.wait_handler()

        assert (ada.close_code, bob.error) == (None, None)
        assert joined == ["ada"]


@pytest.mark.parametrize("where", ["authorize", "on_join"])
async def test_a_cancelled_join_leaves_nothing_behind_and_can_be_tried_again(where: str) -> None:
    app = Application()
    door = Door()
    outcome: list[str] = []

    async def hold(*_: object) -> None:
        await door.passed()

    app.room("room")(type("Own", (Room,), {where: hold}))

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with anyio.move_on_after(1):
            async with websocket.join("room"):
                outcome.append("in")
        assert websocket.connection.memberships == {}
        door.open()
        async with websocket.join("room"):
            await websocket.send_text("in")
            await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ada.receive_text() == "in"
        assert len(realtime(app).topics["room"].members) == 1

    assert outcome == []


async def test_a_room_that_takes_no_notice_in_time_is_unavailable() -> None:
    app = Application()
    own = diary(app)
    caught: list[RoomUnavailable] = []

    class Slow(own):  # type: ignore[valid-type,misc]
        async def on_join(self, member: Member, params: Params) -> object:
            await self.door.passed()
            return None

    app.room("slow:{name}")(Slow)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async with websocket.join("slow:a"):
                pass
        except RoomUnavailable as error:
            caught.append(error)

    async with TestClient(app, timeout=30) as client, client.websocket_connect("/") as ada:
        await ending(ada)
        own.door.open()
        await settle()

        assert realtime(app).topics["slow:a"].members == {}
    assert caught[0].retry_after == 1.0
    assert own.journal[-1:] == ["leave lost"]


async def test_a_greeting_that_cannot_be_encoded_refuses_the_join_and_is_heard_by_nobody() -> None:
    app = Application()

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> object:
            return object()

    joins(app, "room")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert (await ending(ada))[0] == 1013
        await settle()
        assert realtime(app).topics["room"].members == {}


async def test_a_greeting_larger_than_the_outbox_still_arrives() -> None:
    app = Application(limits=Limits(outbox_bytes=1000))
    own = diary(app)
    joins(app, "room:a", params={"welcome": "x" * 5000})

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert len(await ada.receive_text()) == 5000
        await app.broadcast("room:a", "after")

        assert await ada.receive_text() == "after"
    assert own.journal == ["start", "join", "leave left"]
