"""Questions: answers, and every way in which none comes."""

import gc
import weakref

import anyio
import pytest

from herdwick.runtime import (
    ActorStopped,
    AskTimeout,
    Child,
    Crashed,
    Expired,
    MailboxFull,
    NotHandled,
    Rejected,
    Restarting,
    Unanswered,
)
from herdwick.runtime.ask import Answer
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Hang,
    Incarnation,
    Note,
    Notes,
    Quit,
    Refuse,
    SlowStart,
    Wait,
    one,
    running,
    settle,
)


async def test_a_question_is_answered_after_what_was_told_before() -> None:
    async with one(Child(Diary)) as (ref, _):
        ref.tell(Note("a"))
        ref.tell(Note("b"))

        assert await ref.ask(Notes()) == ["a", "b"]


async def test_a_plain_message_can_be_asked_and_answers_none_once_handled() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal)) as (ref, _):
        answer: object = await ref.ask(Note("a"))

        assert answer is None
        assert await ref.ask(Notes()) == ["a"]


async def test_a_rejection_reaches_the_asker_and_crashes_nobody() -> None:
    async with one(Child(Diary)) as (ref, events):
        with pytest.raises(Rejected, match="not today") as caught:
            await ref.ask(Refuse())

        assert caught.value.error == "not today"
        assert await ref.ask(Incarnation()) == 1
        assert events == []


async def test_a_crash_fails_the_question_that_caused_it_at_once() -> None:
    async with one(Child(Diary)) as (ref, _):
        with pytest.raises(Crashed, match="root/Diary ended before it answered") as caught:
            await ref.ask(Crash("boom"), timeout=3600)

        assert isinstance(caught.value, Unanswered)
        assert isinstance(caught.value.__cause__, ValueError)
        assert caught.value.reason.kind == "crash"


async def test_an_answer_that_takes_too_long_is_a_timeout() -> None:
    async with one(Child(Diary).policy(grace=0)) as (ref, _):
        with pytest.raises(AskTimeout, match="root/Diary did not answer within 1 s") as caught:
            await ref.ask(Hang(), timeout=1)

        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, Unanswered)


async def test_a_question_whose_asker_has_gone_is_skipped() -> None:
    door = Door()
    async with one(Child(Diary)) as (ref, _):
        ref.tell(Wait(door))
        with pytest.raises(Expired):
            await ref.ask(Note("too late"), timeout=0)
        door.open()

        assert await ref.ask(Notes()) == []


async def test_the_answer_to_a_question_that_timed_out_goes_nowhere() -> None:
    door = Door()
    async with one(Child(Diary)) as (ref, events):
        with pytest.raises(AskTimeout):
            await ref.ask(Wait(door), timeout=0.001)
        door.open()
        await settle()

        assert await ref.ask(Incarnation()) == 1
        assert events == []


async def test_a_late_answer_is_discarded() -> None:
    answer: Answer[str] = Answer()
    with pytest.raises(Expired):
        await answer.wait_for("root/slow", 0, timers=None)

    answer.give("late")
    answer.fail(ValueError("later"))

    assert not answer.wanted


async def test_cancelling_a_question_forgets_it() -> None:
    answer: Answer[str] = Answer()
    with anyio.move_on_after(0):
        await answer.wait()

    assert not answer.wanted


async def test_only_the_first_answer_counts() -> None:
    answer: Answer[str] = Answer()
    answer.give("first")
    answer.give("second")
    answer.fail(ValueError("third"))

    assert await answer.wait() == "first"


async def test_a_failed_answer_is_freed_without_the_collector() -> None:
    class Watched(Exception):
        pass

    async def ask() -> "weakref.ref[Watched]":
        answer: Answer[str] = Answer()
        error = Watched()
        watch = weakref.ref(error)
        answer.fail(error)
        del error
        with pytest.raises(Watched):
            await answer.wait()
        return watch

    gc.disable()
    try:
        assert (await ask())() is None
    finally:
        gc.enable()


async def test_an_actor_that_has_ended_is_not_asked() -> None:
    async with one(Child(Diary).policy(restart="temporary")) as (ref, _):
        await ref.ask(Quit())
        await settle()

        with pytest.raises(ActorStopped, match="root/Diary has stopped") as caught:
            await ref.ask(Notes())

        assert isinstance(caught.value, NotHandled)
        assert ref.tell(Note("too late")) is False
        with pytest.raises(ActorStopped):
            await ref.send(Note("too late"))


async def test_questions_behind_the_end_fail_as_stopped_at_once() -> None:
    async with one(Child(Diary).policy(restart="temporary")) as (ref, _):
        with pytest.raises(ActorStopped):
            ref.tell(Quit())
            await ref.ask(Notes(), timeout=3600)


async def test_questions_behind_a_crash_bounce_at_once_and_orders_are_kept() -> None:
    async with one(Child(Diary)) as (ref, _):
        with pytest.raises(Restarting, match="ask again") as caught:
            for order in (Note("lost with its actor"), Crash(), Note("kept")):
                ref.tell(order)
            await ref.ask(Notes(), timeout=3600)
        ref.tell(Note("new"))
        await settle()

        assert isinstance(caught.value, NotHandled)
        assert await ref.ask(Notes()) == ["kept", "new"]


async def test_questions_during_a_restart_bounce_at_once() -> None:
    door = Door(is_open=True)
    slow, quick = Child(SlowStart, door).named("slow"), Child(Diary).named("quick")
    async with running(slow, quick) as system:
        slow_ref, quick_ref = system.ref(slow), system.ref(quick)
        door.shut()
        slow_ref.tell(Crash())
        await settle()
        quick_ref.tell(Crash())  # the supervisor is busy with the start of the other
        await settle()

        with pytest.raises(Restarting):
            await quick_ref.ask(Notes())
        quick_ref.tell(Note("kept"))
        door.open()
        await settle()

        assert await quick_ref.ask(Notes()) == ["kept"]


async def test_a_full_mailbox_refuses_questions_and_orders() -> None:
    async with one(Child(Diary).policy(mailbox=2, grace=0)) as (ref, _):
        ref.tell(Hang())
        await settle()

        assert [ref.tell(Note(text)) for text in "abc"] == [True, True, False]
        with pytest.raises(MailboxFull, match="root/Diary has 2 messages waiting") as caught:
            await ref.ask(Notes())

        assert isinstance(caught.value, NotHandled)


async def test_send_waits_for_room() -> None:
    door = Door()
    async with one(Child(Diary).policy(mailbox=1)) as (ref, _):
        ref.tell(Wait(door))
        await settle()
        async with anyio.create_task_group() as tasks:
            for text in "abc":
                tasks.start_soon(ref.send, Note(text))
                await settle()
            door.open()
        await settle()

        assert await ref.ask(Notes()) == ["a", "b", "c"]


async def test_cancelling_send_takes_the_message_back() -> None:
    door = Door()
    async with one(Child(Diary).policy(mailbox=1)) as (ref, _):
        ref.tell(Wait(door))
        await settle()
        ref.tell(Note("first"))
        with anyio.move_on_after(0):
            await ref.send(Note("taken back"))
        door.open()
        await settle()

        assert await ref.ask(Notes()) == ["first"]
