"""Passivation: idle actors stop, and come back when somebody needs them."""

import gc

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    LATER,
    Actor,
    Ask,
    Child,
    DeadLetter,
    Down,
    Dynamic,
    Exit,
    Later,
    Message,
    NotHandled,
    Reply,
    Restarted,
    Supervisor,
    System,
    on,
    watch,
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
    Quit,
    running,
)

IDLE = 10.0
IDLING = Child(Diary).named("idling").policy(idle_timeout=IDLE)


class SlowEnd(Diary):
    """Takes three seconds to stop."""

    async def on_stop(self, reason: Exit) -> None:
        await anyio.sleep(3)


SLOW = Child(SlowEnd).named("slow").policy(idle_timeout=IDLE)


# ---------------------------------------------------------------------- it goes


async def test_an_actor_without_work_stops_until_it_is_needed() -> None:
    async with running(IDLING) as system:
        events = Events(system)
        await anyio.sleep(IDLE + 1)

        assert system.statistics(IDLING).state == "passive"
        assert events.last_exit.reason == Exit("shutdown", "idle")
        assert await system.ref(IDLING).ask(Incarnation()) == 2


async def test_an_actor_without_an_idle_timeout_never_passivates() -> None:
    child = Child(Diary)
    async with running(child) as system:
        await anyio.sleep(86_400)

        assert await system.ref(child).ask(Incarnation()) == 1


async def test_idleness_counts_from_the_end_of_the_last_message() -> None:
    async with running(IDLING) as system:
        for _ in range(5):
            await anyio.sleep(IDLE - 1)
            system.ref(IDLING).tell(Note("busy"))

        assert await system.ref(IDLING).ask(Incarnation()) == 1


async def test_idleness_counts_from_the_end_of_the_last_helper() -> None:
    class Helped(Diary):
        async def on_start(self) -> None:
            self.ctx.start_soon(anyio.sleep, 29)

    child = Child(Helped).policy(idle_timeout=IDLE)
    async with running(child) as system:
        await anyio.sleep(38)
        before = system.statistics(child).state
        await anyio.sleep(2)

        assert (before, system.statistics(child).state) == ("running", "passive")


class Work(Message):
    """Have work of some kind."""

    kind: str


class Promise(Ask[int]):
    """Answer later."""


class Worker(Actor[Work | Promise]):
    def __init__(self) -> None:
        self.replies: list[Reply[int]] = []

    async def on_down(self, down: Down) -> None: ...

    @on(Work)
    async def work(self, message: Work) -> None:
        if message.kind == "a helper":
            self.ctx.start_soon(anyio.sleep_forever)
        elif message.kind == "a timer":
            self.ctx.send_after(1000, message)
        else:
            self.ctx.monitor(self.ctx.ref)

    @on(Promise)
    async def promise(self, message: Promise) -> Later:
        self.replies.append(self.ctx.defer(message))
        return LATER


@pytest.mark.parametrize("kind", ["a helper", "a timer", "a monitor"])
async def test_an_actor_that_has_work_does_not_passivate(kind: str) -> None:
    child = Child(Worker).policy(idle_timeout=IDLE)
    async with running(child) as system:
        system.ref(child).tell(Work(kind))
        await anyio.sleep(100)

        assert system.statistics(child).state == "running"


async def test_an_actor_that_owes_an_answer_does_not_passivate() -> None:
    child = Child(Worker).policy(idle_timeout=IDLE)
    async with running(child) as system, anyio.create_task_group() as tasks:
        ask = system.ref(child).ask
        tasks.start_soon(lambda: ask(Promise(), timeout=1000))
        await anyio.sleep(100)

        assert system.statistics(child).state == "running"
        tasks.cancel_scope.cancel()


async def test_a_reply_that_was_given_and_kept_is_no_work() -> None:
    class Prompt(Worker):
        @on(Promise)
        async def promise(self, message: Promise) -> Later:
            self.replies.append(self.ctx.defer(message))
            self.replies[-1](1)
            return LATER

    child = Child(Prompt).policy(idle_timeout=IDLE)
    async with running(child) as system:
        await system.ref(child).ask(Promise())
        await anyio.sleep(100)

        assert system.statistics(child).state == "passive"


async def test_who_watches_one_that_passivates_is_told() -> None:
    downs: list[Down] = []
    async with running(IDLING) as system:
        watch(system.ref(IDLING), downs.append)
        await anyio.sleep(IDLE + 1)

        assert [str(down.reason) for down in downs] == ["shutdown (idle)"]


async def test_an_error_of_the_hook_of_a_passivation_is_a_crash_and_brings_it_back() -> None:
    class Bad(Diary):
        async def on_stop(self, reason: Exit) -> None:
            if reason.error == "idle" and self.ctx.incarnation == 1:
                raise ValueError("no disk")

    child = Child(Bad).policy(idle_timeout=IDLE)
    async with running(child) as system:
        await anyio.sleep(IDLE + 1)

        assert system.statistics(child).state == "running"
        assert await system.ref(child).ask(Incarnation()) == 2


# ---------------------------------------------------------------------- it comes back


async def test_a_message_wakes_a_passive_actor_and_is_handled() -> None:
    async with running(IDLING) as system:
        await anyio.sleep(IDLE + 1)
        system.ref(IDLING).tell(Note("wake up"))

        assert await system.ref(IDLING).ask(Notes()) == ["wake up"]


async def test_send_wakes_a_passive_actor() -> None:
    async with running(IDLING) as system:
        await anyio.sleep(IDLE + 1)
        await system.ref(IDLING).send(Note("wake up"))

        assert await system.ref(IDLING).ask(Notes()) == ["wake up"]


