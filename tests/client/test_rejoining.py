"""How a membership outlives connections, and how it ends."""

import anyio
import msgspec
import pytest

from herdwick.client import (
    Client,
    Gap,
    MembershipEnded,
    Message,
    NotRunning,
    Refused,
    Rejoined,
    Room,
)
from herdwick.protocol import Join, Joined, Leave, Left, Moved, ServerFrame
from herdwick.protocol import Refused as RefusedFrame
from herdwick.testing import settle
from tests.client.server import connected, in_room, publication, raw, serving


class Said(msgspec.Struct, frozen=True):
    text: str


def message(payload: object, position: str | None = None) -> Message:
    return Message(raw(payload), position)


async def take(room: Room, count: int) -> list[object]:
    return [await anext(room) for _ in range(count)]


# Reconnecting.


async def test_after_a_reconnect_each_topic_is_joined_with_its_last_position() -> None:
    async with (
        serving() as server,
        connected(server) as (client, peer),
        client.join("a", params={"n": 1}) as first,
        client.join("b"),
    ):
        await peer.send(publication("hello", "e:5", topic="a"))
        await anext(first)
        await peer.drop()
        peer = await server.accepted()
        await settle()

        asked = {join.topic: (join.since, join.params) for join in peer.joins}
        assert asked == {"a": ("e:5", {"n": 1}), "b": (None, {})}


async def test_a_recovered_rejoin_goes_on_without_a_gap() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(publication("a", "e:1"))
        assert await anext(room) == message("a", "e:1")
        server.welcome = lambda join: [
            Joined(join.ref, join.topic, recovered=True, position="e:1", payload=raw("again")),
            publication("b", "e:2"),
        ]
        await peer.drop()

        assert await take(room, 2) == [Rejoined(True, "again"), message("b", "e:2")]
        assert room.recovered
        assert room.payload == "again"


async def test_a_rejoin_that_is_not_recovered_is_a_gap() -> None:
    async with serving() as server, in_room(server, since="e:1") as (room, peer):
        await take(room, 1)
        await peer.send(Moved("chat", "e:2"))
        server.welcome = lambda join: [
            Joined(join.ref, join.topic, position="e:900", gap="history"),
            publication("b", "e:901"),
        ]
        await peer.drop()

        assert await take(room, 3) == [
            Rejoined(recovered=False),
            Gap("history"),
            message("b", "e:901"),
        ]
        assert room.position == "e:901"


async def test_on_a_topic_without_positions_a_reconnect_is_always_a_gap() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.drop()

        assert await take(room, 2) == [Rejoined(recovered=False), Gap("unrecorded")]


async def test_a_join_that_a_loss_interrupts_is_asked_again() -> None:
    async with serving() as server, connected(server) as (client, peer):
        server.welcome = lambda join: []
        async with anyio.create_task_group() as tasks:

            async def lose() -> None:
                await settle()
                server.welcome = lambda join: [Joined(join.ref, join.topic, position="e:3")]
                await peer.drop()

            tasks.start_soon(lose)
            async with client.join("chat", since="e:3") as room:
                assert room.position == "e:3"

                peer = await server.accepted()
                assert peer.joins[0].since == "e:3"


async def test_a_rejoin_whose_position_is_refused_is_tried_without_and_is_a_gap() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(publication("a", "e:1"))
        assert await anext(room) == message("a", "e:1")

        def welcome(join: Join) -> list[ServerFrame]:
            if join.since is not None:
                return [RefusedFrame(join.ref, "invalid_position", "no position")]
            return [Joined(join.ref, join.topic, position="f:7")]

        server.welcome = welcome
        await peer.drop()

        assert await take(room, 2) == [Rejoined(recovered=False), Gap("unrecorded")]
        assert room.position == "f:7"


async def test_a_frame_of_a_type_that_is_not_known_is_ignored() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send_text('{"type": "fanfare", "topic": "chat"}')
        await peer.send(publication("a", "e:1"))

        assert await anext(room) == message("a", "e:1")


# The end.


async def test_left_with_retry_after_joins_again_after_it() -> None:
    async with serving() as server, in_room(server, since="e:1") as (room, peer):
        await take(room, 1)
        await peer.send(publication("a", "e:2"), Left("chat", "crashed", "boom", 10.0))
        await anext(room)
        await settle()
        assert not room.joined

        before = anyio.current_time()
        assert await anext(room) == Rejoined(recovered=False)
        assert anyio.current_time() - before == pytest.approx(10.0 + 0.5, abs=0.01)
        assert peer.joins[-1].since == "e:2"
        assert len(server.tried_at) == 1


async def test_left_without_retry_after_ends_the_iteration_with_an_error() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(publication("last words"), Left("chat", "removed", "rude"))

        assert await anext(room) == message("last words")
        for _ in range(2):
            with pytest.raises(MembershipEnded, match="removed") as ended:
                await anext(room)
            assert (ended.value.reason, ended.value.message) == ("removed", "rude")


async def test_messages_end_with_the_membership() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(publication({"text": "a"}), Left("chat", "removed"))

        heard: list[Said] = []
        with pytest.raises(MembershipEnded):
            async for said in room.messages(Said):
                heard.append(said)
        assert heard == [Said("a")]


async def test_leaving_the_block_ends_the_iteration_elsewhere_and_tells_the_server() -> None:
    heard: list[object] = []

    async def listen(room: Room) -> None:
        heard.extend([event async for event in room])

    async with serving() as server, connected(server) as (client, peer):
        async with anyio.create_task_group() as tasks, client.join("chat") as room:
            tasks.start_soon(listen, room)
            await settle()
            await peer.send(publication("hello"))
            await settle()

        assert heard == [message("hello")]
        assert (await peer.receive(Leave)).topic == "chat"


async def test_a_rejoin_refused_with_retry_after_is_asked_again() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        server.welcome = lambda join: [RefusedFrame(join.ref, "full", "later", retry_after=5.0)]
        await peer.drop()
        peer = await server.accepted()
        await settle()
        server.welcome = lambda join: [Joined(join.ref, join.topic)]

        assert await take(room, 2) == [Rejoined(recovered=False), Gap("unrecorded")]
        assert len(peer.joins) == 2


async def test_a_rejoin_refused_for_good_ends_the_iteration_with_the_refusal() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        server.welcome = lambda join: [RefusedFrame(join.ref, "forbidden", "no more")]
        await peer.drop()

        with pytest.raises(Refused, match="no more"):
            await anext(room)


async def test_a_client_that_is_left_ends_all_iterations() -> None:
    async with serving() as server:
        async with connected(server) as (client, _):
            membership = client.join("chat")
            room = await membership.__aenter__()

        with pytest.raises(StopAsyncIteration):
            await anext(room)
        with pytest.raises(NotRunning):
            async with client.join("chat"):
                pass
        await membership.__aexit__(None, None, None)


async def test_a_join_that_waits_when_the_client_is_left_fails() -> None:
    async def wait(client: Client) -> None:
        with pytest.raises(NotRunning):
            async with client.join("chat"):
                pass

    async with serving() as server, anyio.create_task_group() as tasks:
        server.welcome = lambda join: []
        async with connected(server) as (client, _):
            tasks.start_soon(wait, client)
            await settle()
