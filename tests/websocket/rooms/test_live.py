"""herdwick.v1, as docs/reference/herdwick-v1.md has it: each frame, and each code."""

from typing import Any

import pytest

from herdwick import (
    Application,
    History,
    JoinRefused,
    Limits,
    Member,
    Message,
    Params,
    Room,
    everyone,
)
from herdwick.protocol import (
    Error,
    Join,
    Joined,
    Leave,
    Ping,
    Publication,
    Push,
    Refused,
    Reply,
)
from herdwick.testing import TestClient, settle
from tests.websocket.rooms.stage import KEPT, Count, diary, live, open_to_all, peer, raw

# ------------------------------------------------------------------ connecting


async def test_the_server_takes_the_subprotocol_and_refuses_who_does_not_offer_it() -> None:
    app = open_to_all()

    async with TestClient(app) as client:
        async with peer(client) as ada:
            assert ada.socket.subprotocol == "herdwick.v1"
        async with client.websocket_connect("/live") as bob:
            assert bob.rejection is not None
            assert bob.rejection.status == 400
            assert "offer the subprotocol herdwick.v1" in bob.rejection.text()


async def test_what_can_be_joined_may_be_narrowed_by_pattern_and_by_class() -> None:
    app = open_to_all()
    own = diary(app, "other:{name}")
    live(app, own, "news:{name}", path="/some")
    live(app, "typo", path="/typo")

    async with TestClient(app, raise_errors=False) as client:
        async with peer(client, "/some") as ada:
            await ada.join("other:a")
            await ada.join("news:a")
            assert (await ada.refused(Join(9, "room:a"))).code == "unknown_topic"
        async with peer(client, "/typo") as bob:
            assert bob.socket.rejection is not None
            assert isinstance(bob.socket.error, ValueError)
            assert "'typo' is not declared" in str(bob.socket.error)


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "{}",
        '{"type": "dance"}',
        '{"type": "join", "topic": "room:a"}',
        '{"type": "join", "ref": "1", "topic": "room:a"}',
        '{"type": "ping", "ref": ' + "[" * 2000 + "]" * 2000 + "}",
        b'{"type": "ping", "ref": 1}',
    ],
)
async def test_what_is_no_frame_is_answered_with_an_error_and_nothing_else(
    message: str | bytes,
) -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        if isinstance(message, str):
            await ada.socket.send_text(message)
        else:
            await ada.socket.send_bytes(message)
        error = await ada.take()

        assert isinstance(error, Error)
        assert error.code == "invalid_message"
        assert error.message
        assert await ada.ask(Ping(1)) == Reply(1)


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "join", "ref": 1, "topic": "room:a", "colour": "red"}',
        '{"type": "join", "ref": 1, "topic": "room:a", "params": null, "since": null}',
    ],
)
async def test_fields_that_are_not_known_are_ignored_and_null_is_as_good_as_absent(
    message: str,
) -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.socket.send_text(message)

        assert isinstance(await ada.take(), Joined)


# ------------------------------------------------------------------ join and leave


async def test_joined_says_where_the_member_stands_and_what_the_room_says() -> None:
    app = open_to_all(history=KEPT)

    async with TestClient(app) as client, peer(client) as ada:
        position = await app.broadcast("room:a", 1)
        joined = await ada.join("room:a", params={"welcome": {"hello": "Ada"}})

    assert joined == Joined(
        ref=joined.ref,
        topic="room:a",
        position=str(position),
        payload=raw({"hello": "Ada"}),
    )


async def test_a_join_since_a_position_is_recovered_with_all_that_was_missed() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        first = await app.broadcast("news:a", 1)
        await app.broadcast("news:a", 2)
        last = await app.broadcast("news:a", 3)
        joined = await ada.join("news:a", since=str(first))

        assert joined.recovered
        assert joined.gap is None
        assert joined.position == str(first)
        frames = await ada.heard()
        assert [f.payload for f in frames if isinstance(f, Publication)] == [raw(2), raw(3)]
        assert isinstance(frames[-1], Publication)
        assert frames[-1].position == str(last)


async def test_what_cannot_be_recovered_is_a_gap_and_goes_on_from_the_newest() -> None:
    app = Application()
    app.topic("news", history=History(size=2), authorize=everyone)
    app.topic("ticks", authorize=everyone)
    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        positions = [await app.broadcast("news", number) for number in range(5)]
        for since, gap in ((str(positions[0]), "history"), ("other:3", "epoch")):
            joined = await ada.join("news", since=since)
            assert (joined.recovered, joined.gap) == (False, gap)
            assert joined.position == str(positions[-1])
            assert await ada.heard() == []
            await ada.ask(Leave(9, "news"))
        joined = await ada.join("ticks", since="other:3")
        assert (joined.recovered, joined.gap, joined.position) == (False, "history", None)


