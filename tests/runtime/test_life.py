"""One incarnation, from its start to every end that it can come to."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    Actor,
    Child,
    Context,
    Crashed,
    Exit,
    ForeignCancellation,
    Message,
    Pool,
    StartFailed,
    Supervisor,
    System,
    on,
)
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Hang,
    Help,
    Incarnation,
    Note,
    Notes,
    Quit,
    SlowStart,
    one,
    running,
    settle,
    task_named,
)

Work: TypeAlias = Callable[[Context["Do"]], Awaitable[None]]


class Do(Message):
    """Do this, in the handler."""

    what: "Work"


async def hang(ctx: Context[Do]) -> None:
    await anyio.sleep_forever()


class Obedient(Actor[Do]):
    """Does what it is told, and what it was made to do at its stop."""

    def __init__(self, at_stop: Work | None = None) -> None:
        self._at_stop = at_stop

    @on(Do)
    async def do(self, message: Do) -> None:
        await message.what(self.ctx)

    async def on_stop(self, reason: Exit) -> None:
        if self._at_stop is not None:
            await self._at_stop(self.ctx)


# ---------------------------------------------------------------------- stops


async def test_an_actor_that_stops_itself_ends_normally() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal).policy(restart="transient")) as (ref, events):
        await ref.ask(Quit())
        await settle()

        assert events.kinds() == ["root/Diary 1 normal"]
        assert journal == ["diary started", "diary stopped: normal"]


async def test_an_actor_may_say_why_it_shuts_down() -> None:
    async with one(Child(Diary).policy(restart="transient")) as (ref, events):
        await ref.ask(Quit("tired"))
        await settle()

        assert events.last_exit.reason == Exit("shutdown", "tired")


async def test_an_actor_that_stops_itself_handles_nothing_of_its_queue() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal).policy(restart="temporary")) as (ref, events):
        ref.tell(Quit())
        ref.tell(Crash())
        await settle()

        assert events.kinds() == ["root/Diary 1 normal"]


async def test_a_permanent_actor_that_stops_itself_comes_back_with_its_queue() -> None:
    async with one(Child(Diary)) as (ref, events):
        ref.tell(Quit())
        ref.tell(Note("kept"))
        await settle()

        assert await ref.ask(Notes()) == ["kept"]
        assert await ref.ask(Incarnation()) == 2
        assert events.kinds() == ["root/Diary 1 normal"]


async def test_a_running_handler_may_finish_within_the_grace() -> None:
    journal: list[str] = []

    async def work(ctx: Context[Do]) -> None:
        await settle()
        journal.append("finished")

    child = Child(Obedient)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Do(work))
        await anyio.lowlevel.checkpoint()

    assert journal == ["finished"]
    assert events.kinds()[0] == "root/Obedient 1 shutdown"


async def test_a_handler_over_its_grace_is_cancelled_and_its_hook_runs() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal).policy(grace=0)) as (ref, events):
        ref.tell(Hang())
        await settle()

    assert events.kinds()[0] == "root/Diary 1 killed"
    assert journal == ["diary started", "diary was cancelled", "diary stopped: killed"]


async def test_an_actor_that_hangs_after_it_stopped_itself_has_its_grace_and_no_more() -> None:
    async def stop_and_hang(ctx: Context[Do]) -> None:
        ctx.stop()
        await anyio.sleep_forever()

    child = Child(Obedient).policy(grace=0)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Do(stop_and_hang))
        await settle()

    assert events.kinds()[0] == "root/Obedient 1 killed"


async def test_the_question_that_a_stop_cuts_off_fails_at_once() -> None:
    child = Child(Diary).policy(grace=0)
    async with anyio.create_task_group() as tasks, one(child) as (ref, _):

        async def ask() -> None:
            with pytest.raises(Crashed, match="killed"):
                await ref.ask(Hang(), timeout=3600)

        tasks.start_soon(ask)
        await settle()


async def test_an_actor_that_ends_by_itself_at_the_moment_of_a_stop_ends_once() -> None:
    async with one(Child(Diary)) as (ref, events):
        ref.tell(Crash())

    assert len([kind for kind in events.kinds() if kind.startswith("root/Diary")]) == 1


# ---------------------------------------------------------------------- hooks


async def test_an_error_of_the_hook_becomes_the_reason_and_keeps_the_first_as_its_context() -> None:
    async def work(ctx: Context[Do]) -> None:
        raise ValueError("first")

    async def fail(ctx: Context[Do]) -> None:
        raise OSError("second")

    child = Child(Obedient, fail).policy(restart="temporary")
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Do(work))
        await settle()

        assert events.last_exit.reason.error == "OSError: second"
        assert isinstance(events.last_exit.error, OSError)
        assert isinstance(events.last_exit.error.__context__, ValueError)


async def test_an_error_of_the_hook_after_a_normal_end_is_a_crash() -> None:
    async def fail(ctx: Context[Do]) -> None:
        raise OSError("at the end")

    child = Child(Obedient, fail)
    async with running(child) as system:
        events = Events(system)

    assert events.kinds() == ["root/Obedient 1 crash", "root 1 shutdown"]


async def test_a_hook_that_hangs_is_killed() -> None:
    child = Child(Obedient, hang).policy(hook_timeout=0)
    async with running(child) as system:
        events = Events(system)

    assert events.kinds()[0] == "root/Obedient 1 killed"


async def test_a_hook_may_wait_whatever_cancels_the_host() -> None:
    journal: list[str] = []

    async def clean_up(ctx: Context[Do]) -> None:
        await settle()
        journal.append("cleaned up")

    with anyio.CancelScope() as scope:
        async with running(Child(Obedient, clean_up)):
            scope.cancel()
            await anyio.sleep_forever()

    assert journal == ["cleaned up"]


async def test_a_brutal_kill_runs_no_hook() -> None:
    journal: list[str] = []
    pool = Pool("pool")
    child = Child(Diary, journal).policy(restart="temporary")
    async with running(pool) as system:
        events, slot = Events(system), system.spawn(pool, child)
        slot.ref().tell(Hang())
        await settle()
        assert slot.life is not None
        slot.life.kill(brutal=True)
        await slot.gone.wait()

    assert journal == ["diary started", "diary was cancelled"]
    assert events.kinds()[0] == "root/pool/Diary 1 killed"


async def test_a_start_that_failed_runs_no_hook() -> None:
    journal: list[str] = []

    class Failing(Diary):
        async def on_start(self) -> None:
            raise OSError("no disk")

    with pytest.raises(StartFailed):
        async with running(Child(Failing, journal)):
            pytest.fail("it started")
    assert journal == []


async def test_a_start_over_its_time_is_cancelled_and_has_failed() -> None:
    journal: list[str] = []
    child = Child(SlowStart, Door(), journal).policy(start_timeout=0)

    with pytest.raises(StartFailed, match=r"root/SlowStart did not start: .*not ready within 0 s"):
        async with running(child):
            pytest.fail("it started")
    assert journal == ["slow's start was cancelled"]


# ---------------------------------------------------------------------- foreign cancellations


@pytest.mark.asyncio_only
async def test_a_native_cancellation_of_an_idle_actor_is_a_crash() -> None:
    async with one(Child(Diary)) as (ref, events):
        task_named("root/Diary").cancel()
        await settle()

        assert events.last_exit.reason.kind == "crash"
        assert isinstance(events.last_exit.error, ForeignCancellation)
        assert await ref.ask(Incarnation()) == 2


@pytest.mark.asyncio_only
async def test_a_native_cancellation_of_a_handler_fails_its_question() -> None:
    async with one(Child(Diary)) as (ref, _), anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(Crashed) as caught:
                await ref.ask(Hang(), timeout=3600)
            assert isinstance(caught.value.__cause__, ForeignCancellation)

        tasks.start_soon(ask)
        await settle()
        task_named("root/Diary").cancel()


@pytest.mark.asyncio_only
async def test_a_task_cancelled_before_its_first_step_ends_as_a_crash() -> None:
    pool = Pool("pool")
    async with running(pool) as system:
        events = Events(system)
        slot = system.spawn(pool, Child(Diary).policy(restart="temporary"))
        task_named("root/pool/Diary").cancel()

        with anyio.fail_after(5):
            await slot.gone.wait()

        assert isinstance(events.last_exit.error, ForeignCancellation)
        assert events.kinds() == ["root/pool/Diary 1 crash"]


@pytest.mark.asyncio_only
async def test_a_native_cancellation_together_with_ours_is_ours() -> None:
    pool = Pool("pool")
    async with running(pool) as system:
        events = Events(system)
        slot = system.spawn(pool, Child(Diary).policy(restart="temporary"))
        slot.ref().tell(Hang())
        await settle()
        assert slot.life is not None
        slot.life.kill()
        task_named("root/pool/Diary").cancel()
        await slot.gone.wait()

        assert events.kinds() == ["root/pool/Diary 1 killed"]


@pytest.mark.asyncio_only
async def test_a_native_cancellation_of_a_hook_is_a_crash() -> None:
    async def stop(ctx: Context[Do]) -> None:
        ctx.stop()

    child = Child(Obedient, hang).policy(restart="temporary")
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Do(stop))
        await settle()
        task_named("root/Obedient").cancel()
        await settle()

        assert isinstance(events.last_exit.error, ForeignCancellation)
        assert events.kinds() == ["root/Obedient 1 crash"]


@pytest.mark.asyncio_only
async def test_native_cancellations_while_helpers_end_leave_none_behind() -> None:
    journal: list[str] = []
    door = Door()

    class Helped(Actor[Note]):
        @on(Note)
        async def note(self, message: Note) -> None:
            self.ctx.start_soon(self.help)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            self.ctx.stop()

        async def help(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await door.passed()
                journal.append("helper ended")

    child = Child(Helped).policy(restart="temporary")
    async with running(child) as system:
        system.events.subscribe(lambda event: journal.append("actor ended"))
        system.ref(child).tell(Note("go"))
        await settle()
        for _ in range(3):
            task_named("root/Helped").cancel()
            await settle()
        door.open()
        await settle()

        assert journal == ["helper ended", "actor ended"]


async def test_a_timeout_inside_of_a_handler_is_its_own_business() -> None:
    async def work(ctx: Context[Do]) -> None:
        with anyio.move_on_after(0):
            await anyio.sleep_forever()

    child = Child(Obedient)
    async with running(child) as system:
        events = Events(system)
        await system.ref(child).ask(Do(work))

        assert events == []


# ---------------------------------------------------------------------- the end of the program


async def leave(ctx: Context[Do]) -> None:
    raise SystemExit(3)


async def interrupt(ctx: Context[Do]) -> None:
    raise KeyboardInterrupt


async def leave_in_a_group(ctx: Context[Do]) -> None:
    raise BaseExceptionGroup("nursery", [ValueError("also"), SystemExit(3)])


@pytest.mark.parametrize(
    ("what", "error"),
    [(leave, SystemExit), (interrupt, KeyboardInterrupt), (leave_in_a_group, SystemExit)],
)
async def test_an_actor_that_ends_the_program_stops_everything_in_order(
    what: Work, error: type[BaseException]
) -> None:
    journal: list[str] = []
    first, last = Child(Diary, journal, name="first"), Child(Obedient)

    with pytest.raises(error):
        async with System(Supervisor("root", first, last)) as system:
            system.ref(last).tell(Do(what))
            await anyio.sleep_forever()

    assert journal == ["first started", "first stopped: shutdown"]


async def test_a_helper_that_ends_the_program_stops_everything_in_order() -> None:
    journal: list[str] = []

    with pytest.raises(SystemExit):
        async with one(Child(Diary, journal)) as (ref, _):
            ref.tell(Help(leave=True))
            await anyio.sleep_forever()

    assert journal[-1].startswith("diary stopped")


async def test_a_start_that_ends_the_program_does_so_bare() -> None:
    journal: list[str] = []

    class Leaving(Diary):
        async def on_start(self) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with running(Child(Diary, journal), Child(Leaving)):
            pytest.fail("it started")
    assert journal == ["diary started", "diary stopped: shutdown"]


async def test_an_actor_that_ends_the_program_while_others_start_ends_their_start() -> None:
    journal: list[str] = []

    async def leave_soon(ctx: Context[Do]) -> None:
        await settle()
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with running(Child(leave_soon), Child(SlowStart, Door(), journal)):
            pytest.fail("it started")
    assert journal == ["slow's start was cancelled"]
