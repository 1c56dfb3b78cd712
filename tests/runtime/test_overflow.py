"""What a message finds where the mailbox is full, and who waits for room."""

import anyio
import pytest

from herdwick.runtime import ActorStopped, Child, DeadLetter, MailboxFull, Overflow, Ref
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Incarnation,
    Note,
    Notes,
    Order,
    Quit,
    Wait,
    one,
)

DIARY = Child(Diary)


async def occupy(ref: Ref[Order]) -> Door:
    """Give the actor something in hand until the door that this returns opens."""
    door = Door()
    ref.tell(Wait(door))
    await settle()
    return door


def letters(events: Events) -> list[tuple[object, str]]:
    return [(event.message, event.why) for event in events if isinstance(event, DeadLetter)]


# ---------------------------------------------------------------------- the bound


async def test_a_mailbox_holds_a_thousand_messages_unless_told_otherwise() -> None:
    async with one(DIARY) as (ref, _):
        door = await occupy(ref)
        taken = [ref.tell(Note("x")) for _ in range(1001)]
        door.open()

        assert taken == [True] * 1000 + [False]


async def test_a_mailbox_may_have_no_bound() -> None:
    async with one(DIARY.policy(mailbox=None)) as (ref, _):
        door = await occupy(ref)
        taken = [ref.tell(Note("x")) for _ in range(5000)]
        door.open()

        assert all(taken)


async def test_the_message_in_hand_takes_no_room() -> None:
    async with one(DIARY.policy(mailbox=1)) as (ref, _):
        door = await occupy(ref)

        assert ref.tell(Note("waits"))
        door.open()


# ---------------------------------------------------------------------- refuse


async def test_a_message_that_is_refused_is_a_dead_letter_and_tell_says_so() -> None:
    async with one(DIARY.policy(mailbox=1)) as (ref, events):
        door = await occupy(ref)
        taken = [ref.tell(Note("a")), ref.tell(Note("b"))]
        door.open()
        await settle()

        assert taken == [True, False]
        assert letters(events) == [(Note("b"), "full")]
        assert await ref.ask(Notes()) == ["a"]


async def test_a_question_that_is_refused_is_no_dead_letter() -> None:
    async with one(DIARY.policy(mailbox=1)) as (ref, events):
        door = await occupy(ref)
        ref.tell(Note("a"))
        with pytest.raises(MailboxFull):
            await ref.ask(Notes())
        door.open()

        assert letters(events) == []


# ---------------------------------------------------------------------- drop_oldest


async def test_drop_oldest_makes_room_for_the_newest() -> None:
    async with one(DIARY.policy(mailbox=2, overflow="drop_oldest")) as (ref, events):
        door = await occupy(ref)
        taken = [ref.tell(Note(text)) for text in "abcd"]
        door.open()
        await settle()

        assert taken == [True] * 4
        assert letters(events) == [(Note("a"), "evicted"), (Note("b"), "evicted")]
        assert await ref.ask(Notes()) == ["c", "d"]


async def test_a_question_that_is_evicted_fails_at_once() -> None:
    async with one(DIARY.policy(mailbox=1, overflow="drop_oldest")) as (ref, events):
        door = await occupy(ref)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(MailboxFull, match="root/Diary has 1 messages waiting"):
                    await ref.ask(Notes(), timeout=3600)

            tasks.start_soon(ask)
            await settle()
            ref.tell(Note("newest"))
        door.open()
        await settle()

        assert await ref.ask(Notes()) == ["newest"]
        assert letters(events) == []


# ---------------------------------------------------------------------- stop


async def test_stop_crashes_the_one_that_is_behind_and_it_comes_back() -> None:
    async with one(DIARY.policy(mailbox=1, overflow="stop")) as (ref, events):
        await occupy(ref)
        taken = [ref.tell(Note("a")), ref.tell(Note("b"))]
        await settle()

        assert taken == [True, False]
        assert events.last_exit.reason.kind == "crash"
        assert isinstance(events.last_exit.error, MailboxFull)
        assert (Note("b"), "full") in letters(events)
        assert await ref.ask(Incarnation()) == 2


# ---------------------------------------------------------------------- send


@pytest.mark.parametrize("overflow", ["refuse", "drop_oldest", "stop"])
async def test_send_waits_for_room_whatever_the_policy(overflow: Overflow) -> None:
    async with one(DIARY.policy(mailbox=1, overflow=overflow)) as (ref, events):
        door = await occupy(ref)
        async with anyio.create_task_group() as tasks:
            for text in "abc":
                tasks.start_soon(ref.send, Note(text))
                await settle()
            door.open()
        await settle()

        assert await ref.ask(Notes()) == ["a", "b", "c"]
        assert letters(events) == []


async def test_send_fails_when_the_actor_ends_while_it_waits() -> None:
    async with one(DIARY.policy(mailbox=1, restart="temporary")) as (ref, _):
        door = await occupy(ref)
        ref.tell(Quit())
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                with pytest.raises(ActorStopped):
                    await ref.send(Note("waits"))

            tasks.start_soon(send)
            await settle()
            door.open()


async def test_send_waits_over_a_restart() -> None:
    async with one(DIARY.policy(mailbox=1)) as (ref, _):
        door = await occupy(ref)
        ref.tell(Crash())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ref.send, Note("waits"))
            await settle()
            door.open()
        await settle()

        assert await ref.ask(Notes()) == ["waits"]
        assert ref.incarnation == 2
