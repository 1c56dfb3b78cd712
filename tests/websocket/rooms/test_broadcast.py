"""What a broadcast promises to those who publish and to those who hear."""

from contextlib import AsyncExitStack

import anyio
import pytest

from herdwick import (
    Actor,
    Application,
    Child,
    History,
    Limits,
    Member,
    Message,
    NotRunning,
    Position,
    Response,
    Room,
    WebSocket,
    from_member,
    json,
    on,
)
from herdwick.routing import InvalidTopic
from herdwick.testing import TestClient, settle
from herdwick.websocket import NotEncodable
from tests.websocket.rooms.stage import KEPT, heard, live, peer, topics


async def test_all_members_hear_it_and_nobody_else() -> None:
    app = Application()
    topics(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/chat") as ada,
        client.websocket_connect("/chat") as bob,
        client.websocket_connect("/other") as eve,
    ):
        await settle()
        await app.broadcast("chat", {"text": "hello"})

        assert await heard(ada) == await heard(bob) == [{"text": "hello"}]
        assert await heard(eve) == []


async def test_it_returns_when_it_was_offered_to_all_of_them() -> None:
    app = Application(limits=Limits(connections=300))
    topics(app)

    async with TestClient(app) as client, AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(client.websocket_connect("/chat")) for _ in range(300)
        ]
        await settle()
        await app.broadcast("chat", 1)

        with anyio.fail_after(0):  # nothing is waited for any more
            got = [await socket.receive_json(timeout=0) for socket in sockets]
        assert got == [1] * 300


async def test_a_member_that_does_not_read_holds_nobody_up() -> None:
    app = Application()
    topics(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/chat"),
        client.websocket_connect("/chat") as reader,
    ):
        await settle()
        for number in range(100):
            with anyio.fail_after(1):
                await app.broadcast("chat", number)

        assert await heard(reader) == list(range(100))


async def test_who_is_excluded_hears_nothing_of_it() -> None:
    app = Application()
    ids: list[str] = []

    @app.ws("/chat")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as room:
            ids.append(websocket.id)
            async for text in websocket.iter_text():
                await room.broadcast(text, exclude=websocket)
                await app.broadcast("chat", f"{text} again", exclude=[websocket, room.member])

    async with (
        TestClient(app) as client,
        client.websocket_connect("/chat") as ada,
        client.websocket_connect("/chat") as bob,
    ):
        await settle()
        await ada.send_text("hello")

        assert await heard(bob) == ["hello", "hello again"]
        assert await heard(ada) == []


async def test_what_is_not_recorded_is_heard_and_not_replayed() -> None:
    app = Application()
    app.topic("chat", history=History(replay=10))
    topics(app)

    async with TestClient(app) as client, client.websocket_connect("/chat") as ada:
        await settle()
        assert await app.broadcast("chat", "tick", record=False) is None
        assert isinstance(await app.broadcast("chat", "kept"), Position)
        async with client.websocket_connect("/chat") as bob:
            assert await heard(bob) == ["kept"]

        assert await heard(ada) == ["tick", "kept"]


async def test_the_same_key_is_recorded_once_and_answers_with_the_first_position() -> None:
    app = Application()
    app.topic("chat", history=KEPT)
    topics(app)

    async with TestClient(app) as client, client.websocket_connect("/chat") as ada:
        await settle()
        first = await app.broadcast("chat", "hello", key="1")
        again = await app.broadcast("chat", "hello", key="1")
        other = await app.broadcast("chat", "hello", key="2")

        assert first == again != other
        assert await heard(ada) == ["hello", "hello"]


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("joined", [True, False])
async def test_a_key_where_nothing_is_recorded_is_a_mistake(record: bool, joined: bool) -> None:
    app = Application()
    if not record:
        app.topic("chat", history=KEPT)
    topics(app)

    async with TestClient(app) as client, AsyncExitStack() as stack:
        if joined:
            await stack.enter_async_context(client.websocket_connect("/chat"))
        await settle()

        with pytest.raises(ValueError, match="leave out the key"):
            await app.broadcast("chat", "hello", record=record, key="1")


