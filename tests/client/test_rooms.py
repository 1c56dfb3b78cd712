"""What a member is told, and in which order."""

import anyio
import msgspec
import pytest

from herdwick.client import (
    AnswerTimeout,
    Gap,
    Message,
    PresenceChanged,
    Refused,
    Rejoined,
    Room,
    SendTimeout,
)
from herdwick.protocol import Gap as GapFrame
from herdwick.protocol import Joined, Leave, Left, Moved, Presence, Publication
from herdwick.protocol import Refused as RefusedFrame
from herdwick.testing import settle
from tests.client.server import connected, in_room, publication, raw, serving


class Said(msgspec.Struct, frozen=True):
    text: str


def message(payload: object, position: str | None = None) -> Message:
    return Message(raw(payload), position)


async def take(room: Room, count: int) -> list[object]:
    return [await anext(room) for _ in range(count)]


# Joining.


async def test_a_join_tells_what_the_room_said_where_it_stands_and_who_is_present() -> None:
    async with serving() as server:
        server.welcome = lambda join: [
            Joined(
                join.ref,
                join.topic,
                position="e:7",
                payload=raw({"motd": "hi"}),
                presence={"ada": {"7f3a": {"name": "Ada"}}},
            )
        ]
        async with connected(server) as (client, peer):
            async with client.join("chat", params={"name": "Bob"}) as room:
                assert room.topic == "chat"
                assert room.joined
                assert room.payload == {"motd": "hi"}
                assert room.position == "e:7"
                assert not room.recovered
                assert room.presence == {"ada": {"7f3a": {"name": "Ada"}}}

            assert peer.joins[0].params == {"name": "Bob"}
            assert peer.joins[0].since is None


async def test_a_join_since_a_position_is_told_what_has_come_since() -> None:
    async with serving() as server:
        server.welcome = lambda join: [
            Joined(join.ref, join.topic, recovered=True, position="e:7"),
            publication("missed", "e:8"),
        ]
        async with in_room(server, since="e:7") as (room, peer):
            assert await anext(room) == message("missed", "e:8")

            assert room.recovered
            assert peer.joins[0].since == "e:7"


async def test_a_join_that_does_not_recover_its_position_begins_with_a_gap() -> None:
    async with serving() as server:
        server.welcome = lambda join: [
            Joined(join.ref, join.topic, position="f:1", gap="epoch"),
            publication("new", "f:2"),
        ]
        async with in_room(server, since="e:7") as (room, _):
            assert await take(room, 2) == [Gap("epoch"), message("new", "f:2")]


async def test_a_refused_join_tells_why() -> None:
    async with serving() as server:
        server.welcome = lambda join: [
            RefusedFrame(join.ref, "forbidden", "not for you", raw({"need": "gold"}), 3.0)
        ]
        async with connected(server) as (client, _):
            with pytest.raises(Refused, match="chat refused: not for you") as refused:
                async with client.join("chat"):
                    pass

            assert refused.value.code == "forbidden"
            assert refused.value.detail == {"need": "gold"}
            assert refused.value.retry_after == 3.0


async def test_a_topic_can_be_joined_again_after_it_was_left() -> None:
    async with serving() as server, connected(server) as (client, peer):
        async with client.join("chat"):
            pass
        async with client.join("chat") as room:
            await peer.send(publication("hello"))

            assert await anext(room) == message("hello")
        assert len(peer.joins) == 2


async def test_joining_a_topic_twice_at_once_is_refused_without_asking_the_server() -> None:
    async with serving() as server, connected(server) as (client, peer):
        async with client.join("chat"):
            with pytest.raises(Refused, match="already"):
                async with client.join("chat"):
                    pass

        assert len(peer.joins) == 1


async def test_a_cancelled_join_leaves_the_topic_and_disturbs_nobody() -> None:
    async with (
        serving() as server,
        connected(server) as (client, peer),
        client.join("chat") as room,
    ):
        server.welcome = lambda join: []
        with anyio.move_on_after(1):
            async with client.join("other"):
                raise AssertionError("nobody has answered")

        assert (await peer.receive(Leave)).topic == "other"
        await peer.send(Joined(peer.joins[1].ref, "other"), publication("stray", topic="other"))
        await peer.send(publication("hello"))
        assert await anext(room) == message("hello")


async def test_params_that_cannot_be_encoded_are_the_callers_mistake() -> None:
    async with serving() as server, connected(server) as (client, peer):
        with pytest.raises(TypeError):
            async with client.join("chat", params={"name": object()}):
                pass

        assert peer.joins == []


# What comes.


async def test_publications_come_in_their_order_and_move_the_position() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(
            publication("a", "e:1"),
            publication("for you alone"),
            Moved("chat", "e:2"),
            publication("b", "e:3"),
            Moved("chat", "e:4"),
        )

        assert await take(room, 3) == [
            message("a", "e:1"),
            message("for you alone"),
            message("b", "e:3"),
        ]
        assert room.position == "e:4"


