"""Pushes: their answers, their order, and what becomes of them when the connection is lost."""

from functools import partial

import anyio
import msgspec
import pytest

from herdwick.client import (
    AnswerTimeout,
    ConnectionLost,
    MembershipEnded,
    NotHandled,
    NotSent,
    Options,
    Refused,
    Room,
    SendTimeout,
    Unanswered,
)
from herdwick.protocol import Left, Push, Reply
from herdwick.protocol import Refused as RefusedFrame
from herdwick.testing import settle
from tests.client.server import Peer, connected, in_room, publication, raw, serving


class Say(msgspec.Struct, frozen=True):
    text: str


class Count(msgspec.Struct, frozen=True):
    said: int


async def push(room: Room, payload: object, replies: list[object] | None = None) -> None:
    reply: object = await room.push(payload)
    if replies is not None:
        replies.append(reply)


async def answer_all(peer: Peer, handled: list[object]) -> None:
    while True:
        handled.append(await peer.answer_push(len(handled)))


async def test_a_push_returns_what_the_room_returned() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        replies: list[object] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push, room, Say("hi"), replies)

            assert await peer.answer_push({"said": 1}) == {"text": "hi"}

        assert replies == [{"said": 1}]


async def test_a_reply_is_decoded_to_its_type() -> None:
    async with (
        serving() as server,
        in_room(server) as (room, peer),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(peer.answer_push, {"said": 1})

        assert await room.push(Say("hi"), type=Count) == Count(1)


async def test_a_refused_push_tells_why() -> None:
    async with serving() as server, in_room(server) as (room, peer):

        async def refuse() -> None:
            asked = await peer.receive(Push)
            assert asked.ref is not None
            await peer.send(RefusedFrame(asked.ref, "rejected", "no", raw({"why": "rude"})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refuse)
            with pytest.raises(Refused) as refused:
                await room.push(Say("!"))

            assert (refused.value.code, refused.value.detail) == ("rejected", {"why": "rude"})


async def test_what_cannot_be_encoded_is_not_pushed() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        with pytest.raises(TypeError):
            await room.push(object())

        await settle()
        assert peer.received() == []


async def test_pushes_go_out_in_the_order_of_the_calls() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.drop()
        await settle()
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(push, room, number)
                await settle()
            peer = await server.accepted()

            assert await peer.pushed(20) == [*range(20)]
            tasks.cancel_scope.cancel()


async def test_a_push_that_is_not_answered_in_time_may_have_been_handled() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        with pytest.raises(AnswerTimeout, match="chat did not answer within 5 s") as late:
            await room.push(Say("hi"))

        assert isinstance(late.value, Unanswered)
        await peer.receive(Push)


async def test_an_answer_that_comes_too_late_disturbs_nobody() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        with pytest.raises(AnswerTimeout):
            await room.push("first", timeout=1)
        await peer.answer_push("late")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.answer_push, "in time")

            assert await room.push("second") == "in time"


async def test_a_push_in_flight_when_the_connection_is_lost_may_have_been_handled() -> None:
    async with serving() as server, in_room(server) as (room, peer):

        async def lose() -> None:
            await peer.receive(Push)
            await peer.drop()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lose)
            with pytest.raises(ConnectionLost, match="may have been handled") as lost:
                await room.push(Say("hi"))

            assert isinstance(lost.value, Unanswered)


async def test_a_push_without_a_connection_waits_for_the_next_one() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        replies: list[object] = []
        await peer.drop()
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push, room, Say("hi"), replies)
            peer = await server.accepted()

            assert await peer.answer_push("heard") == {"text": "hi"}
        assert replies == ["heard"]
        assert len(server.tried_at) == 2


async def test_a_push_that_finds_no_connection_in_time_was_not_handled() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        server.answers.extend([(503, {"Retry-After": "60"})])
        await peer.drop()
        await settle()

        with pytest.raises(SendTimeout, match="asking again is safe") as late:
            await room.push(Say("hi"))

        assert isinstance(late.value, NotHandled)
        peer = await server.accepted()
        await settle()
        assert peer.received() == []


async def test_a_push_waits_until_the_room_is_joined_again() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(Left("chat", "crashed", "", 2.0))
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push, room, Say("hi"))
            await settle()
            assert peer.received() == []

            await peer.answer_push()
        assert len(peer.joins) == 2


async def test_a_push_of_a_membership_that_is_over_was_not_handled() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(Left("chat", "removed"))
        await settle()

        with pytest.raises(NotSent) as failed:
            await room.push(Say("hi"))

        assert isinstance(failed.value.__cause__, MembershipEnded)


async def test_a_push_that_waits_when_the_membership_ends_was_not_handled() -> None:
    async with serving() as server, connected(server) as (client, peer):
        async with anyio.create_task_group() as tasks:

            async def fail(room: Room) -> None:
                with pytest.raises(NotSent):
                    await room.push(Say("hi"))

            async with client.join("chat") as room:
                await peer.send(Left("chat", "crashed", "", 60.0))
                await settle()
                tasks.start_soon(fail, room)
                await settle()
        assert peer.received() == []


async def test_cancelling_a_push_that_waits_recalls_it() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.drop()
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push, room, "recalled")
            await settle()
            tasks.cancel_scope.cancel()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push, room, "kept")
            peer = await server.accepted()

            assert await peer.answer_push() == "kept"


async def test_cancelling_a_push_in_flight_disturbs_no_other() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        replies: list[object] = []
        async with anyio.create_task_group() as tasks:
            cancelled = anyio.CancelScope()

            async def give_up() -> None:
                with cancelled:
                    await room.push("first")

            tasks.start_soon(give_up)
            await settle()
            tasks.start_soon(push, room, "second", replies)
            await settle()
            cancelled.cancel()
            await settle()
            for answer in ("to nobody", "to the second"):
                asked = await peer.receive(Push)
                assert asked.ref is not None
                await peer.send(Reply(asked.ref, raw(answer)))

        assert replies == ["to the second"]


async def test_a_membership_that_nobody_iterates_gets_its_replies() -> None:
    async with serving() as server, in_room(server, options=Options(buffer=4)) as (room, peer):
        await peer.send(*(publication(number) for number in range(100)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.answer_push, "heard")

            assert await room.push(Say("hi")) == "heard"


async def test_a_thousand_pushes_at_once_are_all_answered() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        handled: list[object] = []
        replies: list[object] = []
        async with anyio.create_task_group() as server_tasks:
            server_tasks.start_soon(answer_all, peer, handled)
            async with anyio.create_task_group() as tasks:
                for number in range(1000):
                    tasks.start_soon(partial(push, room, number, replies))
            server_tasks.cancel_scope.cancel()

        assert sorted(map(str, handled)) == sorted(map(str, range(1000)))
        assert len(replies) == 1000
