"""Joining: the seam between what was before and what follows, refusals, and no traces of either."""

from collections.abc import Mapping
from typing import Any

import anyio
import msgspec
import pytest

from herdwick import (
    Application,
    History,
    Left,
    Member,
    NotAMember,
    Params,
    Position,
    Room,
    RoomMisdeclared,
    WebSocket,
)
from herdwick.actors import UnknownTopic
from herdwick.testing import TestClient, settle
from tests.websocket.rooms.stage import KEPT, Diary, diary, ending, heard, joins, topics

# ------------------------------------------------------------------ names, classes, parameters


async def test_a_room_is_joined_by_its_class_and_by_the_name_of_its_topic() -> None:
    app = Application()
    own = diary(app, "room:{name}")
    topics(app)

    @app.ws("/by-class")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(own, "fell") as room:
            assert room.topic == "room:fell"
            assert room.left is None
            await websocket.wait_closed()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:fell") as ada,
        client.websocket_connect("/by-class") as bob,
    ):
        await settle()
        await app.broadcast("room:fell", "both")

        assert await heard(ada) == await heard(bob) == ["both"]
        assert own.journal == ["start", "join", "join"]


async def test_the_params_are_the_query_or_what_the_handler_gives() -> None:
    app = Application()
    told: list[Mapping[str, object]] = []

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            told.append(dict(params))

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("room"):
            pass
        async with websocket.join("room", params={"name": "Bob"}):
            pass

    async with TestClient(app) as client, client.websocket_connect("/?name=Ada&page=1") as ada:
        await ending(ada)

    assert Own.__handlers__ == {}
    assert told == [{"name": "Ada", "page": "1"}, {"name": "Bob"}]


class Page(msgspec.Struct):
    number: int


async def test_params_decode_from_texts_and_one_that_does_not_refuses_the_join() -> None:
    app = Application()
    pages: list[Page] = []

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            pages.append(params.decode(Page))

    joins(app, "room")

    async with (
        TestClient(app) as client,
        client.websocket_connect("/?number=7") as ada,
        client.websocket_connect("/?number=x") as bob,
    ):
        code, reason = await ending(bob)

        assert pages == [Page(7)]
        assert code == 4403
        assert "$.number" in reason
        assert ada.close_code is None


async def test_arguments_that_do_not_fit_are_the_programs_mistake() -> None:
    app = Application()
    own = diary(app)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        join: Any = websocket.join  # type checkers find most of these
        with pytest.raises(TypeError, match="missing a required argument: 'name'"):
            join(own)
        with pytest.raises(TypeError, match="too many positional arguments"):
            join(own, "a", "b")
        with pytest.raises(RoomMisdeclared, match=r"declare it first, with @app.room\(pattern\)"):
            join(Diary, "a")
        with pytest.raises(UnknownTopic, match="a value has no colon in it"):
            join(own, "a:b")
        with pytest.raises(TypeError, match="takes `since` and `params` only"):
            join("room:a", sinc=None)
        with pytest.raises(TypeError, match="takes `since` and `params` only"):
            join("room:{name}", "a")
        with pytest.raises(TypeError, match=r"since takes a Position, not str; `Position.parse`"):
            join("room:a", since="5f3a:7")
        await websocket.send_text("done")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ada.receive_text() == "done"


async def test_an_argument_that_is_not_in_the_pattern_names_no_room() -> None:
    app = Application()

    @app.room("room:{name}")
    class Own(Room):
        def __init__(self, name: str, level: int = 1) -> None:
            self.name = name

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(TypeError, match=r"'level' is not in 'room:\{name\}'"):
            websocket.join(Own, "fell", level=2)
        async with websocket.join(Own, "fell"):
            await websocket.send_text("in")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert await ada.receive_text() == "in"


async def test_a_name_that_belongs_to_another_kind_of_topic_joins_no_wrong_room() -> None:
    app = Application()
    own = diary(app, "room:{name}")
    app.topic("room:lobby")

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(own, "lobby"):
            pass

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        code, reason = await ending(ada)

    assert code == 4403
    assert "'room:lobby'" in reason


# ------------------------------------------------------------------ the seam


async def test_what_on_join_returns_comes_first_then_the_replay_then_what_follows() -> None:
    app = Application()
    diary(app, history=History(size=10, replay=2))
    joins(app, "room:fell", params={"welcome": {"hello": 1}})

    async with TestClient(app) as client:
        for number in range(4):
            await app.broadcast("room:fell", number)
        async with client.websocket_connect("/") as ada:
            await settle()
            await app.broadcast("room:fell", "new")

            assert await heard(ada) == [{"hello": 1}, 2, 3, "new"]


async def test_a_join_since_a_position_gets_what_was_missed_and_no_more() -> None:
    app = Application()
    app.topic("chat", history=KEPT)
    positions: list[Position] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat", since=positions[1]) as room:
            positions.append(room.position or positions[0])
            await websocket.wait_closed()

    async with TestClient(app) as client:
        for number in range(4):
            position = await app.broadcast("chat", number)
            assert position is not None
            positions.append(position)
        async with client.websocket_connect("/") as ada:
            assert await heard(ada) == [2, 3]

    assert positions[-1] == positions[3]


async def test_whoever_joins_while_others_publish_misses_nothing_and_hears_nothing_twice() -> None:
    app = Application()
    app.topic("chat", history=History(size=1000, replay=1000))
    topics(app)
    heards: list[list[int]] = []

    async with TestClient(app) as client, anyio.create_task_group() as tasks:

        async def publish(first: int) -> None:
            for number in range(first, first + 50):
                await app.broadcast("chat", number)

        async def join() -> None:
            async with client.websocket_connect("/chat") as socket:
                heards.append([await socket.receive_json() for _ in range(200)])

        for index in range(4):
            tasks.start_soon(publish, index * 50)
            tasks.start_soon(join)

    assert len(heards) == 4
    assert all(each == heards[0] for each in heards)
    assert sorted(heards[0]) == list(range(200))


async def test_nothing_of_the_room_comes_after_the_leave() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as room:
            await app.broadcast("chat", "in")
        await app.broadcast("chat", "out")
        with pytest.raises(NotAMember, match="has ended: left"):
            await room.broadcast("out")
        assert room.left == Left("left")
        await websocket.send_text("end")

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        await ending(ada)
        assert ada.error is None

        # What was sent stands before the end.
    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        assert [await ada.receive_text() for _ in range(2)] == ["in", "end"]
