"""Clients that join, push, or get it wrong too often: they are told, then closed, and no other."""

import logging
from typing import Any

import anyio
import pytest

from herdwick import Application, Limits, Message, Rate, WebSocket
from herdwick.protocol import Error, Join, Leave, Ping, Publication, Push, Refused, Reply
from herdwick.runtime import GaveUp, Restarted
from herdwick.testing import TestClient
from tests.websocket.rooms.stage import Count, Say, decoded, ending, open_to_all, peer, raw

SLOW = Rate(1, burst=2)


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_info or record.levelno > logging.INFO]


# ------------------------------------------------------------------ joins


async def test_a_join_too_many_is_refused_and_may_come_later() -> None:
    app = open_to_all(Limits(topics=2, joins=SLOW))

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("news:a")
        assert (await ada.refused(Join(8, "news:a"))).code == "already_joined"
        refused = await ada.refused(Join(9, "news:b"))
        assert (refused.ref, refused.code) == (9, "too_fast")
        assert refused.retry_after == pytest.approx(1, abs=0.1)
        await anyio.sleep(refused.retry_after or 0)
        await ada.join("news:b")


async def test_who_goes_on_joining_too_fast_is_closed_with_1008_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = open_to_all(Limits(topics=2, joins=SLOW))

    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        for ref in range(4):
            await ada.send(Join(ref, "nowhere"))
        refusals = await ada.heard()
        await ada.send(Join(9, "nowhere"))
        assert await ending(ada.socket) == (1008, "too many joins in too short a time; slow down")
        assert await bob.ask(Ping(1)) == Reply(1)

    codes = [each.code for each in refusals if isinstance(each, Refused)]
    assert codes == ["unknown_topic", "unknown_topic", "too_fast", "too_fast"]
    assert tracebacks(caplog) == []


async def test_who_comes_back_may_join_all_at_once_by_default() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        for number in range(128):
            await ada.join(f"news:{number}")
        assert (await ada.refused(Join(999, "news:999"))).code == "too_fast"


# ------------------------------------------------------------------ pushes


async def test_a_push_too_many_is_refused_and_may_come_later() -> None:
    app = open_to_all(Limits(publishes=SLOW))

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        await ada.join("room:b")
        for _ in range(2):
            assert isinstance(await ada.ask(ada.pushed("room:a", Count())), Reply)
        refused = await ada.refused(ada.pushed("room:a", Count()))
        assert refused.code == "too_fast"
        assert refused.retry_after == pytest.approx(1, abs=0.1)
        assert isinstance(await ada.ask(ada.pushed("room:b", Count())), Reply)
        await anyio.sleep(refused.retry_after or 0)
        assert isinstance(await ada.ask(ada.pushed("room:a", Count())), Reply)


async def test_leaving_and_joining_again_allows_no_more_pushes() -> None:
    app = open_to_all(Limits(publishes=SLOW))

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:a")
        for _ in range(2):
            await ada.ask(ada.pushed("room:a", Count()))
        await ada.ask(Leave(8, "room:a"))
        await ada.join("room:a")
        assert (await ada.refused(ada.pushed("room:a", Count()))).code == "too_fast"


@pytest.mark.parametrize("ref", [7, None])
async def test_who_goes_on_pushing_too_fast_is_closed_with_1008_and_the_room_gets_none_of_that(
    ref: int | None,
) -> None:
    app = open_to_all(Limits(publishes=SLOW))

    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        await ada.join("room:a")
        await bob.join("room:a")
        for _ in range(5):
            await ada.send(Push("room:a", raw(Say("baa")), ref))
        code, reason = await ending(ada.socket)
        assert (code, reason) == (1008, "too many pushes in too short a time; slow down")
        heard = [each for each in await bob.heard() if isinstance(each, Publication)]
        assert app.members("room:a") == 1

    assert [each.payload for each in heard] == [raw("baa")] * 2


async def test_a_route_may_let_its_clients_push_faster() -> None:
    app = open_to_all(Limits(publishes=SLOW))

    @app.ws("/fast", publishes=None)
    async def fast(websocket: WebSocket) -> None:
        await websocket.serve_rooms()

    async with TestClient(app) as client, peer(client, "/fast") as ada:
        await ada.join("room:a")
        for _ in range(500):
            assert isinstance(await ada.ask(ada.pushed("room:a", Count())), Reply)


