"""Whatever stands behind the connections may crash: nobody is dropped, nothing lost or doubled."""

import logging

import anyio
import pytest

from herdwick import (
    Application,
    JoinRefused,
    Limits,
    Member,
    Message,
    Params,
    Room,
    RoomUnavailable,
    WebSocket,
    WebSocketDisconnectError,
    from_member,
    on,
)
from herdwick.protocol import Join, Left, Publication, Refused, Reply
from herdwick.testing import TestClient, TestWebSocket, crash, settle
from tests.support.waiting import until
from tests.websocket.rooms.inner import at, realtime
from tests.websocket.rooms.stage import (
    KEPT,
    Count,
    Crash,
    Fail,
    Say,
    diary,
    heard,
    live,
    peer,
    raw,
    topics,
)

PARTS = [
    "root/realtime/rooms/room:fell",
    "root/realtime/pumps/room:fell",
    "root/realtime/registry",
    "root/presence",
    "root/realtime/pumps",
    "root/realtime/rooms",
    "root/realtime",
]


@pytest.mark.parametrize("part", PARTS)
async def test_no_crash_drops_a_member_or_loses_or_doubles_what_is_published(part: str) -> None:
    app = Application()
    own = diary(app, presence=True)
    topics(app)
    live(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:fell") as ada,
        client.websocket_connect("/room:fell") as bob,
        peer(client) as eve,
    ):
        await eve.join("room:fell")
        await app.broadcast("room:fell", "before")
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(app.broadcast, "room:fell", number)
            tasks.start_soon(crash, at(app, part), RuntimeError("a bug"))
        await app.broadcast("room:fell", "after")
        told = await heard(ada)
        await eve.push("room:fell", Count())
        frames = await eve.heard()
        publications = [frame for frame in frames if isinstance(frame, Publication)]
        replies = [frame for frame in frames if isinstance(frame, Reply)]

        assert sorted(told[1:-1]) == list(range(20))
        assert (told[0], told[-1]) == ("before", "after")
        assert await heard(bob) == told
        assert len(publications) == len(told)
        assert len(replies) == 1
        assert ada.close_code is bob.close_code is eve.socket.close_code is None
        assert len(realtime(app).topics["room:fell"].members) == 3
        assert "leave" not in " ".join(own.journal)


async def test_a_crash_in_the_middle_of_a_fan_out_offers_nothing_twice() -> None:
    app = Application(limits=Limits(connections=520))
    topics(app)
    count = 520  # the pump lets others run after each 256: twice, so that one of them is seen

    async with TestClient(app) as client, anyio.create_task_group() as tasks:
        sockets: list[TestWebSocket] = []

        async def stay() -> None:
            async with client.websocket_connect("/chat") as socket:
                sockets.append(socket)
                await anyio.sleep_forever()

        for _ in range(count):
            tasks.start_soon(stay)
        await settle()
        tasks.start_soon(app.broadcast, "chat", 1)
        members = realtime(app).topics["chat"].members.values()
        await until(lambda: len({member.seq for member in members}) == 2)
        await crash(at(app, "root/realtime/pumps/chat"), RuntimeError("a bug"))
        await app.broadcast("chat", 2)

        assert [await heard(socket) for socket in sockets] == [[1, 2]] * count
        tasks.cancel_scope.cancel()


async def test_a_room_that_waits_for_its_own_broadcast_does_not_hold_the_pumps_up() -> None:
    app = Application()
    diary(app)
    live(app)

    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        await ada.join("room:fell")
        await bob.join("room:fell")
        await ada.push("room:fell", Say("0"))
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(crash, at(app, "root/realtime/pumps"), RuntimeError("a bug"))
            for number in range(1, 10):
                await ada.push("room:fell", Say(f"{number}"))
        await anyio.sleep(1)
        frames = await ada.heard()
        texts = [frame.payload for frame in frames if isinstance(frame, Publication)]
        answers = [frame for frame in frames if isinstance(frame, Reply | Refused)]

        assert texts == [raw(f"{number}") for number in range(10)]
        assert len(answers) == 10
        assert sum(isinstance(answer, Refused) for answer in answers) <= 1
        assert len(await bob.heard()) == 10


async def test_members_are_welcomed_back_before_any_message() -> None:
    app = Application()
    own = diary(app)
    live(app)

    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        await ada.join("room:fell")
        await bob.join("room:fell")
        await ada.push("room:fell", Fail())
        await app.room_ref(own, "fell").send(Crash())
        await ada.push("room:fell", Count())
        await settle()

        assert own.journal == ["start", "join", "join", "start", "reattach", "reattach"]


async def test_rooms_with_members_are_started_again_after_their_whole_branch_has_crashed() -> None:
    app = Application()
    own = diary(app)
    topics(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:fell"),
        client.websocket_connect("/room:dale"),
    ):
        await settle()
        await crash(at(app, "root/realtime"), RuntimeError("a bug"))
        await anyio.sleep(0.1)

        paths = {node.path for node in app.system.tree()}
        assert {"root/realtime/rooms/room:fell", "root/realtime/rooms/room:dale"} <= paths
        assert own.journal.count("start") == 4
        assert own.journal.count("reattach") == 2


