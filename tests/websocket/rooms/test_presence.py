"""Who is present: derived from the members, told as differences, without ghosts."""

from typing import Any

import anyio
import guardpost
import pytest
from guardpost import AuthenticationHandler

from herdwick import Application, JoinRefused, Member, Params, PresenceOptions, Room, WebSocket
from herdwick.protocol import Joined, Leave, Presence
from herdwick.testing import TestClient, crash, settle
from herdwick.websocket.request import Request
from tests.websocket.rooms.inner import at, realtime
from tests.websocket.rooms.stage import diary, heard, live, peer, topics


class ByName(AuthenticationHandler):
    """Takes everybody's word for who he is."""

    def authenticate(self, context: Request) -> guardpost.Identity | None:
        name = context.headers.get("x-user")
        return guardpost.Identity({"sub": name}, "name") if name else None


def present(presence: bool | PresenceOptions = True) -> Application:
    """Give an application whose topic tells who is present, to clients of both kinds."""
    app = Application()
    app.use_authentication().add(ByName())
    app.topic("chat", presence=presence, authorize=introduce)
    topics(app)
    live(app)
    return app


async def introduce(member: Member, params: Params) -> None:
    member.meta = {"name": params["name"]} if "name" in params else None
    if "bad" in params:
        member.meta = object()


def user(name: str) -> dict[str, Any]:
    return {"headers": {"x-user": name}}


def joins(frames: list[Any]) -> list[dict[str, list[Any]]]:
    """Give who has come by each difference, by key, without the references."""
    return [
        {key: list(metas.values()) for key, metas in frame.joins.items()}
        for frame in frames
        if isinstance(frame, Presence) and frame.joins
    ]


def leaves(frames: list[Any]) -> list[dict[str, int]]:
    """Give how many have gone by each difference, by key."""
    return [
        {key: len(refs) for key, refs in frame.leaves.items()}
        for frame in frames
        if isinstance(frame, Presence) and frame.leaves
    ]


async def test_whoever_joins_is_told_who_is_there_and_those_hear_who_has_come() -> None:
    app = present()

    async with (
        TestClient(app) as client,
        peer(client, **user("ada")) as ada,
        peer(client, **user("bob")) as bob,
    ):
        first = await ada.join("chat", params={"name": "Ada"})
        await anyio.sleep(1)
        second = await bob.join("chat", params={"name": "Bob"})
        await anyio.sleep(1)

        assert first.presence == {}
        assert second.presence is not None
        assert {key: list(metas.values()) for key, metas in second.presence.items()} == {
            "ada": [{"name": "Ada"}]
        }
        assert joins(await ada.heard()) == [{"ada": [{"name": "Ada"}]}, {"bob": [{"name": "Bob"}]}]
        assert joins(await bob.heard()) == [{"bob": [{"name": "Bob"}]}]
        assert sorted(app.presence("chat")) == ["ada", "bob"]


async def test_two_devices_of_one_user_are_one_key_with_two_metas() -> None:
    app = present()

    async with TestClient(app) as client, peer(client, **user("bob")) as bob:
        await bob.join("chat")
        async with peer(client, **user("ada")) as laptop:
            await laptop.join("chat", params={"name": "laptop"})
            async with peer(client, **user("ada")) as phone:
                await phone.join("chat", params={"name": "phone"})
                await anyio.sleep(1)
                metas = app.presence("chat")["ada"].values()
                assert list(metas) == [{"name": "laptop"}, {"name": "phone"}]
            await anyio.sleep(1)
            assert list(app.presence("chat")["ada"].values()) == [{"name": "laptop"}]
        await anyio.sleep(1)
        assert "ada" not in app.presence("chat")

        assert leaves(await bob.heard()) == [{"ada": 1}, {"ada": 1}]


async def test_tracking_again_updates_what_is_told_and_the_same_again_tells_nothing() -> None:
    app = present()

    @app.ws("/typing")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as room:
            async for text in websocket.iter_text():
                room.track({"typing": text})
                assert list(room.presence[websocket.id].values()) == [{"typing": text}]

    async with (
        TestClient(app) as client,
        peer(client) as ada,
        client.websocket_connect("/typing") as bob,
    ):
        await ada.join("chat")
        await anyio.sleep(1)
        await ada.heard()
        for text in ("yes", "yes", "no"):
            await bob.send_text(text)
            await anyio.sleep(1)

        assert [next(iter(each.values())) for each in joins(await ada.heard())] == [
            [{"typing": "yes"}],
            [{"typing": "no"}],
        ]


async def test_changes_within_a_moment_are_told_together_and_who_came_and_went_never_was() -> None:
    app = present()

    async with TestClient(app) as client, peer(client, **user("ada")) as ada:
        await ada.join("chat")
        await anyio.sleep(1)
        await ada.heard()
        async with peer(client, **user("bob")) as bob, peer(client, **user("eve")) as eve:
            await bob.join("chat")
            await eve.join("chat")
            async with peer(client, **user("kim")) as kim:
                await kim.join("chat")
            await anyio.sleep(1)

            assert [sorted(each) for each in joins(await ada.heard())] == [["bob", "eve"]]


