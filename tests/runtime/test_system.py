"""A system as a whole: entering, leaving, refs, and whatever cancels its host."""

import asyncio
import gc
import weakref

import anyio
import pytest

from herdwick.runtime import (
    ActorStopped,
    Child,
    Dynamic,
    NotFound,
    Pool,
    RestartLimitReached,
    StartFailed,
    Supervisor,
    System,
)
from tests.runtime.samples import (
    BadStart,
    Crash,
    Diary,
    Door,
    Events,
    Hang,
    Note,
    Notes,
    Quit,
    SlowStart,
    running,
    settle,
    task_named,
)


async def test_the_spec_is_the_key_to_its_ref() -> None:
    a, b = Child(Diary).named("a"), Child(Diary).named("b")
    async with running(a, b) as system:
        system.ref(a).tell(Note("for a"))

        assert await system.ref(a).ask(Notes()) == ["for a"]
        assert await system.ref(b).ask(Notes()) == []
        assert system.ref(a) == system.ref(a) != system.ref(b)
        assert len({system.ref(a), system.ref(a), system.ref(b)}) == 2
        assert repr(system.ref(a)) == "<Ref root/a>"


async def test_a_spec_of_no_part_of_the_tree_has_no_ref() -> None:
    child = Child(Diary)
    async with running(child) as system:
        with pytest.raises(NotFound, match="stranger"):
            system.ref(Child(Diary).named("stranger"))
        with pytest.raises(NotFound):
            system.ref(child.policy(grace=1))


async def test_a_ref_after_the_end_tells_nobody() -> None:
    child = Child(Diary)
    async with running(child) as system:
        ref = system.ref(child)

    assert ref.tell(Note("late")) is False
    assert system.ref(child) == ref
    with pytest.raises(ActorStopped):
        await ref.ask(Notes())


async def test_one_tree_runs_in_two_systems_at_once() -> None:
    child = Child(Diary)
    tree = Supervisor("root", child)
    async with System(tree) as one, System(tree) as two:
        one.ref(child).tell(Note("one"))
        two.ref(child).tell(Note("two"))

        assert await one.ref(child).ask(Notes()) == ["one"]
        assert await two.ref(child).ask(Notes()) == ["two"]
        assert one.ref(child) != two.ref(child)


async def test_the_end_of_one_system_does_not_touch_another() -> None:
    child = Child(Diary)
    async with running(child) as survivor:
        with pytest.raises(RestartLimitReached):
            async with System(Supervisor("root", child, max_restarts=0)) as doomed:
                doomed.ref(child).tell(Crash())
                await anyio.sleep_forever()

        assert await survivor.ref(child).ask(Notes()) == []


async def test_a_system_runs_once() -> None:
    system = System(Supervisor("root"))
    async with system:
        assert system.running

    assert not system.running
    with pytest.raises(RuntimeError, match="the system 'root' ran already"):
        async with system:
            pytest.fail("it ran")


def test_a_system_that_does_not_run_says_so() -> None:
    system = System(Supervisor("root"))

    assert not system.running
    with pytest.raises(RuntimeError, match="'root' does not run; use `async with`"):
        system.ref(Child(Diary))


async def test_the_body_may_end_in_a_timeout() -> None:
    journal: list[str] = []

    with anyio.move_on_after(0.01) as scope:
        async with running(Child(Diary, journal)):
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert journal == ["diary started", "diary stopped: shutdown"]


async def test_a_timeout_that_has_passed_before_stops_the_start() -> None:
    journal: list[str] = []

    with anyio.move_on_after(0) as scope:
        async with running(Child(SlowStart, Door(), journal)):
            pytest.fail("it started")

    assert scope.cancelled_caught
    assert journal in ([], ["slow's start was cancelled"])


async def test_a_timeout_becomes_a_timeout_error_outside() -> None:
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.01):
            async with running(Child(Diary)):
                await anyio.sleep_forever()


async def test_a_stop_is_not_cut_short_by_a_cancellation() -> None:
    journal: list[str] = []

    class Tidy(Diary):
        async def on_stop(self, reason: object) -> None:
            await settle()
            journal.append("tidied up")

    async with anyio.create_task_group() as tasks, running(Child(Tidy)):
        tasks.cancel_scope.cancel()

    assert journal == ["tidied up"]


async def test_a_system_as_one_of_many_tasks_ends_with_its_group() -> None:
    journal: list[str] = []

    async def run() -> None:
        async with running(Child(Diary, journal)):
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await settle()
            raise OSError("a neighbour failed")

    assert [type(error) for error in caught.value.exceptions] == [OSError]
    assert journal == ["diary started", "diary stopped: shutdown"]


