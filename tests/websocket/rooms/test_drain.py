"""The end of a server: connections close in batches, rooms take note, snapshots are taken."""

from itertools import pairwise
from typing import Any

import anyio

from herdwick import Application, Left, Member, Message, Room, WebSocket, from_member
from herdwick.protocol import Reply
from herdwick.testing import TestClient, TestWebSocket, settle
from tests.runtime.samples import Door
from tests.websocket.rooms.inner import realtime
from tests.websocket.rooms.stage import Stay, diary, heard, live, peer, topics


async def test_connections_close_evenly_over_the_window_with_1012() -> None:
    app = Application(drain_window=10)
    own = diary(app)
    topics(app)
    closed: list[int] = []

    async with TestClient(app) as client, anyio.create_task_group() as tasks:
        sockets: list[TestWebSocket] = []

        async def stay() -> None:
            async with client.websocket_connect("/room:a") as socket:
                sockets.append(socket)
                await anyio.sleep_forever()

        for _ in range(10):
            tasks.start_soon(stay)
        await settle()
        tasks.start_soon(app.drain)
        for _ in range(11):
            await settle()
            closed.append(sum(socket.close_code == 1012 for socket in sockets))
            await anyio.sleep(1)
        tasks.cancel_scope.cancel()

        assert closed[0] < 3
        assert 4 <= closed[5] <= 7
        assert closed[-1] == 10
        assert max(after - before for before, after in pairwise(closed)) <= 2
    assert own.journal.count("leave drained") == 10


async def test_new_handshakes_are_answered_with_503_and_it_is_not_ready() -> None:
    app = Application()
    topics(app)

    async with TestClient(app) as client:
        assert app.ready
        await app.drain()

        assert not app.ready
        async with client.websocket_connect("/chat") as late:
            assert late.rejection is not None
            assert late.rejection.status == 503
            assert "retry-after" in late.rejection.headers


async def test_every_member_leaves_once_as_drained_and_hears_all_that_was_sent_before() -> None:
    app = Application()
    own = diary(app)
    topics(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:a") as ada,
        client.websocket_connect("/room:a") as bob,
    ):
        await settle()
        await app.broadcast("room:a", "last words")
        await app.drain()
        await settle()

        assert await heard(ada) == await heard(bob) == ["last words"]
        assert ada.close_code == bob.close_code == 1012
        assert own.journal == ["start", "join", "join", "leave drained", "leave drained"]
        assert realtime(app).topics["room:a"].members == {}


async def test_a_reply_that_is_under_way_is_awaited() -> None:
    app = Application()
    own = diary(app)
    replied: list[str] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(own, "a") as room:
            await room.push(Stay())
            replied.append("done")

    async with TestClient(app) as client, client.websocket_connect("/"):
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.drain)
            await settle()
            assert replied == []
            own.door.open()

    assert replied == ["done"]


async def test_what_clients_of_the_protocol_pushed_before_the_drain_is_handled() -> None:
    app = Application()
    own = diary(app)
    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        await ada.push("room:a", Stay())
        await settle()
        own.door.open()
        await settle()
        await app.drain()

        assert [type(frame) for frame in await ada.heard()] == [Reply]
        assert ada.socket.close_code == 1012


async def test_rooms_take_their_snapshots_when_the_application_stops() -> None:
    app = Application()
    saved: list[Any] = []

    class Say(Message):
        text: str

    @app.room("room:{name}")
    class Own(Room[Say]):
        def __init__(self, name: str) -> None:
            self.said = [name]

        async def snapshot(self) -> object:
            saved.append(list(self.said))
            return self.said

        async def on_leave(self, member: Member, reason: Left) -> None:
            self.said.append(reason.kind)

        @from_member(Say)
        async def say(self, message: Say, member: Member) -> None:
            self.said.append(message.text)

    topics(app)
    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:a"),
        client.websocket_connect("/room:b"),
    ):
        await settle()
        await app.drain()

    assert sorted(saved) == [["a", "drained"], ["b", "drained"]]


async def test_a_room_that_hangs_does_not_hold_the_stop_for_ever() -> None:
    app = Application()
    door = Door()

    @app.room("room")
    class Own(Room):
        async def on_leave(self, member: Member, reason: Left) -> None:
            await door.passed()

    topics(app)
    with anyio.fail_after(60):
        async with TestClient(app) as client, client.websocket_connect("/room"):
            await settle()


async def test_an_application_that_has_stopped_can_run_again_and_begins_anew() -> None:
    app = Application()
    own = diary(app)
    topics(app)

    for _ in range(2):
        async with TestClient(app) as client, client.websocket_connect("/room:a") as ada:
            await settle()
            await app.broadcast("room:a", "hello")
            assert await heard(ada) == ["hello"]

    assert own.journal.count("start") == 2
    assert "restore 0" not in own.journal