async def test_after_a_gap_comes_what_a_newcomer_gets() -> None:
    app = Application()
    app.topic("news", history=History(size=4, replay=2), authorize=everyone)
    live(app)

    async with TestClient(app) as client, peer(client) as ada:
        positions = [await app.broadcast("news", number) for number in range(9)]
        for since, gap in ((str(positions[0]), "history"), ("other:3", "epoch"), (None, None)):
            joined = await ada.join("news", since=since)
            assert (joined.recovered, joined.gap) == (False, gap)
            assert joined.position == str(positions[6])
            frames = await ada.heard()
            assert [f.payload for f in frames if isinstance(f, Publication)] == [raw(7), raw(8)]
            await ada.ask(Leave(9, "news"))


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Join(1, "unknown:a"), "unknown_topic"),
        (Join(1, "inside"), "unknown_topic"),
        (Join(1, ""), "invalid_topic"),
        (Join(1, "room:" + "a" * 251), "invalid_topic"),
        (Join(1, "room:\n"), "invalid_topic"),
        (Join(1, "news:a", since="nowhere"), "invalid_position"),
        (Join(1, "news:a", since="e:-1"), "invalid_position"),
        (Push("room:a", raw(Count()), 1), "not_joined"),
    ],
)
async def test_what_the_client_gets_wrong_is_refused_with_its_code(
    frame: Join | Push, code: str
) -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        refused = await ada.refused(frame)

        assert (refused.ref, refused.code, refused.retry_after) == (1, code, None)
        assert refused.message
        assert await ada.ask(Ping(2)) == Reply(2)


async def test_joining_twice_and_too_many_have_codes_of_their_own() -> None:
    app = open_to_all(Limits(topics=2))

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("news:a")
        assert (await ada.refused(Join(9, "news:a"))).code == "already_joined"
        await ada.join("news:b")
        assert (await ada.refused(Join(9, "news:c"))).code == "too_many_topics"
        await ada.ask(Leave(9, "news:a"))
        await ada.join("news:c")


async def test_one_that_is_about_to_be_a_member_cannot_join_again_and_cannot_push() -> None:
    app = open_to_all()
    own = diary(app, "slow:{name}")

    class Slow(own):  # type: ignore[valid-type,misc]
        async def on_join(self, member: Member, params: Params) -> object:
            await self.door.passed()
            return None

    app.room("slower:{name}")(Slow)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.send(Join(1, "slower:a"))
        assert (await ada.refused(Join(2, "slower:a"))).code == "already_joined"
        assert (await ada.refused(ada.pushed("slower:a", Count()))).code == "not_joined"
        own.door.open()
        assert isinstance(await ada.take(), Joined)


async def test_a_refusal_carries_the_rooms_reason_and_when_to_try_again() -> None:
    app = Application()
    live(app)
    reasons: list[Any] = [{"seats": 0}, object(), None]

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            raise JoinRefused(reasons.pop(0), retry_after=params.get("later"))

    async with TestClient(app) as client, peer(client) as ada:
        refused = await ada.refused(Join(1, "room", {"later": 5}))
        assert refused.code == "forbidden"
        assert refused.detail == raw({"seats": 0})
        assert refused.retry_after == 5
        strange = await ada.refused(Join(2, "room"))
        assert strange.code == "forbidden"
        assert b"object object" in bytes(strange.detail)
        bare = await ada.refused(Join(3, "room"))
        assert (bare.detail, bare.retry_after) == (raw(None), None)


class Name(Message):
    name: str


async def test_params_that_do_not_decode_are_told_with_the_path_to_the_culprit() -> None:
    app = Application()
    live(app)

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            params.decode(Name)

    async with TestClient(app) as client, peer(client) as ada:
        refused = await ada.refused(Join(1, "room", {"name": []}))

    assert refused.code == "invalid_message"
    assert "$.name" in refused.message


async def test_after_a_leave_nothing_of_the_topic_comes_and_anybody_may_leave() -> None:
    app = open_to_all()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("news:a")
        await ada.send(Leave(7, "news:a"))
        await app.broadcast("news:a", "late")
        await app.broadcast("news:a", "later")
        frames = await ada.heard()

        assert frames[-1] == Reply(7)
        assert await ada.ask(Leave(8, "news:a")) == Reply(8)


async def test_a_leave_cuts_a_join_short_and_both_are_answered_once() -> None:
    app = open_to_all()
    own = diary(app, "slow:{name}")

    class Slow(own):  # type: ignore[valid-type,misc]
        async def on_join(self, member: Member, params: Params) -> object:
            await self.door.passed()
            return None

    app.room("slower:{name}")(Slow)

    async with TestClient(app) as client, peer(client) as ada:
        await ada.send(Join(1, "slower:a"))
        await settle()
        await ada.send(Leave(2, "slower:a"))
        frames = await ada.heard()
        own.door.open()
        await settle()

        assert [frame.ref for frame in frames if isinstance(frame, (Reply, Refused))] == [2, 1]
        assert own.journal == ["start", "leave left"]
        await ada.join("slower:a")