async def test_a_gap_frame_is_told_between_what_came_before_and_after() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(
            publication("a", "e:1"), GapFrame("chat", "slow", "e:9"), publication("b", "e:10")
        )

        assert await take(room, 3) == [message("a", "e:1"), Gap("slow"), message("b", "e:10")]


async def test_several_rooms_share_one_connection_and_hear_their_own() -> None:
    async with serving() as server, connected(server) as (client, peer):
        async with client.join("a") as first, client.join("b") as second:
            await peer.send(publication(1, topic="a"), publication(2, topic="b"))

            assert await anext(first) == message(1)
            assert await anext(second) == message(2)
        assert len(server.tried_at) == 1


async def test_a_message_in_fragments_is_put_together() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send_fragments('{"type":"publication",', '"topic":"chat","pay', 'load":"hello"}')

        assert await anext(room) == message("hello")


async def test_an_event_matches_by_its_payload_and_position() -> None:
    match message({"text": "hi"}, "e:1"):
        case Message({"text": text}, position):
            assert (text, position) == ("hi", "e:1")
        case _:
            raise AssertionError("it does not match")


async def test_messages_are_decoded_to_their_type_and_nothing_else_is_told() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(
            publication({"text": "a"}), GapFrame("chat", "slow"), publication({"text": "b"})
        )
        messages = room.messages(Said)

        assert [await anext(messages), await anext(messages)] == [Said("a"), Said("b")]


async def test_a_payload_of_another_type_is_an_error_and_the_next_one_still_comes() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(publication(7), publication({"text": "b"}))
        messages = room.messages(Said)

        with pytest.raises(msgspec.ValidationError):
            await anext(messages)
        assert await anext(messages) == Said("b")


async def test_cancelling_the_iteration_loses_no_event() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, room)
            await settle()
            tasks.cancel_scope.cancel()

        await peer.send(publication("hello"))

        assert await anext(room) == message("hello")


async def test_two_tasks_do_not_iterate_a_room_at_the_same_time() -> None:
    async with (
        serving() as server,
        in_room(server) as (room, _),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(anext, room)
        await settle()

        with pytest.raises(RuntimeError, match="one at a time"):
            await anext(room)
        tasks.cancel_scope.cancel()


# Presence.


async def test_joins_are_applied_before_leaves() -> None:
    async with serving() as server:
        server.welcome = lambda join: [
            Joined(join.ref, join.topic, presence={"ada": {"old": {"n": 1}}})
        ]
        async with in_room(server) as (room, peer):
            await peer.send(Presence("chat", {"ada": {"new": {"n": 2}}}, {"ada": ["old"]}))

            assert await anext(room) == PresenceChanged(
                {"ada": {"new": {"n": 2}}}, {"ada": {"old": {"n": 1}}}
            )
            assert room.presence == {"ada": {"new": {"n": 2}}}


async def test_after_a_reconnect_the_presence_is_replaced_and_the_difference_told_once() -> None:
    async with serving() as server:
        server.welcome = lambda join: [
            Joined(
                join.ref, join.topic, presence={"ada": {"1": 1}, "bob": {"2": 2}, "eve": {"3": 3}}
            )
        ]
        async with in_room(server) as (room, peer):
            server.welcome = lambda join: [
                Joined(
                    join.ref,
                    join.topic,
                    presence={"ada": {"1": 1}, "bob": {"2": "away"}, "cyd": {"4": 4}},
                )
            ]
            await peer.drop()

            assert await take(room, 3) == [
                Rejoined(recovered=False),
                Gap("unrecorded"),
                PresenceChanged({"bob": {"2": "away"}, "cyd": {"4": 4}}, {"eve": {"3": 3}}),
            ]
            assert room.presence == {"ada": {"1": 1}, "bob": {"2": "away"}, "cyd": {"4": 4}}


async def test_what_comes_for_a_topic_that_is_not_joined_is_passed_over() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(
            Publication("other", raw("x")), Left("other", "removed"), Moved("other", "e:1")
        )
        await peer.send(publication("hello"))

        assert await anext(room) == message("hello")


async def test_a_late_joined_of_a_ref_that_nobody_knows_changes_nothing() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(Joined(999, "chat", position="x:1"), publication("hello"))

        await anext(room)
        assert room.position is None


async def test_a_join_that_the_server_does_not_answer_in_time_fails_and_leaves() -> None:
    async with serving() as server, connected(server) as (client, peer):
        server.welcome = lambda join: []

        with pytest.raises(AnswerTimeout, match="chat did not answer within 3 s"):
            async with client.join("chat", timeout=3):
                pass

        assert (await peer.receive(Leave)).topic == "chat"


async def test_a_join_that_finds_no_connection_in_time_fails() -> None:
    async with serving() as server, connected(server) as (client, peer):
        server.answers.append((503, {"Retry-After": "60"}))
        await peer.drop()
        await settle()

        with pytest.raises(SendTimeout):
            async with client.join("chat", timeout=3):
                pass

        peer = await server.accepted()
        await settle()
        assert peer.joins == []