async def test_a_join_while_the_branch_is_down_waits_until_it_is_back() -> None:
    app = Application()
    own = diary(app)
    topics(app)
    joined: list[str] = []

    async with TestClient(app) as client, client.websocket_connect("/room:fell"):
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(crash, at(app, "root/realtime"), RuntimeError("a bug"))
            async with client.websocket_connect("/room:dale") as ada:
                await anyio.sleep(0.1)
                await app.broadcast("room:dale", "hello")
                joined += await heard(ada)

    assert joined == ["hello"]
    assert own.journal.count("join") == 2


# ------------------------------------------------------------------ crash loops


class Poison(Message):
    """Crash whoever handles it, again and again."""


def fragile(app: Application, *, cool_down: float = 10.0) -> type[Room[Poison | Say]]:
    """Declare a room that crashes at its start once it has been poisoned."""
    poisoned: list[bool] = []

    @app.room("fragile:{name}", cool_down=cool_down, history=KEPT)
    class Fragile(Room[Poison | Say]):
        def __init__(self, name: str) -> None:
            self.name = name

        async def on_join(self, member: Member, params: Params) -> None:
            poisoned.clear()

        async def on_reattach(self, member: Member) -> None:
            if poisoned and self.name == "fell":
                raise RuntimeError("a bug that stays")

        @from_member(Say)
        async def say(self, message: Say, member: Member) -> None:
            await self.broadcast(message.text)

        @on(Poison)
        async def poison(self, message: Poison) -> None:
            poisoned.append(True)
            raise RuntimeError("a bug")

    return Fragile


async def test_a_crash_loop_is_told_to_clients_and_others_go_on() -> None:
    app = Application()
    own = fragile(app)
    topics(app)
    live(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/fragile:fell") as plain,
        client.websocket_connect("/fragile:dale") as other,
        peer(client) as ada,
    ):
        await ada.join("fragile:fell")
        await ada.join("fragile:dale")
        await app.room_ref(own, "fell").send(Poison())
        await anyio.sleep(1)

        assert plain.close_code == 1011
        (left,) = await ada.heard()
        assert isinstance(left, Left)
        assert (left.topic, left.reason, left.retry_after) == ("fragile:fell", "crashed", 10.0)
        assert other.close_code is None
        reply = await ada.ask(ada.pushed("fragile:dale", Say("goes on")))
        assert isinstance(reply, Publication)


async def test_joins_are_refused_for_the_cool_down_and_work_after_it() -> None:
    app = Application()
    own = fragile(app, cool_down=20)
    topics(app)
    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("fragile:fell")
        position = await app.broadcast("fragile:fell", "before")
        await app.room_ref(own, "fell").send(Poison())
        await anyio.sleep(5)
        await ada.heard()
        async with client.websocket_connect("/fragile:fell") as plain:
            await settle()
            assert plain.close_code == 1013
        refused = await ada.refused(Join(99, "fragile:fell"))
        assert refused.code == "unavailable"
        assert refused.retry_after == pytest.approx(15, abs=1)

        await anyio.sleep(16)
        joined = await ada.join("fragile:fell", since=str(position))
        assert joined.recovered
        reply = await ada.ask(ada.pushed("fragile:fell", Say("again")))
        assert isinstance(reply, Publication)


async def test_a_push_to_a_room_that_was_given_up_is_refused_at_once() -> None:
    app = Application()
    own = fragile(app)
    errors: list[BaseException] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async with websocket.join(own, "fell") as room:
                async for _ in websocket:
                    await room.push(Say("hello"))
        except JoinRefused as error:
            errors.append(error)
            raise

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        await settle()
        await app.room_ref(own, "fell").send(Poison())
        await anyio.sleep(1)
        with pytest.raises(WebSocketDisconnectError, match="1011"):
            await ada.receive()

    assert errors == []


async def test_a_room_that_fails_at_its_start_is_unavailable_for_the_cool_down() -> None:
    app = Application()
    starts: list[int] = []

    @app.room("broken", cool_down=5)
    class Broken(Room):
        def __init__(self) -> None:
            starts.append(1)
            if len(starts) == 1:
                raise OSError("no database")

    caught: list[RoomUnavailable] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(2):
            try:
                async with websocket.join(Broken):
                    pass
            except RoomUnavailable as error:
                caught.append(error)
        await anyio.sleep(6)
        async with websocket.join(Broken):
            await websocket.send_text("in")

    async with TestClient(app, timeout=10) as client, client.websocket_connect("/") as ada:
        assert await ada.receive_text() == "in"

    assert len(caught) == 2
    assert len(starts) == 2


async def test_a_bad_payload_restarts_no_room_however_often_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    own = diary(app)
    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:fell")
        for _ in range(100):
            answer = await ada.refused(ada.pushed("room:fell", Fail()))
            assert isinstance(answer, Refused)
            assert answer.code == "failed"
            assert "secret" not in answer.message

    assert own.journal == ["start", "join", "leave left"]
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 1 <= len(told) <= 10
