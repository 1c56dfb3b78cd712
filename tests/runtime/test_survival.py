"""What survives a restart, and what is gone with the life before."""

from collections.abc import Iterator

import anyio
import pytest

from herdwick.runtime import (
    LATER,
    Actor,
    ActorStopped,
    Ask,
    Child,
    Context,
    DeadLetter,
    Down,
    Dynamic,
    Event,
    Exit,
    Later,
    Ref,
    Restarted,
    Restarting,
    Started,
    System,
    on,
)
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
    running,
)


class Keeper(Diary):
    """Keeps the context of each of its lives where a test finds it."""

    def __init__(self, contexts: list[Context[Order]]) -> None:
        super().__init__()
        self._contexts = contexts

    async def on_start(self) -> None:
        self._contexts.append(self.ctx)

    async def on_down(self, down: Down) -> None:
        self._notes.append(f"down: {down.reason.kind}")


async def restart(ref: Ref[Order]) -> None:
    ref.tell(Crash())
    await settle()


def letters(events: list[Event]) -> Iterator[tuple[object, str]]:
    for event in events:
        if isinstance(event, DeadLetter):
            yield event.message, event.why


# ---------------------------------------------------------------------- refs and names


async def test_a_ref_stays_valid_over_a_restart_and_tells_the_incarnation() -> None:
    async with one(Child(Diary)) as (ref, _):
        before = ref.incarnation
        await restart(ref)
        ref.tell(Note("to the second"))

        assert (before, ref.incarnation) == (1, 2)
        assert await ref.ask(Notes()) == ["to the second"]


async def test_the_ref_of_one_that_has_ended_tells_the_incarnation_that_was_its_last() -> None:
    async with one(Child(Diary).policy(restart="transient")) as (ref, _):
        await restart(ref)
        ref.tell(Quit())
        await settle()

        assert ref.incarnation == 2


async def test_a_ref_is_valid_before_its_actor_has_ever_lived() -> None:
    found: list[int] = []

    class First(Diary):
        async def on_start(self) -> None:
            second_ref = self.ctx.system.ref(second)
            found.append(second_ref.incarnation)
            assert second_ref.tell(Note("early")) is False

    second = Child(Diary).named("second")
    async with running(Child(First), second) as system:
        assert found == [0]
        assert system.ref(second).incarnation == 1


async def test_a_declared_name_stays_over_a_restart() -> None:
    child = Child(Diary).named("mine")
    async with running(child) as system:
        before = system.ref(child)
        await restart(before)

        assert system.ref(child) == before
        assert before.path == "root/mine"


async def test_an_actor_has_its_system_to_find_others() -> None:
    systems: list[System] = []

    class Finder(Diary):
        async def on_start(self) -> None:
            systems.append(self.ctx.system)

    async with running(Child(Finder)) as system:
        assert systems == [system]


# ---------------------------------------------------------------------- messages


async def test_the_message_in_flight_is_a_dead_letter_and_never_handled_again() -> None:
    async with one(Child(Diary)) as (ref, events):
        ref.tell(Crash("poison"))
        await settle()

        assert list(letters(events)) == [(Crash("poison"), "crashed")]
        assert await ref.ask(Incarnation()) == 2


async def test_the_message_that_a_helper_interrupts_with_its_crash_is_a_dead_letter() -> None:
    class Helped(Actor[Wait]):
        @on(Wait)
        async def wait(self, message: Wait) -> None:
            self.ctx.start_soon(self.fail)
            await message.door.passed()

        async def fail(self) -> None:
            raise ValueError("helpless")

    child, message = Child(Helped), Wait(Door())
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(message)
        await settle()

        assert list(letters(events)) == [(message, "crashed")]


async def test_what_is_queued_is_dropped_to_dead_letters_where_the_policy_says_so() -> None:
    async with one(Child(Diary).policy(queued="drop")) as (ref, events):
        for order in (Crash(), Note("a"), Note("b")):
            ref.tell(order)
        await settle()

        assert list(letters(events))[1:] == [(Note("a"), "dropped"), (Note("b"), "dropped")]
        assert await ref.ask(Notes()) == []


async def test_a_question_that_bounced_was_never_handled() -> None:
    handled: list[int] = []

    class Telling(Diary):
        @on(Incarnation)
        async def incarnation(self, message: Incarnation) -> int:
            handled.append(self.ctx.incarnation)
            return self.ctx.incarnation

    async with one(Child(Telling)) as (ref, _):
        ref.tell(Crash())
        with pytest.raises(Restarting):
            await ref.ask(Incarnation())
        await settle()

        assert handled == []
        assert await ref.ask(Incarnation()) == 2


async def test_questions_behind_the_crash_of_one_that_drains_fail_before_its_hook() -> None:
    door = Door()

    class Slow(Diary):
        async def on_stop(self, reason: Exit) -> None:
            await door.passed()

    async with one(Child(Slow).policy(restart="temporary", drain=True)) as (ref, _):
        ref.tell(Crash())
        with pytest.raises(ActorStopped):
            await ref.ask(Notes(), timeout=3600)
        door.open()


# ---------------------------------------------------------------------- what is gone


async def test_the_context_of_a_life_before_tells_its_own_incarnation() -> None:
    contexts: list[Context[Order]] = []
    async with one(Child(Keeper, contexts)) as (ref, _):
        await restart(ref)

        assert [context.incarnation for context in contexts] == [1, 2]
        assert contexts[0].ref == contexts[1].ref == ref


