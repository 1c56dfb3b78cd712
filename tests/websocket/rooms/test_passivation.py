"""The lives of a room: put away and woken, crashed and back, with what it has saved."""

from typing import Any

import anyio
import pytest

from herdwick import (
    Application,
    Crashed,
    Exit,
    JoinRefused,
    Member,
    Membership,
    Message,
    Params,
    Rejected,
    Room,
    WebSocket,
    on,
)
from herdwick.testing import TestClient, crash, settle
from tests.websocket.rooms.inner import realtime
from tests.websocket.rooms.stage import (
    Count,
    Diary,
    Note,
    Reveal,
    Save,
    Say,
    Stay,
    diary,
    heard,
    membership,
)

# ------------------------------------------------------------------ snapshots and passivation


async def test_a_room_that_nobody_needs_is_put_away_with_its_snapshot_and_a_join_wakes_it() -> None:
    app = Application()
    own = diary(app, idle=30)

    async def script(room: Membership[Any]) -> None:
        await room.push(Say("kept"))

    async with membership(app, own, script) as (client, socket):
        await socket.close()
        await anyio.sleep(29)
        assert own.journal == ["start", "join", "leave left"]
        await anyio.sleep(2)
        assert "root/realtime/rooms/room:fell" not in {node.path for node in app.system.tree()}
        assert "room:fell" not in realtime(app).topics

        async with client.websocket_connect("/fell") as again:
            await settle()
            assert await heard(again) == ["kept"]
        assert own.journal[3:6] == ["restore 1", "start", "join"]


async def test_an_old_ref_and_a_new_one_wake_a_room_that_was_put_away() -> None:
    app = Application()
    own = diary(app, idle=30)

    async with app.running():
        ref = app.room_ref(own, "fell")
        await ref.ask(Note("one"))
        await anyio.sleep(60)
        await ref.ask(Note("two"))
        await anyio.sleep(60)
        await app.room_ref(own, "fell").ask(Note("three"))

        assert app.room_ref(own, "fell") == ref
    notes = [note for note in own.journal if note != "start" and note != "restore 0"]
    assert notes == ["one", "two", "three"]
    assert own.journal.count("start") == 3


async def test_whoever_joins_while_a_room_is_put_away_finds_it_awake_again() -> None:
    app = Application()
    own = diary(app, idle=30)

    class Slow(own):  # type: ignore[valid-type,misc]
        async def snapshot(self) -> object:
            self.journal.append("snapshot")
            await anyio.sleep(1)
            return None

    app.room("slow:{name}")(Slow)

    async with membership(app, Slow) as (client, socket):
        await socket.close()
        await anyio.sleep(30.5)
        assert own.journal[-1] == "snapshot"
        async with client.websocket_connect("/fell") as again:
            await anyio.sleep(2)
            assert own.journal[-2:] == ["start", "join"]
            await app.broadcast("slow:fell", "hello")
            assert await heard(again) == ["hello"]


async def test_a_saved_snapshot_is_what_a_crash_leaves() -> None:
    app = Application()
    own = diary(app)

    async def script(room: Membership[Any]) -> None:
        await room.push(Say("saved"))
        await room.push(Save())
        await room.push(Say("lost"))

    async with membership(app, own, script):
        app.room_ref(own, "fell").tell(Reveal("x"))
        await crash_it(app, own)

        assert own.journal == ["start", "join", "restore 1", "start", "reattach"]


async def test_a_room_cleans_up_though_its_snapshot_fails() -> None:
    app = Application()
    cleaned: list[str] = []

    @app.room("room", idle=30)
    class Own(Room):
        async def snapshot(self) -> object:
            raise OSError("no disk")

        async def on_stop(self, reason: Exit) -> None:
            cleaned.append(reason.kind)

    async with app.running():
        app.room_ref(Own)
        await anyio.sleep(31)

        assert len(cleaned) == 1