async def test_waking_is_no_restart_and_uses_up_no_budget() -> None:
    async with System(Supervisor("root", IDLING, max_restarts=0)) as system:
        events = Events(system)
        for incarnation in (2, 3):
            await anyio.sleep(IDLE + 1)
            assert await system.ref(IDLING).ask(Incarnation()) == incarnation

        assert system.statistics(IDLING).restarts == 0
        assert not [event for event in events if isinstance(event, Restarted)]


async def test_all_questions_to_a_passive_actor_are_answered() -> None:
    answers: list[int] = []
    async with running(IDLING) as system:
        await anyio.sleep(IDLE + 1)

        async def ask() -> None:
            answers.append(await system.ref(IDLING).ask(Incarnation()))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)

    assert answers == [2, 2, 2]


async def test_a_question_while_it_passivates_is_answered_by_the_next_life() -> None:
    async with running(SLOW) as system:
        await anyio.sleep(IDLE + 1)
        assert system.statistics(SLOW).state == "stopping"

        assert await system.ref(SLOW).ask(Incarnation()) == 2


async def test_no_message_to_one_that_passivates_is_dropped_whatever_the_policy_of_restarts() -> (
    None
):
    child = SLOW.policy(queued="drop")
    async with running(child) as system:
        await anyio.sleep(IDLE + 1)
        system.ref(child).tell(Note("while it goes"))
        await anyio.sleep(4)

        assert await system.ref(child).ask(Notes()) == ["while it goes"]


async def test_no_message_to_a_passive_one_is_dropped_whatever_the_policy_of_restarts() -> None:
    child = IDLING.policy(queued="drop")
    async with running(child) as system:
        await anyio.sleep(IDLE + 1)
        system.ref(child).tell(Note("a"))
        system.ref(child).tell(Note("b"))
        await settle()

        assert await system.ref(child).ask(Notes()) == ["a", "b"]


# ---------------------------------------------------------------------- it stays away


async def test_a_message_to_one_that_passivates_while_all_stop_is_a_dead_letter() -> None:
    last = Child(SlowEnd).named("last")
    async with running(SLOW, last) as system:
        events = Events(system)
        await anyio.sleep(IDLE + 1)
        assert system.ref(SLOW).tell(Note("x"))

    letters = [event for event in events if isinstance(event, DeadLetter)]
    assert letters == [DeadLetter("root/slow", Note("x"), "stopped")]
    assert events.kinds() == ["root/slow 1 shutdown", "root/last 1 shutdown", "root 1 shutdown"]


@pytest.mark.parametrize("moment", range(12))
async def test_a_pool_stops_whoever_passivates_and_is_needed_meanwhile(moment: int) -> None:
    door = Door()

    class Passing(Diary):
        async def on_stop(self, reason: Exit) -> None:
            await door.passed()
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()

    class Last(Diary):
        async def on_stop(self, reason: Exit) -> None:
            door.open()

    diaries = Dynamic("diaries", Passing, idle_timeout=IDLE)
    async with running(diaries, Child(Last)) as system:
        events = Events(system)
        ref = await system.get(diaries)
        await anyio.sleep(IDLE + 1)
        assert ref.tell(Note("x"))

    assert events.kinds()[-1] == "root 1 shutdown"


async def test_a_temporary_one_that_its_group_forgot_while_it_was_passive_stays_down() -> None:
    crashing, passive = Child(Diary), IDLING.policy(restart="temporary")
    async with System(Supervisor("root", crashing, passive, strategy="one_for_all")) as system:
        await anyio.sleep(IDLE + 1)
        assert system.statistics(passive).state == "passive"
        system.ref(crashing).tell(Crash())
        await settle()

        assert system.ref(passive).tell(Note("x")) is False
        assert system.statistics(passive).state == "stopped"


async def test_one_that_stops_itself_is_not_passive() -> None:
    child = IDLING.policy(restart="transient")
    async with running(child) as system:
        system.ref(child).tell(Quit())
        await anyio.sleep(IDLE + 1)

        assert system.statistics(child).state == "stopped"
        assert system.ref(child).tell(Note("x")) is False


# ---------------------------------------------------------------------- in a pool


async def test_a_passive_child_of_a_pool_lives_on_for_whoever_has_its_ref() -> None:
    diaries = Dynamic("diaries", Diary, idle_timeout=IDLE)
    async with running(diaries) as system:
        ref = await system.start(diaries)
        await anyio.sleep(IDLE + 1)

        assert system.count_children(diaries).specs == 0
        assert await ref.ask(Incarnation()) == 2


async def test_a_passive_child_of_a_pool_that_nobody_has_a_ref_of_costs_nothing() -> None:
    diaries = Dynamic("diaries", Diary, idle_timeout=IDLE)
    async with running(diaries) as system:
        await system.get(diaries, name="mine")
        await anyio.sleep(IDLE + 1)
        gc.collect()

        assert system.find(diaries, name="mine") is None
        again = await system.get(diaries, name="mine")
        assert again.incarnation == 1


async def test_a_pool_that_is_full_wakes_nobody_and_says_so() -> None:
    diaries = Dynamic("diaries", Diary, idle_timeout=IDLE, max_children=1)
    async with running(diaries) as system:
        first = await system.start(diaries)
        await anyio.sleep(IDLE + 1)
        second = await system.start(diaries)

        with pytest.raises(NotHandled, match="too many others to wake it"):
            await first.ask(Incarnation())
        assert first.tell(Note("x")) is False
        second.tell(Quit())
        await settle()
        assert await first.ask(Incarnation()) == 2
