"""The harness: actors under test, and what went wrong behind the test's back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    Actor,
    ActorStopped,
    Ask,
    Backoff,
    Child,
    Context,
    Crashed,
    Dynamic,
    Exit,
    Exited,
    Message,
    Ref,
    RestartLimitReached,
    Started,
    StartFailed,
    Supervisable,
    Supervisor,
    on,
)
from herdwick.testing import (
    VIRTUAL_BACKENDS,
    Backend,
    Harness,
    Leaked,
    NoCrash,
    Probe,
    StillDown,
    UnexpectedCrash,
    crash,
    settle,
    virtual_backend,
)


class Add(Message):
    """Count on."""

    n: int = 1


class Get(Ask[int]):
    """How much is it?"""


class Break(Message):
    """Raise an error."""

    text: str = "boom"


class Counter(Actor[Add | Get | Break]):
    """Counts, and breaks when it is told to."""

    def __init__(self, start: int = 0) -> None:
        self._value = start

    @on(Add)
    async def add(self, message: Add) -> None:
        self._value += message.n

    @on(Get)
    async def get(self, message: Get) -> int:
        return self._value

    @on(Break)
    async def break_down(self, message: Break) -> None:
        raise ValueError(message.text)


class BadStart(Actor[Add]):
    """Does not start."""

    async def on_start(self) -> None:
        raise OSError("no disk")

    @on(Add)
    async def add(self, message: Add) -> None:
        """Never get here."""


class SlowEnd(Counter):
    """Takes a minute for its end."""

    async def on_stop(self, reason: Exit) -> None:
        await anyio.sleep(60)


class BadEnd(Counter):
    """Fails in its end."""

    async def on_stop(self, reason: Exit) -> None:
        raise OSError("no disk any more")


async def forward(ctx: Context[Add], to: Ref[Add]) -> None:
    while True:
        to.tell(await ctx.receive())


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return virtual_backend(request.param)


@asynccontextmanager
async def fails(
    error: type[BaseException], text: str | None = None, *children: Supervisable
) -> AsyncGenerator[Harness]:
    """Run a harness that is to fail when it is left."""
    with pytest.raises(error, match=text):
        async with Harness(*children) as harness:
            yield harness


# -------------------------------------------------------------------------------------- actors


async def test_it_spawns_class_actors() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter, start=10)
        counter.tell(Add(2))

        assert await counter.ask(Get()) == 12


async def test_it_spawns_function_actors() -> None:
    async with Harness() as harness:
        probe = harness.probe(Add)
        forwarder = await harness.spawn(forward, probe.ref)
        forwarder.tell(Add(7))

        await probe.expect_message(Add(7))


async def test_each_spawned_actor_has_a_name_of_its_own() -> None:
    async with Harness() as harness:
        counters = [await harness.spawn(Counter) for _ in range(3)]

    assert [counter.path for counter in counters] == [
        "test/spawned/Counter",
        "test/spawned/Counter-2",
        "test/spawned/Counter-3",
    ]


async def test_it_starts_a_spec_with_its_name_and_policy() -> None:
    async with Harness() as harness:
        child = Child(Counter).named("once").policy(restart="temporary")
        counter = await harness.start(child)

        await harness.crash(counter, ValueError("boom"))

        assert counter.path == "test/spawned/once"
        assert counter.tell(Add()) is False


async def test_it_runs_a_tree() -> None:
    counter = Child(Counter, start=3).named("counter")
    async with Harness(Supervisor("branch", counter)) as harness:
        ref = harness.ref(counter)

        assert ref.path == "test/branch/counter"
        assert await ref.ask(Get()) == 3


async def test_it_runs_dynamic_actors() -> None:
    counters = Dynamic("counters", Counter)
    async with Harness(counters) as harness:
        ref = await harness.system.start(counters, 5)

        assert await ref.ask(Get()) == 5


async def test_a_spawned_actor_that_stops_itself_stays_stopped() -> None:
    async def leave(ctx: Context[Add]) -> None:
        await ctx.receive()

    async with Harness() as harness:
        leaver = await harness.spawn(leave)
        leaver.tell(Add())
        await settle()

        assert leaver.tell(Add()) is False


async def test_stop_waits_until_the_actor_is_gone() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter)

        await harness.stop(counter)

        with pytest.raises(ActorStopped):
            await counter.ask(Get())


async def test_a_declared_child_can_be_stopped_by_its_ref() -> None:
    child = Child(Counter)
    async with Harness(child) as harness:
        await harness.stop(harness.ref(child))

        assert harness.ref(child).tell(Add()) is False


async def test_it_keeps_all_events_from_the_first_on() -> None:
    async with Harness(Child(Counter).named("counter")) as harness:
        pass

    assert harness.events[0] == Started("test/counter", 1)
    assert Exited("test/counter", 1, Exit("shutdown")) in harness.events


async def test_a_start_that_fails_is_raised_where_it_was_asked_for() -> None:
    async with Harness() as harness:
        with pytest.raises(StartFailed, match="test/spawned/BadStart did not start"):
            await harness.spawn(BadStart)


async def test_a_tree_that_does_not_start_is_raised_at_the_entry() -> None:
    with pytest.raises(StartFailed, match="test/BadStart did not start") as caught:
        async with Harness(Child(Counter), Child(BadStart)):
            pytest.fail("it started")

    assert isinstance(caught.value.__cause__, OSError)


# ------------------------------------------------------------------------------------- crashes


async def test_crash_returns_when_the_next_incarnation_has_started() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter, start=10)
        await counter.ask(Add(5))

        await crash(counter, ValueError("boom"))

        assert await counter.ask(Get()) == 10
        assert Started(counter.path, 2) in harness.events


async def test_crash_ends_an_actor_with_that_very_error() -> None:
    error = ValueError("boom")
    async with Harness() as harness:
        counter = await harness.spawn(Counter)

        await harness.crash(counter, error)

        [exited] = [event for event in harness.events if isinstance(event, Exited)]
        assert exited.reason == Exit("crash", "ValueError: boom")
        assert exited.error is error


async def test_crash_interrupts_what_the_actor_does() -> None:
    class Sleeper(Actor[Add]):
        @on(Add)
        async def sleep(self, message: Add) -> None:
            await anyio.sleep_forever()

    async with Harness() as harness:
        sleeper = await harness.spawn(Sleeper)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(Crashed, match="boom"):
                    await sleeper.ask(Add())

            tasks.start_soon(ask)
            await settle()
            await crash(sleeper, ValueError("boom"))


async def test_crash_waits_for_the_backoff() -> None:
    child = Child(Counter).policy(backoff=Backoff(min=2, jitter=0))
    async with Harness(child) as harness:
        await harness.crash(harness.ref(child), ValueError("boom"))

        assert await harness.ref(child).ask(Get()) == 0
        assert anyio.current_time() == 2


async def test_crash_waits_for_the_hook() -> None:
    class Dawdler(Counter):
        async def on_stop(self, reason: Exit) -> None:
            await anyio.sleep(3)

    async with Harness() as harness:
        dawdler = await harness.spawn(Dawdler)

        await harness.crash(dawdler, ValueError("boom"))

        assert anyio.current_time() == 3


async def test_crash_does_not_wait_for_one_that_does_not_come_back() -> None:
    async with Harness() as harness:
        counter = await harness.start(Child(Counter).policy(restart="temporary"))

        await harness.crash(counter, ValueError("boom"))

        assert anyio.current_time() == 0


async def test_crash_does_not_wait_for_ever() -> None:
    child = Child(SlowEnd).named("slow").policy(hook_timeout=1000)
    async with Harness(child) as harness:
        with pytest.raises(StillDown, match="test/slow is stopping 10 s after its crash"):
            await harness.crash(harness.ref(child), ValueError("boom"))


async def test_crash_needs_an_actor_that_runs() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter)
        await harness.stop(counter)

        with pytest.raises(ActorStopped):
            await crash(counter, ValueError("boom"))
        with pytest.raises(ActorStopped):
            await crash(harness.probe(Add).ref, ValueError("boom"))


async def test_a_crash_that_nobody_asked_for_fails_the_test() -> None:
    with pytest.raises(UnexpectedCrash) as caught:
        async with Harness() as harness:
            counter = await harness.spawn(Counter)
            counter.tell(Break("behind your back"))
            await settle()

    assert "test/spawned/Counter, incarnation 1: ValueError: behind your back" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.__cause__.__traceback__ is not None


async def test_all_crashes_that_nobody_asked_for_are_shown() -> None:
    with pytest.raises(UnexpectedCrash) as caught:
        async with Harness() as harness:
            for number in range(7):
                counter = await harness.spawn(Counter)
                counter.tell(Break(f"number {number}"))
            await settle()

    assert len(caught.value.crashes) == 7
    assert str(caught.value).count("ValueError: number") == 5
    assert "and 2 more" in str(caught.value)
    assert str(caught.value.__cause__) == "the crashes (5 sub-exceptions)"


async def test_an_error_in_the_hook_of_a_crash_asked_for_is_one_that_is_not() -> None:
    async with fails(UnexpectedCrash, "no disk any more") as harness:
        bad = await harness.start(Child(BadEnd).policy(restart="temporary"))
        await harness.crash(bad, ValueError("boom"))


async def test_a_failure_in_the_last_stop_counts() -> None:
    async with fails(UnexpectedCrash, "no disk any more") as harness:
        await harness.spawn(BadEnd)


async def test_a_crash_that_the_block_expects_is_none_of_those() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter)

        async with harness.expect_crash(counter, ValueError) as expected:
            counter.tell(Break("wanted"))

        assert str(expected.error) == "wanted"


async def test_an_expected_crash_may_come_later_and_go_by_the_path() -> None:
    async def fail_later(ctx: Context[Add]) -> None:
        await anyio.sleep(30)
        raise ValueError("late")

    child = Child(fail_later).named("child").policy(restart="temporary")
    async with Harness(child) as harness, harness.expect_crash("test/child", timeout=60):
        assert anyio.current_time() == 0

    assert anyio.current_time() == 30


async def test_an_expected_crash_that_does_not_come_is_an_error() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter)

        with pytest.raises(
            NoCrash, match=r"Counter was expected to crash with ValueError, and did not$"
        ):
            async with harness.expect_crash(counter, ValueError):
                counter.tell(Add())


async def test_a_crash_with_another_error_is_not_the_expected_one() -> None:
    async with fails(UnexpectedCrash) as harness:
        counter = await harness.spawn(Counter)

        with pytest.raises(NoCrash, match="instead test/spawned/Counter crashed: ValueError: no"):
            async with harness.expect_crash(counter, KeyError):
                counter.tell(Break("no"))


async def test_an_expected_crash_is_expected_within_the_block_alone() -> None:
    async with fails(UnexpectedCrash, "incarnation 2: ValueError: again") as harness:
        counter = await harness.spawn(Counter)
        async with harness.expect_crash(counter):
            counter.tell(Break())

        counter.tell(Break("again"))
        await settle()


async def test_an_error_of_the_block_is_not_replaced_by_what_it_expected() -> None:
    async with Harness() as harness:
        counter = await harness.spawn(Counter)

        with pytest.raises(KeyError):
            async with harness.expect_crash(counter):
                raise KeyError("mine")


async def test_a_down_that_a_probe_expects_asks_for_the_crash() -> None:
    async with Harness() as harness:
        counter, probe = await harness.spawn(Counter), harness.probe(Add)
        probe.monitor(counter)
        counter.tell(Break())

        await probe.expect_down(counter, "crash")


async def test_a_supervisor_that_gives_up_after_crashes_asked_for_is_asked_for() -> None:
    child = Child(Counter).named("counter")
    async with Harness(Supervisor("branch", child, max_restarts=0)) as harness:
        await harness.crash(harness.ref(child), ValueError("boom"))
        await settle()

        crashed = [e.path for e in harness.events if isinstance(e, Exited) and e.error]
        assert crashed == ["test/branch/counter", "test/branch"]


async def test_a_supervisor_that_gives_up_after_normal_ends_is_not_asked_for() -> None:
    async def leave(ctx: Context[Add]) -> None:
        await anyio.sleep(1)

    branch = Supervisor("branch", Child(leave), max_restarts=0)
    async with fails(UnexpectedCrash, "test/branch", branch) as harness:
        probe = harness.probe(Add)
        await probe.expect_nothing(during=1)


async def test_an_actor_that_cannot_come_back_ends_the_harness() -> None:
    class Once(Actor[Break]):
        started = 0

        async def on_start(self) -> None:
            Once.started += 1
            if Once.started > 1:
                raise OSError("once is enough")

        @on(Break)
        async def break_down(self, message: Break) -> None:
            raise ValueError(message.text)

    child = Child(Once).named("once")
    with pytest.raises(RestartLimitReached, match="test/once failed") as caught:
        async with Harness(child) as harness:
            await harness.crash(harness.ref(child), ValueError("boom"))

            with pytest.raises(ActorStopped):
                await harness.ref(child).ask(Break())

    assert isinstance(caught.value.__cause__, OSError)
    assert "the test did not ask for these crashes" in caught.value.__notes__[0]


# --------------------------------------------------------------------------------------- leaks


@pytest.mark.parametrize(
    "anyio_backend", [virtual_backend(name) for name in VIRTUAL_BACKENDS if name != "trio"]
)
async def test_a_task_that_nobody_waits_for_is_left() -> None:
    async def forgotten() -> None:
        await anyio.sleep_forever()

    tasks: list[asyncio.Task[None]] = []
    with pytest.raises(Leaked, match=r"a task that nobody waits for: .*forgotten.*test_harness"):
        async with Harness():
            tasks += [asyncio.create_task(forgotten())]

    tasks[0].cancel()


@pytest.mark.parametrize(
    "anyio_backend", [virtual_backend(name) for name in VIRTUAL_BACKENDS if name != "trio"]
)
async def test_a_task_that_was_there_before_or_is_about_to_end_is_not_left() -> None:
    before = asyncio.create_task(anyio.sleep(1))

    async with Harness():
        asyncio.create_task(anyio.lowlevel.checkpoint()).add_done_callback(lambda _: None)

    await before


async def test_a_task_of_a_group_around_the_harness_is_not_left() -> None:
    async with anyio.create_task_group() as tasks, Harness():
        tasks.start_soon(anyio.sleep, 1)


async def test_a_timer_of_the_system_is_left() -> None:
    with pytest.raises(Leaked, match=r"a timer that is to call .*ring"):
        async with Harness() as harness:

            def ring() -> None:
                """Never be called."""

            harness.system.timers.call_later(60, ring)


async def test_a_question_that_the_test_took_is_left() -> None:
    async def ask(ctx: Context[Add], whom: Ref[Get]) -> None:
        await whom.ask(Get())

    async with fails(Leaked, r"a question that probe took and never answered: Get\(\)") as harness:
        probe = harness.probe(Get)
        await harness.spawn(ask, probe.ref)
        await probe.expect_ask(Get)


# ------------------------------------------------------------------------- the test's own errors


async def test_an_error_of_the_test_is_raised_as_it_is() -> None:
    error = KeyError("mine")

    with pytest.raises(KeyError) as caught:
        async with Harness() as harness:
            await harness.spawn(Counter)
            raise error

    assert caught.value is error
    assert not hasattr(error, "__notes__")


async def test_an_error_of_the_test_is_told_of_the_crashes() -> None:
    error = KeyError("mine")

    with pytest.raises(KeyError):
        async with Harness() as harness:
            counter = await harness.spawn(Counter)
            counter.tell(Break("behind your back"))
            await settle()
            raise error

    assert "ValueError: behind your back" in error.__notes__[0]
    assert "break_down" in error.__notes__[0]


async def test_an_error_that_has_the_crash_as_its_cause_is_not_told_of_it() -> None:
    with pytest.raises(Crashed) as caught:
        async with Harness() as harness:
            counter = await harness.spawn(Counter)
            await counter.ask(Break())

    assert not hasattr(caught.value, "__notes__")


async def test_an_error_of_the_test_is_not_replaced_by_the_end_of_the_system() -> None:
    async def leave_the_program(ctx: Context[Add]) -> None:
        raise SystemExit(3)

    error = KeyError("mine")
    with pytest.raises(KeyError):
        async with Harness() as harness:
            await harness.start(Child(leave_the_program))
            await settle()
            raise error

    assert "SystemExit: 3" in error.__notes__[0]


async def test_a_failure_of_pytest_passes_as_it_is() -> None:
    with pytest.raises(pytest.fail.Exception, match="mine"):
        async with Harness() as harness:
            counter = await harness.spawn(Counter)
            counter.tell(Break())
            await settle()
            pytest.fail("mine")


async def test_a_cancellation_from_outside_stops_it_in_order() -> None:
    harness = Harness(Child(Counter).named("counter"))

    with anyio.move_on_after(5) as scope:
        async with harness:
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert Exited("test/counter", 1, Exit("shutdown")) in harness.events


async def test_exit_of_the_program_in_an_actor_is_raised_at_the_end() -> None:
    async def leave_the_program(ctx: Context[Add]) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with Harness() as harness:
            await harness.start(Child(leave_the_program))


# ---------------------------------------------------------------------------------------- probes


async def test_probes_have_names_of_their_own() -> None:
    async with Harness() as harness:
        assert harness.probe(Add).ref.path == "probe"
        assert harness.probe(Add, Get).ref.path == "probe-2"
        assert harness.probe(Add, name="bob").ref.path == "bob"


async def test_a_probe_takes_the_messages_of_all_its_classes() -> None:
    async with Harness() as harness:
        probe: Probe[Add | Get | Break | Exit] = harness.probe(Add, Get, Break, Exit)
        probe.ref.tell(Break())

        assert await probe.expect(Break) == Break()


async def test_it_serves_a_fixture_that_is_left_in_the_task_that_entered_it() -> None:
    async def fixture() -> AsyncGenerator[Harness]:
        async with Harness() as harness:
            yield harness

    generator = fixture()
    harness = await anext(generator)
    counter = await harness.spawn(Counter, 4)
    value = await counter.ask(Get())
    with pytest.raises(StopAsyncIteration):
        await anext(generator)

    assert value == 4