async def test_what_a_room_publishes_as_it_is_put_away_is_recorded_and_hurts_nobody() -> None:
    app = Application()

    @app.room("room", idle=5)
    class Own(Room):
        async def snapshot(self) -> object:
            await self.broadcast("good night")
            return 1

    async with app.running():
        app.room_ref(Own)
        await anyio.sleep(20)

        assert realtime(app).snapshots == {"room": 1}


async def test_a_ticking_room_without_members_is_put_away_too() -> None:
    app = Application()
    ticks: list[int] = []

    class Tick(Message):
        pass

    @app.room("room", idle=5)
    class Ticking(Room[Tick]):
        async def on_start(self) -> None:
            self.ctx.every(1, Tick())

        @on(Tick)
        async def tick(self, message: Tick) -> None:
            ticks.append(1)

    async with app.running():
        app.room_ref(Ticking)
        await anyio.sleep(20)

    assert 3 <= len(ticks) <= 7


# ------------------------------------------------------------------ crashes in between


async def crash_it(app: Application, own: type[Diary], name: str = "fell") -> None:
    """Crash a room by a message."""
    ref = app.room_ref(own, name)
    await crash(ref, RuntimeError("a bug"))


async def test_queued_pushes_outlive_a_crash_and_the_one_in_hand_fails_at_once() -> None:
    app = Application()
    own = diary(app)
    outcome: list[object] = []

    async def script(room: Membership[Any]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stay, room)
            await settle()
            tasks.start_soon(count, room)

    async def stay(room: Membership[Any]) -> None:
        with pytest.raises(Crashed):
            await room.push(Stay())
        outcome.append("crashed")

    async def count(room: Membership[Any]) -> None:
        outcome.append(await room.push(Count()))

    async with membership(app, own, script) as (_, socket):
        await crash_it(app, own)

        assert socket.close_code is None
    assert outcome == ["crashed", 0]
    assert own.journal == ["start", "join", "stay", "start", "reattach", "leave left"]


async def test_a_join_in_hand_when_the_room_crashes_is_worth_another_try() -> None:
    app = Application()
    own = diary(app)

    class Fragile(own):  # type: ignore[valid-type,misc]
        async def on_join(self, member: Member, params: Params) -> object:
            await self.door.passed()
            return None

    app.room("fragile:{name}")(Fragile)

    async with membership(app, Fragile) as (_, socket):
        await crash_it(app, Fragile)

        assert socket.close_code == 1013
        assert socket.error is None


async def test_what_only_members_may_push_is_refused_from_other_actors_without_a_crash(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    own = diary(app)

    async with membership(app, own) as (_, socket):
        ref = app.room_ref(own, "fell")
        ref.tell(Say("from outside"))
        with pytest.raises(Rejected, match="takes Say from its members only"):
            await ref.ask(Say("from outside"))

        assert await heard(socket) == []
        assert own.journal == ["start", "join"]
    assert "give it another message with @on" in caplog.text


async def test_a_room_hears_who_came_and_who_went_in_its_presence() -> None:
    app = Application()
    own = diary(app, presence=True)

    async def script(room: Membership[Any]) -> None:
        room.track({"name": "Ada"})

    async with membership(app, own, script) as (_, socket):
        await anyio.sleep(1)
        assert list(app.presence("room:fell").values()) == [{socket_id(app): {"name": "Ada"}}]
        await socket.close()
        await anyio.sleep(1)

    assert own.journal == ["start", "join", "presence +1 -0", "leave left", "presence +0 -1"]


def socket_id(app: Application) -> str:
    (only,) = realtime(app).topics["room:fell"].members
    return only


async def test_a_restarted_room_that_refuses_to_be_lets_its_members_go_once() -> None:
    app = Application()
    starts: list[int] = []

    @app.room("room")
    class Own(Room):
        async def on_start(self) -> None:
            starts.append(1)
            if len(starts) > 1:
                raise JoinRefused("it was deleted")

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(Own):
            await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        await settle()
        await crash(app.room_ref(Own), RuntimeError("a bug"))
        await anyio.sleep(5)

        assert (ada.close_code, ada.close_reason) == (4403, "it was deleted")
        assert len(starts) == 2
