"""Rooms: pushes and their replies, leaves, snapshots, and how a room comes and goes."""

from typing import Any

import anyio
import pytest

from herdwick import (
    Application,
    Ask,
    AskTimeout,
    Expired,
    HandlerFailed,
    InvalidMessage,
    JoinRefused,
    Left,
    Member,
    Membership,
    Message,
    NotAMember,
    Rejected,
    Room,
    RoomFull,
    WebSocket,
    WebSocketDisconnectError,
    from_member,
)
from herdwick.testing import TestClient, settle
from tests.runtime.samples import Door
from tests.websocket.rooms.inner import realtime
from tests.websocket.rooms.stage import (
    Count,
    Defer,
    Fail,
    Kick,
    Note,
    Refuse,
    Reveal,
    Say,
    Stay,
    diary,
    heard,
    membership,
)

# ------------------------------------------------------------------ pushes


async def test_a_push_returns_what_the_handler_returns_and_none_for_a_message() -> None:
    app = Application()
    replies: list[object] = []

    async def script(room: Membership[Any]) -> None:
        replies.append(await room.push(Say("a")))
        replies.append(await room.push(Count()))

    async with membership(app, diary(app), script) as (_, socket):
        assert await heard(socket) == ["a"]

    assert replies == [None, 1]


async def test_a_deferred_reply_comes_when_it_is_given() -> None:
    app = Application()
    own = diary(app)

    async def script(room: Membership[Any]) -> None:
        await room.broadcast(await room.push(Defer()))

    async with membership(app, own, script) as (_, socket):
        assert await heard(socket) == []
        app.room_ref(own, "fell").tell(Reveal("at last"))

        assert await heard(socket) == ["at last"]


async def test_a_rejection_and_a_failure_are_the_members_and_the_room_goes_on() -> None:
    app = Application()
    own = diary(app)

    async def script(room: Membership[Any]) -> None:
        with pytest.raises(Rejected) as rejected:
            await room.push(Refuse("not you"))
        assert rejected.value.error == "not you"
        with pytest.raises(HandlerFailed, match="room:fell failed on Fail, and goes on") as failed:
            await room.push(Fail())
        assert isinstance(failed.value.__cause__, ValueError)
        await room.push(Say("still here"))

    async with membership(app, own, script) as (_, socket):
        assert await heard(socket) == ["still here"]

    assert own.journal == ["start", "join", "leave left"]


async def test_pushing_what_the_room_does_not_take_is_the_programs_mistake() -> None:
    app = Application()

    async def script(room: Membership[Any]) -> None:
        with pytest.raises(TypeError, match=r"give it a method marked @from_member\(Note\)"):
            await room.push(Note("no"))

    async with membership(app, diary(app), script):
        pass


