"""Members that read too slowly: closed, caught up, or conflated, and always told."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import anyio
import pytest

from herdwick import Application, CatchUp, Conflate, Disconnect, History, Limits
from herdwick.protocol import Gap, Presence, Publication, ServerFrame
from herdwick.testing import TestClient, TestWebSocket, settle
from tests.websocket.rooms.inner import realtime
from tests.websocket.rooms.stage import Peer, diary, heard, live, peer, topics

LITTLE = Limits(outbox_bytes=500)


def slowly(slow: Any, *, size: int = 100, presence: bool = False) -> Application:
    """Give an application with a topic whose members have little room."""
    app = Application(limits=LITTLE)
    diary(app, slow=slow, history=History(size=size), presence=presence)
    topics(app)
    live(app)
    return app


async def publish(app: Application, numbers: range, key: str = "a", **more: Any) -> None:
    for number in numbers:
        await app.broadcast("room:fell", {"key": key, "n": number, "fill": "x" * 100}, **more)


async def read(socket: TestWebSocket) -> list[Any]:
    """Read until nothing comes any more."""
    messages: list[Any] = []
    while some := await heard(socket):
        messages += some
    return messages


async def frames(ada: Peer) -> list[ServerFrame]:
    """Read until nothing comes any more."""
    got: list[ServerFrame] = []
    while some := await ada.heard():
        got += some
    return got


def numbers(messages: list[Any]) -> list[int]:
    return [message["n"] for message in messages]


def payloads(told: list[ServerFrame]) -> Iterator[Any]:
    import msgspec

    for frame in told:
        if isinstance(frame, Publication):
            yield msgspec.json.decode(frame.payload)


# ------------------------------------------------------------------ Disconnect


async def test_who_is_too_slow_is_closed_with_1013_and_nobody_else_notices() -> None:
    app = slowly(Disconnect())

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:fell") as slow,
        client.websocket_connect("/room:fell") as fast,
    ):
        await settle()
        told: list[Any] = []
        for number in range(10):
            await publish(app, range(number, number + 1))
            told += await heard(fast)

        assert (slow.close_code, slow.close_reason) == (1013, "too slow")
        assert numbers(told) == list(range(10))
        assert len(realtime(app).topics["room:fell"].members) == 1


async def test_who_was_closed_for_it_comes_back_and_misses_nothing() -> None:
    app = slowly(Disconnect())

    async with TestClient(app) as client:
        async with peer(client) as ada:
            joined = await ada.join("room:fell")
            await publish(app, range(10))
            told = await frames(ada)
            assert ada.socket.close_code == 1013
        position = [f.position for f in told if isinstance(f, Publication)][-1]
        async with peer(client) as again:
            joined = await again.join("room:fell", since=position)
            told += await frames(again)

    assert joined.recovered
    assert [each["n"] for each in payloads(told)] == list(range(10))


# ------------------------------------------------------------------ CatchUp


@pytest.mark.parametrize("how", ["plain", "v1"])
async def test_who_fell_behind_reads_on_from_the_log_without_a_gap(how: str) -> None:
    app = slowly(CatchUp())

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:fell") as plain,
        peer(client) as ada,
    ):
        await ada.join("room:fell")
        await publish(app, range(60))
        assert realtime(app).topics["room:fell"].waiting is False
        told = await read(plain) if how == "plain" else list(payloads(await frames(ada)))
        await publish(app, range(60, 61))
        told += await read(plain) if how == "plain" else list(payloads(await frames(ada)))

        assert numbers(told) == list(range(61))


async def test_what_the_log_has_dropped_by_then_is_a_gap_with_a_place_to_resume_from() -> None:
    app = slowly(CatchUp(), size=5)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:fell")
        await publish(app, range(60))
        told = await frames(ada)

        (gap,) = [frame for frame in told if isinstance(frame, Gap)]
        after = list(payloads(told[told.index(gap) :]))
        assert gap.reason == "slow"
        assert numbers(after) == list(range(55, 60))
        assert gap.position is not None
        assert gap.position.endswith(":55")
        assert ada.socket.close_code is None


async def test_a_plain_route_has_no_word_for_a_gap_and_closes_with_1013() -> None:
    app = slowly(CatchUp(), size=5)

    async with TestClient(app) as client, client.websocket_connect("/room:fell") as ada:
        await settle()
        await publish(app, range(60))
        told = numbers(await read(ada))

        assert told == list(range(len(told)))
        assert ada.close_code == 1013


@pytest.mark.parametrize("slow", [CatchUp(patience=20), Conflate(itemgetter("key"), patience=20)])
async def test_who_reads_nothing_for_the_patience_is_closed_with_1013(slow: Any) -> None:
    app = slowly(slow)

    async with TestClient(app) as client, client.websocket_connect("/room:fell") as ada:
        await settle()
        await publish(app, range(10))
        await anyio.sleep(19)
        assert ada.close_code is None
        await anyio.sleep(2)

        assert ada.close_code == 1013


async def test_what_is_not_recorded_passes_by_whoever_is_behind() -> None:
    app = slowly(CatchUp())

    async with TestClient(app) as client, client.websocket_connect("/room:fell") as ada:
        await settle()
        await publish(app, range(20))
        await publish(app, range(100, 110), record=False)
        await publish(app, range(20, 30))

        assert numbers(await read(ada)) == list(range(30))


async def test_who_is_behind_is_still_told_who_comes_and_goes() -> None:
    app = slowly(CatchUp(), presence=True)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:fell")
        await publish(app, range(20))
        (member,) = realtime(app).topics["room:fell"].members.values()
        realtime(app).topics["room:fell"].track(member, {"name": "Ada"})
        await anyio.sleep(1)
        told = await frames(ada)

    assert [frame for frame in told if isinstance(frame, Presence)]
    assert numbers(list(payloads(told))) == list(range(20))


async def test_a_replay_larger_than_the_outbox_is_read_from_the_log() -> None:
    app = Application(limits=LITTLE)
    app.topic("chat", history=History(size=50, replay=50))
    topics(app)

    async with TestClient(app) as client:
        for number in range(50):
            await app.broadcast("chat", {"n": number, "fill": "x" * 100})
        async with client.websocket_connect("/chat") as ada:
            await settle()
            await app.broadcast("chat", {"n": 50})

            assert numbers(await read(ada)) == list(range(51))


# ------------------------------------------------------------------ Conflate


async def test_without_an_interval_only_who_is_behind_misses_anything() -> None:
    app = slowly(Conflate(itemgetter("key")))

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room:fell") as slow,
        client.websocket_connect("/room:fell") as fast,
    ):
        await settle()
        told: list[Any] = []
        for number in range(20):
            await publish(app, range(number, number + 1), "a")
            await publish(app, range(number, number + 1), "b")
            told += await read(fast)
        late = await read(slow)

        assert len(told) == 40
        assert len(late) < 20
        assert [(each["key"], each["n"]) for each in late[-2:]] == [("a", 19), ("b", 19)]
        await publish(app, range(20, 21))
        assert numbers(await read(slow)) == [20]


async def test_what_was_conflated_is_told_where_there_is_a_word_for_it() -> None:
    app = slowly(Conflate(itemgetter("key")))

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room:fell")
        await publish(app, range(20))
        told = await frames(ada)
        gaps = [frame for frame in told if isinstance(frame, Gap)]

        assert [gap.reason for gap in gaps] == ["conflated"]
        assert isinstance(told[-1], Publication)
        assert numbers(list(payloads(told)))[-1] == 19
        assert told.index(gaps[0]) == len(told) - 2


async def test_with_an_interval_everybody_gets_the_newest_of_each_key_every_so_often() -> None:
    app = Application()
    app.topic("prices", slow=Conflate(itemgetter("key"), interval=0.5))
    topics(app)
    live(app)

    async with TestClient(app) as client, client.websocket_connect("/prices") as ada:
        await settle()
        for number in range(10):
            await app.broadcast("prices", {"key": "ab"[number % 2], "n": number})
        assert await heard(ada) == []
        await anyio.sleep(0.6)
        assert numbers(await heard(ada)) == [8, 9]
        await app.broadcast("prices", {"key": "a", "n": 10})
        assert await heard(ada) == []
        await anyio.sleep(0.6)

        assert numbers(await heard(ada)) == [10]


async def test_who_leaves_while_something_waits_gets_nothing_later() -> None:
    app = Application()
    app.topic("prices", slow=Conflate(itemgetter("key"), interval=0.5))

    @app.ws("/")
    async def handler(websocket: Any) -> None:
        await websocket.accept()
        async with websocket.join("prices"):
            await app.broadcast("prices", {"key": "a", "n": 1})
        await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/") as ada:
        await settle()
        await anyio.sleep(1)

        assert await heard(ada) == []


async def test_a_key_that_fails_is_the_publishers() -> None:
    app = slowly(Conflate(itemgetter("key")))

    async with TestClient(app) as client, client.websocket_connect("/room:fell") as ada:
        await settle()
        with pytest.raises(KeyError):
            await app.broadcast("room:fell", {})

        assert ada.close_code is None


async def test_a_room_can_send_to_one_member_between_two_intervals_and_not_to_one_behind() -> None:
    app = Application(limits=LITTLE)
    app.topic("prices", slow=Conflate(itemgetter("key"), interval=0.5))
    topics(app)

    async with TestClient(app) as client, client.websocket_connect("/prices") as ada:
        await settle()
        await app.broadcast("prices", {"key": "a", "n": 1})
        (member,) = realtime(app).topics["prices"].members.values()

        assert member.send("for you")
        assert await heard(ada) == ["for you"]
        for _ in range(5):
            member.send("x" * 200)
        assert not member.send("too much")