@pytest.mark.asyncio_only
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_host_that_is_cancelled_natively_still_stops_its_tree(times: int) -> None:
    journal: list[str] = []
    door = Door()

    class Tidy(Diary):
        async def on_stop(self, reason: object) -> None:
            await door.passed()
            journal.append("tidied up")

    async def run() -> None:
        async with running(Child(Diary, journal), Child(Tidy)):
            await anyio.sleep_forever()

    before = asyncio.all_tasks()
    host = asyncio.create_task(run())
    await settle()
    for _ in range(times):
        host.cancel()
        await settle()
    door.open()

    with pytest.raises(asyncio.CancelledError):
        await host
    assert journal == ["diary started", "tidied up", "diary stopped: shutdown"]
    assert asyncio.all_tasks() == before


@pytest.mark.asyncio_only
@pytest.mark.parametrize("steps", range(12))
async def test_a_host_that_is_cancelled_at_any_step_of_its_start_leaves_nothing(
    steps: int,
) -> None:
    journal: list[str] = []
    before = asyncio.all_tasks()

    async def run() -> None:
        async with running(Child(Diary, journal), Dynamic("rooms", Diary)):
            await anyio.sleep_forever()

    host = asyncio.create_task(run())
    for _ in range(steps):
        await asyncio.sleep(0)
    host.cancel()

    with pytest.raises(asyncio.CancelledError):
        await host
    assert asyncio.all_tasks() == before
    assert journal in ([], ["diary started", "diary stopped: shutdown"])


@pytest.mark.asyncio_only
async def test_the_cancellation_of_all_tasks_at_once_ends_everything() -> None:
    journal: list[str] = []
    rooms = Dynamic("rooms", Diary, restart="permanent")

    async def run() -> None:
        async with running(Child(Diary, journal).policy(grace=0.01), rooms) as system:
            await system.start(rooms)
            await anyio.sleep_forever()

    before = asyncio.all_tasks()
    host = asyncio.create_task(run())
    await settle()
    for task in asyncio.all_tasks() - before:  # as `asyncio.run` does at its end
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(host, 5)
    assert asyncio.all_tasks() == before


@pytest.mark.asyncio_only
async def test_graces_elapse_although_somebody_has_cancelled_the_timers() -> None:
    child = Child(Diary).policy(grace=0)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Hang())
        await settle()
        task_named("root:timers").cancel()
        await settle()

    assert events.kinds()[0] == "root/Diary 1 killed"


def test_a_system_needs_nothing_of_anyio_around_it() -> None:
    journal: list[str] = []
    child, rooms = Child(Diary, journal).policy(grace=0), Dynamic("rooms", Diary)

    async def main() -> None:
        async with running(child, rooms) as system:
            loop, spawned = asyncio.get_running_loop(), asyncio.Event()
            system.ref(child).tell(Hang())

            def spawn() -> None:
                system.spawn(rooms, rooms.child("1"))
                spawned.set()

            loop.call_soon(spawn)
            await spawned.wait()
            task_named("root:timers").cancel()  # they start again, from a callback
            await settle()
            assert len(system.pool(rooms)) == 1

    asyncio.run(main())

    assert journal == ["diary started", "diary was cancelled", "diary stopped: killed"]


async def test_a_timer_that_ends_the_program_stops_everything_in_order() -> None:
    journal: list[str] = []

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with running(Child(Diary, journal)) as system:
            system.timers.call_later(0, leave)
            await anyio.sleep_forever()

    assert journal == ["diary started", "diary stopped: shutdown"]


async def test_a_system_whose_start_failed_does_not_run() -> None:
    system = System(Supervisor("root", Child(BadStart)))

    with pytest.raises(StartFailed):
        await system.__aenter__()

    assert not system.running


async def test_the_error_of_a_root_that_gave_up_wins_over_a_cancellation() -> None:
    child = Child(Diary)

    with anyio.CancelScope() as scope:
        with pytest.raises(RestartLimitReached):
            async with System(Supervisor("root", child, max_restarts=0)) as system:
                system.ref(child).tell(Crash())
                with anyio.CancelScope(shield=True):
                    await settle()
                scope.cancel()
                await anyio.sleep_forever()


async def test_the_clock_and_the_timers_are_those_of_the_loop() -> None:
    fired = anyio.Event()
    async with running() as system:
        system.timers.call_later(0.001, fired.set)
        with anyio.fail_after(5):
            await fired.wait()

        assert system.clock() == pytest.approx(anyio.current_time(), abs=1)


async def test_actors_that_have_ended_are_freed_without_the_collector() -> None:
    pool, watched = Pool("pool"), list["weakref.ref[Diary]"]()

    class Watched(Diary):
        async def on_start(self) -> None:
            watched.append(weakref.ref(self))

    async with running(pool) as system:
        gc.collect()
        gc.disable()
        try:
            slot = system.spawn(pool, Child(Watched).policy(restart="temporary"))
            slot.ref().tell(Quit())
            await slot.gone.wait()
            del slot
            await settle()

            assert [reference() for reference in watched] == [None]
        finally:
            gc.enable()