async def test_a_push_to_a_plain_topic_says_to_broadcast() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as room:
            with pytest.raises(TypeError, match="has no room that could take Say; broadcast it"):
                await room.push(Say("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async with TestClient(app) as client, client.websocket_connect("/"):
        await settle()


async def test_a_push_after_the_leave_is_refused() -> None:
    app = Application()

    async def script(room: Membership[Any]) -> None:
        room.member.remove("enough")
        with pytest.raises(NotAMember, match="has ended: removed") as caught:
            await room.push(Say("a"))
        assert caught.value.left == Left("removed", reason="enough")

    async with membership(app, diary(app), script) as (_, socket):
        assert socket.close_code == 1001
        assert socket.close_reason == "enough"


async def test_a_push_that_nobody_gets_to_in_time_expires_and_is_not_handled_later() -> None:
    app = Application()
    own = diary(app)

    async def script(room: Membership[Any]) -> None:
        with pytest.raises(AskTimeout):
            await room.push(Stay(), timeout=1)
        with pytest.raises(Expired):
            await room.push(Say("too late"), timeout=1)
        own.door.open()
        assert await room.push(Count()) == 0

    async with membership(app, own, script) as (_, socket):
        await anyio.sleep(3)

        assert await heard(socket) == []


async def test_pushes_of_one_connection_keep_their_order_whether_or_not_they_want_a_reply() -> None:
    app = Application()
    order: list[int] = []
    door = Door()

    class Tell(Message):
        number: int

    class Question(Ask[int]):
        number: int

    @app.room("room")
    class Own(Room[Tell | Question]):
        @from_member(Tell)
        async def tell(self, message: Tell, member: Member) -> None:
            await door.passed()
            order.append(message.number)

        @from_member(Question)
        async def question(self, message: Question, member: Member) -> int:
            order.append(message.number)
            return message.number

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(Own) as room, anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(room.push, Question(number) if number % 2 else Tell(number))
                await settle()
            door.open()

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        with pytest.raises(WebSocketDisconnectError):
            await ada.receive()

    assert order == list(range(20))


# ------------------------------------------------------------------ capacity


async def test_a_full_room_slows_only_the_handler_that_pushes() -> None:
    app = Application()
    own = diary(app, capacity=2)
    pushed: list[int] = []

    async def script(room: Membership[Any]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(room.push, Stay())
            await settle()
            for number in range(5):
                tasks.start_soon(push, room, number)

    async def push(room: Membership[Any], number: int) -> None:
        await room.push(Say(f"{number}"), timeout=60)
        pushed.append(number)

    async with membership(app, own, script) as (client, socket):
        await app.broadcast("room:fell", "others go on")
        assert await heard(socket) == ["others go on"]
        assert client.app.connections == 1
        own.door.open()

        assert sorted(await heard(socket)) == [0, 1, 2, 3, 4]
    assert sorted(pushed) == [0, 1, 2, 3, 4]


async def test_a_push_waits_for_room_no_longer_than_its_timeout() -> None:
    app = Application()
    own = diary(app, capacity=1)

    async def script(room: Membership[Any]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(room.push, Stay())
            await settle()
            tasks.start_soon(room.push, Count())
            await settle()
            with pytest.raises(RoomFull, match="room:fell has 1 messages of its members waiting"):
                await room.push(Say("no room"), timeout=2)
            own.door.open()
        assert await room.push(Count()) == 0

    async with membership(app, own, script) as (_, socket):
        await anyio.sleep(3)

        assert await heard(socket) == []


# ------------------------------------------------------------------ leaving


@pytest.mark.parametrize(
    ("how", "journal"),
    [
        ("close", ["leave left"]),
        ("vanish", ["leave lost"]),
        ("return", ["leave left"]),
        ("crash", ["leave crashed"]),
        ("kick", ["leave removed"]),
        ("garbage", ["leave left"]),
        ("refused", ["leave left"]),
        ("drain", ["leave drained"]),
    ],
)
async def test_on_leave_is_told_once_how_it_came(how: str, journal: list[str]) -> None:
    app = Application()
    own = diary(app)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(own, "fell") as room:
            async for order in websocket.iter_text():
                if order == "crash":
                    raise RuntimeError("a bug")
                if order == "kick":
                    await room.push(Kick())
                if order == "garbage":
                    raise InvalidMessage("its own mistake")
                if order == "refused":
                    raise JoinRefused("by another room")
                if order == "return":
                    break

    async with TestClient(app, raise_errors=False) as client:
        async with client.websocket_connect("/") as ada:
            await settle()
            match how:
                case "close":
                    await ada.close()
                case "vanish":
                    ada.leave()
                case "drain":
                    await app.drain()
                case _:
                    await ada.send_text(how)
            await settle()
        await settle()

        assert own.journal[2:] == journal
        assert realtime(app).topics["room:fell"].members == {}


async def test_a_member_can_be_put_out_while_it_pushes_and_its_reply_still_comes() -> None:
    app = Application()
    replies: list[object] = []

    async def script(room: Membership[Any]) -> None:
        replies.append(await room.push(Kick("enough")))

    async with membership(app, diary(app), script) as (_, socket):
        assert socket.close_code == 1001

    assert replies == [None]
