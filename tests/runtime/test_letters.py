"""Dead letters: told as events, counted, logged now and then, and summed up in the end."""

import logging

import anyio
import pytest

from herdwick.runtime import Actor, Child, DeadLetter, on
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Note,
    Order,
    Quit,
    Wait,
    one,
    running,
)

BRIEF = Child(Diary).policy(restart="temporary")


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in log.records if "dead letter" in r.getMessage()]


async def test_a_message_to_one_that_has_stopped_is_a_dead_letter() -> None:
    async with one(BRIEF) as (ref, events):
        await ref.ask(Quit())
        await settle()

        assert ref.tell(Note("x")) is False
        assert events[-1] == DeadLetter("root/Diary", Note("x"), "stopped")


async def test_messages_in_the_queue_of_one_that_ends_are_dead_letters() -> None:
    async with one(BRIEF) as (ref, events):
        for order in (Quit(), Note("a"), Note("b")):
            ref.tell(order)
        await settle()

        letters = [event for event in events if isinstance(event, DeadLetter)]
        assert letters == [
            DeadLetter("root/Diary", Note("a"), "stopped"),
            DeadLetter("root/Diary", Note("b"), "stopped"),
        ]


async def test_what_one_that_drains_tells_itself_after_its_own_stop_is_a_dead_letter() -> None:
    class Endless(Actor[Note]):
        handled = 0

        @on(Note)
        async def note(self, message: Note) -> None:
            self.ctx.stop()
            self.handled += 1
            assert self.handled < 10
            self.ctx.ref.tell(message)

    child = Child(Endless).policy(drain=True, restart="temporary")
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Note("x"))
        await settle()

        assert DeadLetter("root/Endless", Note("x"), "stopped") in events
        assert events.kinds() == ["root/Endless 1 normal"]


async def test_dead_letters_are_counted() -> None:
    async with running(BRIEF) as system:
        ref = system.ref(BRIEF)
        before = system.dead_letters
        await ref.ask(Quit())
        await settle()
        for _ in range(3):
            ref.tell(Note("x"))

        assert (before, system.dead_letters) == (0, 3)


async def test_the_log_names_the_kind_of_a_message_and_never_what_is_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with one(BRIEF) as (ref, _):
        await ref.ask(Quit())
        await settle()
        ref.tell(Note("a secret"))

        assert lines(caplog) == ["dead letter: root/Diary got no Note, for it has stopped"]
        assert caplog.records[-1].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (Child(Diary).policy(mailbox=1), "its mailbox is full"),
        (Child(Diary).policy(mailbox=1, overflow="drop_oldest"), "later ones filled its mailbox"),
    ],
)
async def test_the_log_says_why_a_full_mailbox_lost_a_message(
    child: Child[Order], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with one(child) as (ref, _):
        ref.tell(Note("a"))
        ref.tell(Note("b"))

        assert lines(caplog) == [f"dead letter: root/Diary got no Note, for {reason}"]


async def test_the_log_says_that_a_restart_has_dropped_a_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with one(Child(Diary).policy(queued="drop")) as (ref, _):
        ref.tell(Crash())
        ref.tell(Note("a"))
        await settle()

        [line] = lines(caplog)
        assert line.endswith("for it restarted, and its policy drops what waits")


async def test_of_the_message_that_crashed_its_actor_the_log_tells_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with one(Child(Diary)) as (ref, _):
        ref.tell(Crash())
        await settle()

    assert lines(caplog) == []
    assert "root/Diary crashed: ValueError: boom" in caplog.text


async def test_the_log_has_one_dead_letter_a_second_and_the_number_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with one(BRIEF) as (ref, _):
        await ref.ask(Quit())
        await settle()
        for _ in range(35):
            ref.tell(Note("x"))
        at_once = len(lines(caplog))

        await anyio.sleep(1)
        ref.tell(Note("x"))
        ref.tell(Note("x"))

        assert at_once == 1
        assert lines(caplog)[1].endswith("for it has stopped suppressed=34")
        assert len(lines(caplog)) == 2


async def test_dead_letters_are_summed_up_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    names = "abcdefg"
    children = [BRIEF.named(name) for name in names]
    async with running(*children) as system:
        for child in children:
            await system.ref(child).ask(Quit())
        await settle()
        for often, child in enumerate(children, 1):
            for _ in range(often):
                system.ref(child).tell(Note("x"))

    assert (
        "28 dead letters in all: 7 to root/g, 6 to root/f, 5 to root/e, 4 to root/d, 3 to root/c"
        " and 2 others"
    )


async def test_a_system_without_dead_letters_sums_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with one(BRIEF) as (ref, _):
        await ref.ask(Note("a"))

    assert lines(caplog) == []


async def test_a_question_that_nobody_waits_for_any_more_is_no_dead_letter() -> None:
    door = Door()
    async with one(BRIEF) as (ref, events):
        ref.tell(Wait(door))
        with anyio.move_on_after(1):
            await ref.ask(Note("taken back"))
        ref.tell(Quit())
        door.open()
        await settle()

        assert not [event for event in events if isinstance(event, DeadLetter)]