async def test_the_context_of_a_life_before_sets_no_timers_and_no_monitors() -> None:
    contexts: list[Context[Order]] = []
    async with one(Child(Keeper, contexts)) as (ref, _):
        await restart(ref)
        old = contexts[0]

        with pytest.raises(ActorStopped):
            old.send_after(1, Note("old"))
        with pytest.raises(ActorStopped):
            old.every(1, Note("old"))
        with pytest.raises(ActorStopped):
            old.monitor(ref)


async def test_the_context_of_a_life_before_stops_nobody() -> None:
    contexts: list[Context[Order]] = []
    async with one(Child(Keeper, contexts)) as (ref, _):
        await restart(ref)
        contexts[0].stop()
        await settle()

        assert await ref.ask(Incarnation()) == 2


async def test_the_monitors_of_a_life_before_are_gone() -> None:
    contexts: list[Context[Order]] = []
    other = Child(Diary).policy(restart="temporary")
    child = Child(Keeper, contexts)
    async with running(other, child) as system:
        contexts[0].monitor(system.ref(other))
        await restart(system.ref(child))
        system.ref(other).tell(Quit())
        await settle()

        assert await system.ref(child).ask(Notes()) == []


async def test_a_down_that_a_life_before_had_in_its_queue_is_gone() -> None:
    contexts: list[Context[Order]] = []
    door = Door()
    other = Child(Diary).policy(restart="temporary")
    child = Child(Keeper, contexts)
    async with running(other, child) as system:
        ref = system.ref(child)
        ref.tell(Wait(door))
        ref.tell(Crash())
        await settle()
        contexts[0].monitor(system.ref(other))
        system.ref(other).tell(Quit())
        await settle()
        door.open()
        await settle()

        assert await ref.ask(Incarnation()) == 2
        assert await ref.ask(Notes()) == []


# ---------------------------------------------------------------------- the order of events


async def test_restarted_comes_after_started() -> None:
    async with one(Child(Diary)) as (ref, events):
        await restart(ref)

        assert [event for event in events if isinstance(event, Started | Restarted)] == [
            Started("root/Diary", 2),
            Restarted("root/Diary", 2),
        ]


async def test_restarted_comes_after_started_in_a_pool_too() -> None:
    diaries = Dynamic("diaries", Diary, restart="permanent")
    async with running(diaries) as system:
        events = Events(system)
        ref = await system.start(diaries)
        await restart(ref)

        assert [event for event in events if isinstance(event, Started | Restarted)] == [
            Started("root/diaries/1", 1),
            Started("root/diaries/1", 2),
            Restarted("root/diaries/1", 2),
        ]


class Get(Ask[int]):
    """A question."""


async def reader(ctx: Context[Note | Get], contexts: list[Context[Note | Get]]) -> None:
    """Crash at the note `crash`; take a second over any other, and over questions."""
    contexts.append(ctx)
    while True:
        message = await ctx.receive()
        if message == Note("crash"):
            raise ValueError
        await anyio.sleep(1)
        if isinstance(message, Get):
            ctx.defer(message)(7)


async def test_receive_of_a_life_before_takes_no_message_of_the_next() -> None:
    contexts: list[Context[Note | Get]] = []
    child = Child(reader, contexts)
    async with running(child) as system:
        ref = system.ref(child)
        for text in ("crash", "a", "b"):
            ref.tell(Note(text))
        await settle()

        with pytest.raises(ActorStopped):
            await contexts[0].receive()
        assert system.statistics(child).mailbox == 1
        assert system.statistics(child).current == "Note"


async def test_receive_of_a_life_before_ends_no_question_of_the_next() -> None:
    contexts: list[Context[Note | Get]] = []
    child = Child(reader, contexts)
    async with running(child) as system, anyio.create_task_group() as tasks:
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await system.ref(child).ask(Get()))

        system.ref(child).tell(Note("crash"))
        await settle()
        tasks.start_soon(ask)
        await settle()
        with pytest.raises(ActorStopped):
            await contexts[0].receive()
        await anyio.sleep(2)

        assert answers == [7]


async def test_a_helper_in_its_last_moments_takes_no_message_of_the_next_life() -> None:
    got: list[str] = []

    async def last(ctx: Context[Note]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), pytest.raises(ActorStopped):
                await ctx.receive()

    async def crashing(ctx: Context[Note]) -> None:
        if ctx.incarnation == 1:
            ctx.start_soon(last, ctx)
        while True:
            message = await ctx.receive()
            if message == Note("crash"):
                await anyio.sleep(1)
                raise ValueError
            got.append(message.text)

    child = Child(crashing)
    async with running(child) as system:
        for text in ("crash", "kept"):
            system.ref(child).tell(Note(text))
        await anyio.sleep(3)

        assert got == ["kept"]


async def test_the_context_of_a_life_before_defers_no_question_of_the_next() -> None:
    contexts: list[Context[Note | Get]] = []

    class Desk(Actor[Note | Get]):
        async def on_start(self) -> None:
            contexts.append(self.ctx)

        @on(Get)
        async def get(self, message: Get) -> Later:
            with pytest.raises(ActorStopped):
                contexts[0].defer(message)
            self.ctx.defer(message)(7)
            return LATER

        @on(Note)
        async def note(self, message: Note) -> None:
            raise ValueError

    child = Child(Desk)
    async with running(child) as system:
        system.ref(child).tell(Note("crash"))
        await settle()

        assert await system.ref(child).ask(Get()) == 7
