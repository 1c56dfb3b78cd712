"""herdwick.v1: pushes and their answers, and what the server sends by itself."""

import anyio
import pytest

from herdwick import (
    Application,
    Limits,
    Member,
    Rejected,
    Room,
    WebSocket,
    everyone,
    from_member,
)
from herdwick.protocol import (
    Joined,
    Left,
    Moved,
    Ping,
    Publication,
    Push,
    Refused,
    Reply,
)
from herdwick.testing import TestClient, crash, settle
from tests.websocket.rooms.inner import realtime
from tests.websocket.rooms.stage import (
    Count,
    Crash,
    Defer,
    Fail,
    Kick,
    Peer,
    Refuse,
    Say,
    Stay,
    diary,
    live,
    open_to_all,
    peer,
    raw,
)

# ------------------------------------------------------------------ pushes


async def test_a_push_is_answered_with_what_the_room_returned() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        assert await ada.ask(Push("room:a", raw(Count()), 5)) == Reply(5, raw(0))
        await ada.push("room:a", Say("hello"))

        publication, reply = await ada.heard()
        assert publication == Publication("room:a", raw("hello"))
        assert isinstance(reply, Reply)
        assert reply.payload == raw(None)


async def test_a_push_without_a_ref_is_never_answered_even_where_it_is_refused() -> None:
    app = open_to_all()
    own_errors = [Push("room:a", raw(each)) for each in (Fail(), Refuse(), {"type": "?"})]

    async with TestClient(app) as client, peer(client) as ada:
        await ada.send(Push("room:a", raw(Say("no member"))))
        await ada.join("room:a")
        for frame in [*own_errors, Push("room:a", raw(Count())), Push("room:a", raw(Say("x")))]:
            await ada.send(frame)

        assert await ada.heard() == [Publication("room:a", raw("x"))]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("room:a", {"type": "Say"}),
        ("room:a", {"type": "Say", "text": 1}),
        ("room:a", {"type": "Note", "text": "for actors only"}),
        ("room:a", 7),
        ("news:a", {"type": "Say", "text": "a topic has no room"}),
    ],
)
async def test_a_payload_that_the_room_does_not_take_is_refused_and_crashes_nobody(
    topic: str, payload: object
) -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join(topic)
        refused = await ada.refused(Push(topic, raw(payload), 3))

        assert refused.code == "invalid_message"
        assert all(node.restarts == 0 for node in app.system.tree())


async def test_a_rejected_push_carries_what_the_room_has_to_say() -> None:
    app = Application()
    live(app)
    errors: list[object] = [{"code": 7}, ValueError("too far"), object()]

    @app.room("room")
    class Own(Room[Say]):
        @from_member(Say)
        async def say(self, message: Say, member: Member) -> None:
            raise Rejected(errors.pop(0))

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room")
        refusals = [await ada.refused(ada.pushed("room", Say("a"))) for _ in range(3)]

        assert [refused.code for refused in refusals] == ["rejected"] * 3
        assert refusals[0].detail == raw({"code": 7})
        assert refusals[1].detail == raw("too far")
        assert b"object object" in bytes(refusals[2].detail)
        assert all(node.restarts == 0 for node in app.system.tree())


async def test_a_push_that_the_room_fails_on_is_told_so_and_nothing_of_the_error() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        refused = await ada.refused(ada.pushed("room:a", Fail("a secret")))

    assert refused.code == "failed"
    assert "secret" not in refused.message
    assert refused.detail == raw(None)


async def test_a_handler_that_gives_no_answer_is_told_in_the_log_and_not_to_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()

    @app.room("room")
    class Own(Room[Count]):
        @from_member(Count)
        async def count(self, message: Count, member: Member) -> int:
            return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room")
        refused = await ada.refused(ada.pushed("room", Count()))

    assert (refused.code, "root/" in refused.message) == ("failed", False)
    (record,) = [each for each in caplog.records if "gave no answer" in each.getMessage()]
    assert record.getMessage() == "root/realtime/rooms/room gave no answer to Count, and goes on"


async def test_a_push_in_hand_or_deferred_at_a_crash_is_told_so_and_hides_the_error() -> None:
    app = Application()
    own = diary(app)
    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        await ada.push("room:a", Defer())
        await settle()
        await app.room_ref(own, "a").send(Crash("a secret"))
        await settle()
        await ada.push("room:a", Stay())
        await settle()
        ref = app.room_ref(own, "a")
        await crash(ref, RuntimeError("a secret"))
        refusals = await ada.heard()

    assert [each.code for each in refusals if isinstance(each, Refused)] == ["crashed", "crashed"]
    assert "secret" not in repr(refusals)
    assert "root/" not in repr(refusals)


async def test_a_push_that_is_not_answered_in_time_and_one_to_a_full_room() -> None:
    app = open_to_all(capacity=1)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        await ada.send(Push("room:a", raw(Stay()), 1))
        await settle()
        await ada.send(Push("room:a", raw(Count()), 2))
        full = await ada.refused(Push("room:a", raw(Count()), 3))
        assert (full.code, full.retry_after) == ("full", 1.0)
        await anyio.sleep(31)
        late = await ada.heard()

    assert [(each.ref, each.code) for each in late if isinstance(each, Refused)] == [
        (1, "timeout"),
        (2, "timeout"),
    ]


async def test_pushes_are_handled_in_the_order_in_which_they_were_sent() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        for number in range(20):
            await ada.send(Push("room:a", raw(Say(f"{number}")), number if number % 2 else None))
        frames = await ada.heard()

    texts = [frame.payload for frame in frames if isinstance(frame, Publication)]
    assert texts == [raw(f"{number}") for number in range(20)]


# ------------------------------------------------------------------ what the server sends by itself


async def test_what_was_for_others_moves_the_position_and_what_is_sent_to_one_has_none() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("news:a")
        (member,) = realtime(app).topics["news:a"].members.values()
        position = await app.broadcast("news:a", "for others", exclude=member)
        member.send("for you")

        assert await ada.heard() == [
            Moved("news:a", str(position)),
            Publication("news:a", raw("for you")),
        ]


async def test_who_is_put_out_is_told_and_its_connection_goes_on() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        await ada.join("news:a")
        await ada.push("room:a", Kick("enough"))
        left, reply = await ada.heard()

        assert left == Left("room:a", "removed", "enough")
        assert isinstance(reply, Reply)
        await app.broadcast("news:a", 1)
        assert len(await ada.heard()) == 1
        await ada.join("room:a")


async def test_a_client_that_never_reads_its_answers_is_closed_with_1013() -> None:
    app = open_to_all(Limits(outbox_bytes=200, send_timeout=3))

    async with TestClient(app) as client, peer(client) as ada:
        for number in range(30):
            await ada.send(Ping(number))
        await anyio.sleep(4)

        assert ada.socket.close_code == 1013


async def test_a_handler_may_accept_by_itself_before_it_serves_rooms() -> None:
    app = Application()
    app.topic("news", authorize=everyone)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.serve_rooms()

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        assert isinstance(await Peer(socket).join("news"), Joined)