async def test_a_member_may_leave_before_its_block_ends() -> None:
    app = Application()

    @app.ws("/ws")
    async def visit(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as chat:
            await websocket.receive()
            chat.leave()
            await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/ws") as ada:
        await settle()
        assert app.members("chat") == 1
        await ada.send_text("leave")
        await settle()
        await app.broadcast("chat", "hello")

        assert await heard(ada) == []
        assert app.members("chat") == 0
    with pytest.raises(NotRunning):
        app.members("chat")


async def test_it_comes_from_http_handlers_from_actors_and_from_timers() -> None:
    app = Application()
    topics(app)

    class Say(Message):
        text: str

    class Clock(Actor[Say]):
        async def on_start(self) -> None:
            self.ctx.send_after(60, Say("from a timer"))

        @on(Say)
        async def say(self, message: Say) -> None:
            await app.broadcast("chat", message.text)

    clock = Child(Clock)
    app.supervise(clock)

    @app.post("/said")
    async def said() -> Response:
        await app.broadcast("chat", "from HTTP")
        return json(None)

    async with TestClient(app) as client, client.websocket_connect("/chat") as ada:
        await settle()
        await client.post("/said")
        await app.ref(clock).ask(Say("from an actor"))
        await anyio.sleep(61)

        assert await heard(ada) == ["from HTTP", "from an actor", "from a timer"]


class Say(Message):
    text: str


async def test_what_a_rooms_own_handler_broadcasts_comes_before_its_reply() -> None:
    app = Application()
    live(app)

    @app.room("echo")
    class Echo(Room[Say]):
        @from_member(Say)
        async def say(self, message: Say, member: Member) -> None:
            await self.broadcast(message.text)
            await self.broadcast(f"{message.text} again")

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("echo")
        for text in ("a", "b"):
            await ada.push("echo", Say(text))
        kinds = [type(frame).__name__ for frame in await ada.heard()]

    assert kinds == ["Publication", "Publication", "Reply"] * 2


async def test_what_one_connection_publishes_keeps_its_order_for_everybody() -> None:
    app = Application()

    @app.ws("/chat")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as room:
            async for text in websocket.iter_text():
                await room.broadcast(text)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/chat") as ada,
        client.websocket_connect("/chat") as bob,
        client.websocket_connect("/chat") as eve,
    ):
        await settle()
        for number in range(50):
            await ada.send_text(f"a{number}")
            await bob.send_text(f"b{number}")
        told = await heard(eve)

        assert await heard(ada) == await heard(bob) == told
        assert [text for text in told if text[0] == "a"] == [f"a{number}" for number in range(50)]
        assert [text for text in told if text[0] == "b"] == [f"b{number}" for number in range(50)]


async def test_cancelling_it_takes_nothing_back() -> None:
    app = Application()
    topics(app)

    async with TestClient(app) as client, client.websocket_connect("/chat") as ada:
        await settle()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await app.broadcast("chat", "said")

        assert await heard(ada) == ["said"]


async def test_a_payload_that_cannot_be_encoded_is_the_publishers_and_harms_nobody() -> None:
    app = Application()
    topics(app)
    topics(app, "/packed/{topic}", codec="msgpack")

    async with TestClient(app) as client:
        with pytest.raises(NotEncodable):
            await app.broadcast("chat", object())
        async with (
            client.websocket_connect("/chat") as ada,
            client.websocket_connect("/packed/chat") as bob,
        ):
            await settle()
            with pytest.raises(NotEncodable):
                await app.broadcast("chat", object())
            with pytest.raises(NotEncodable):
                await app.broadcast("chat", 2**70)  # JSON could
            await app.broadcast("chat", "fine")

            assert await heard(ada) == await heard(bob) == ["fine"]


async def test_a_single_member_of_another_encoding_is_not_harmed_either() -> None:
    app = Application()
    topics(app)
    topics(app, "/packed/{topic}", codec="msgpack")

    async with TestClient(app) as client, AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(client.websocket_connect("/chat"))
        bob = await stack.enter_async_context(client.websocket_connect("/packed/chat"))
        await settle()
        with pytest.raises(NotEncodable):
            await app.broadcast("chat", 2**70)
        await app.broadcast("chat", "fine")

        assert await heard(bob) == ["fine"]


async def test_each_member_hears_it_in_the_codec_of_its_route() -> None:
    app = Application()
    topics(app)
    topics(app, "/packed/{topic}", codec="msgpack")

    async with (
        TestClient(app) as client,
        client.websocket_connect("/chat") as ada,
        client.websocket_connect("/packed/chat") as bob,
    ):
        await settle()
        await app.broadcast("chat", [1])
        await app.broadcast("chat", b"\x00")

        assert await heard(ada) == [[1], b"\x00"]
        assert await heard(bob) == [b"\x91\x01", b"\x00"]


async def test_a_broadcast_to_nobody_is_recorded_all_the_same() -> None:
    app = Application()
    app.topic("chat", history=History(replay=10))
    topics(app)

    async with TestClient(app) as client:
        await app.broadcast("chat", "early")
        async with client.websocket_connect("/chat") as ada:
            assert await heard(ada) == ["early"]


async def test_a_name_that_no_topic_can_have_is_told_and_so_is_who_does_not_run() -> None:
    app = Application()

    with pytest.raises(NotRunning):
        await app.broadcast("chat", 1)
    async with app.running():
        with pytest.raises(InvalidTopic, match="it is empty"):
            await app.broadcast("", 1)