# ------------------------------------------------------------------ what does not decode


async def test_what_is_no_frame_is_answered_five_times_in_a_minute_and_then_closes_with_1007(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        for _ in range(5):
            await ada.socket.send_text("no frame")
            assert isinstance(await ada.take(), Error)
        await ada.socket.send_bytes(b"no frame either")
        assert await ending(ada.socket) == (1007, "too many messages that do not decode")
        assert await bob.ask(Ping(1)) == Reply(1)

    assert tracebacks(caplog) == []


async def test_what_is_no_frame_is_forgiven_in_time() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        for _ in range(20):
            await ada.socket.send_text("no frame")
            assert isinstance(await ada.take(), Error)
            await anyio.sleep(12.1)


class Sheep(Message):
    name: str


def counting(app: Application, seen: list[str], **limits: Any) -> None:
    """Answer what does not decode, and write down what does, and the end."""

    @app.ws("/", on_invalid="reply", **limits)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for sheep in websocket.iter_as(Sheep):
            seen.append(sheep.name)
        seen.append("over")


async def test_a_handler_that_answers_what_does_not_decode_closes_with_1007_in_the_end() -> None:
    app = Application()
    seen: list[str] = []
    counting(app, seen, invalid_messages=Rate(2, per=60))

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        for _ in range(2):
            await ada.send_text("[]")
            assert (await ada.receive_json())["error"] == "invalid_message"
        await ada.send_json({"type": "Sheep", "name": "Dolly"})
        await ada.send_text("[]")
        assert await ending(ada) == (1007, "too many messages that do not decode")
        await ada.wait_handler()

    assert seen == ["Dolly", "over"]


async def test_without_a_limit_what_does_not_decode_is_answered_for_ever() -> None:
    app = Application(limits=Limits(invalid_messages=None))
    counting(app, [])

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        for _ in range(100):
            await ada.send_text("[]")
            assert (await ada.receive_json())["error"] == "invalid_message"


# ------------------------------------------------------------------ faults are no crashes

FAULTS = [
    "no frame",
    '{"type": "dance"}',
    "[" * 500,
    '{"type": "join", "ref": 1, "topic": "nowhere"}',
    '{"type": "join", "ref": 1, "topic": "\\n"}',
    '{"type": "join", "ref": 1, "topic": "news:a", "since": "nowhere"}',
    '{"type": "push", "ref": 1, "topic": "nowhere", "payload": 1}',
    '{"type": "push", "ref": 1, "topic": "room:a", "payload": {"type": "Say"}}',
    '{"type": "push", "ref": 1, "topic": "room:a", "payload": {"type": "Crash"}}',
    '{"type": "push", "ref": 1, "topic": "room:a", "payload": {"type": "Refuse"}}',
]


async def test_ten_thousand_faults_of_clients_restart_nothing_and_leave_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = open_to_all(Limits(invalid_messages=None, joins=None, publishes=None))
    happened: list[object] = []
    app.events.subscribe(happened.append, Restarted)
    app.events.subscribe(happened.append, GaveUp)
    answered = 0

    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        await bob.join("room:a")
        await ada.join("room:a")
        for _ in range(1000):
            for fault in FAULTS:
                await ada.socket.send_text(fault)
            for _ in FAULTS:
                answer = decoded(await ada.socket.receive_text())
                answered += isinstance(answer, Error | Refused)
        assert await bob.ask(bob.pushed("room:a", Count())) == Reply(2, raw(0))

    assert answered == 10_000
    assert happened == []
    assert tracebacks(caplog) == []


async def test_a_thousand_connections_that_end_by_a_fault_restart_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = open_to_all()
    happened: list[object] = []
    app.events.subscribe(happened.append, Restarted)
    app.events.subscribe(happened.append, GaveUp)

    @app.ws("/strict")
    async def strict(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_as(Sheep)

    codes: set[int | None] = set()
    async with TestClient(app) as client, peer(client) as bob:
        for number in range(1000):
            async with client.websocket_connect("/strict") as ada:
                await ada.send_text("[]")
                await ada.wait_handler()
                codes.add(ada.close_code)
            assert app.connections <= 2, number
        assert await bob.ask(Ping(1)) == Reply(1)

    assert codes == {1007}
    assert happened == []
    assert tracebacks(caplog) == []