@pytest.mark.parametrize(("how", "after"), [("lost", 6), ("left", 1)])
async def test_with_a_grace_only_who_was_lost_stays_present_for_a_moment(
    how: str, after: float
) -> None:
    app = present(PresenceOptions(grace=5))

    async with TestClient(app) as client, peer(client, **user("ada")) as ada:
        await ada.join("chat")
        async with peer(client, **user("bob")) as bob:
            await bob.join("chat")
            await anyio.sleep(1)
            await ada.heard()
            if how == "lost":
                bob.socket.leave()
            else:
                await bob.ask(Leave(7, "chat"))
            await anyio.sleep(0.5)
            assert leaves(await ada.heard()) == ([] if how == "lost" else [{"bob": 1}])
            await anyio.sleep(after)

        assert leaves(await ada.heard()) == ([{"bob": 1}] if how == "lost" else [])
        assert "bob" not in app.presence("chat")


async def test_who_comes_back_within_the_grace_was_never_gone() -> None:
    app = present(PresenceOptions(grace=5))

    async with TestClient(app) as client, peer(client, **user("ada")) as ada:
        await ada.join("chat")
        async with peer(client, **user("bob")) as bob:
            await bob.join("chat")
            await anyio.sleep(1)
            bob.socket.leave()
        async with peer(client, **user("bob")) as again:
            await again.join("chat")
            present_throughout: list[bool] = []
            for _ in range(10):
                await anyio.sleep(1)
                present_throughout.append("bob" in app.presence("chat"))

            assert all(present_throughout)
            assert len(app.presence("chat")["bob"]) == 1


async def test_no_ghosts_stay_after_crashes_and_refused_joins() -> None:
    app = Application()
    live(app)

    @app.room("room", presence=True)
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            self.presence.track(member, {})
            if params.get("refuse"):
                raise JoinRefused("no")

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room")
        async with peer(client) as bob, peer(client) as eve:
            await bob.join("room")
            refused = await eve.refused(_join("room", refuse=True))
            assert refused.code == "forbidden"
            await anyio.sleep(1)
            assert len(app.presence("room")) == 2
            bob.socket.leave()
            with anyio.CancelScope(shield=True):
                await crash(at(app, "root/presence"), RuntimeError("a bug"))
            await crash(app.room_ref(Own), RuntimeError("a bug"))
        await anyio.sleep(1)
        told = await ada.heard()

        assert len(app.presence("room")) == 1
        assert sum(len(each) for each in leaves(told)) == 1
        assert len(realtime(app).topics["room"].members) == 1


def _join(topic: str, **params: Any) -> Any:
    from herdwick.protocol import Join

    return Join(99, topic, params)


async def test_plain_clients_hear_of_presence_only_what_the_room_broadcasts() -> None:
    app = present()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/chat") as plain,
        peer(client, **user("ada")) as ada,
    ):
        await ada.join("chat")
        await anyio.sleep(1)

        assert await heard(plain) == []


async def test_a_topic_without_presence_says_what_to_declare() -> None:
    app = Application()
    diary(app)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("room:fell") as room:
            assert room.presence == {}
            with pytest.raises(RuntimeError, match="declare presence=True"):
                room.track({})

    async with TestClient(app) as client, client.websocket_connect("/"):
        await settle()

        assert app.presence("room:fell") == {}


async def test_a_meta_that_cannot_be_encoded_is_told_to_who_sets_it_and_harms_nobody() -> None:
    app = present()
    errors: list[BaseException] = []

    @app.ws("/track")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("chat") as room:
            with pytest.raises(TypeError) as caught:
                room.track({"bad": object()})
            errors.append(caught.value)
            await websocket.wait_closed()

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("chat")
        async with client.websocket_connect("/track"):
            await anyio.sleep(1)
            async with peer(client) as late:
                assert isinstance(await late.join("chat"), Joined)
                await late.ask(Leave(7, "chat"))
                refused = await late.refused(_join("chat", bad=True))
                assert refused.code == "failed"

        assert ada.socket.close_code is None
    assert len(errors) == 1


async def test_who_is_tracked_no_more_stays_a_member() -> None:
    app = Application()
    live(app)

    @app.room("room", presence=True)
    class Own(Room):
        async def on_join(self, member: Member, params: Params) -> None:
            self.presence.track(member, {})
            self.presence.untrack(member)

        async def on_start(self) -> None:
            assert len(self.presence) == 0
            assert list(self.presence) == []

    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("room")
        await anyio.sleep(1)

        assert app.presence("room") == {}
        assert len(realtime(app).topics["room"].members) == 1


def test_a_grace_beyond_its_range_is_told() -> None:
    for grace in (-1.0, 11.0, float("nan")):
        with pytest.raises(ValueError, match="it must be from 0 to 10 seconds"):
            PresenceOptions(grace=grace)
