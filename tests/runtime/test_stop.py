"""The stop: mailbox, grace, cancellation, helpers, hook; and those that do not end."""

import subprocess
import sys
from textwrap import dedent

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    KILLED,
    Actor,
    ActorStopped,
    Ask,
    Child,
    Context,
    Dynamic,
    Event,
    Exit,
    Exited,
    Message,
    Pool,
    Started,
    Stuck,
    Supervisor,
    System,
    on,
    slot_of,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Hang,
    Help,
    Incarnation,
    Note,
    Order,
    Quit,
    SlowStart,
    Wait,
    one,
    running,
)

INFINITE = float("inf")


class Work(Message):
    """Be busy for so long."""

    seconds: float


class Count(Ask[int]):
    """How many were counted?"""


class Tick(Message):
    """Count, without a moment's rest."""


class Worker(Actor[Work | Tick | Count | Quit]):
    """Is busy when told to, and while it stops; writes down what it has finished."""

    def __init__(self, journal: list[str] | None = None, hook: float = 0.0) -> None:
        self.journal: list[str] = [] if journal is None else journal
        self._hook = hook
        self._ticks = 0

    @on(Work)
    async def work(self, message: Work) -> None:
        await anyio.sleep(message.seconds)
        self.journal.append(f"worked {message.seconds:g}")

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        self._ticks += 1
        self.journal.append("tick")

    @on(Count)
    async def count(self, message: Count) -> int:
        return self._ticks

    @on(Quit)
    async def quit(self, message: Quit) -> None:
        self.ctx.stop()

    async def on_stop(self, reason: Exit) -> None:
        if self._hook:
            await anyio.sleep(self._hook)
            self.journal.append(f"cleaned up after {reason.kind}")


class Stubborn(Diary):
    """Takes no notice of cancellations until its door is open, wherever it is told to hang."""

    def __init__(self, where: str, door: Door) -> None:
        super().__init__(None, "stubborn")
        self._where = where
        self._door = door

    async def on_start(self) -> None:
        if self._where == "helper":
            self.ctx.start_soon(self._resist)
        if self._where == "start" and self.ctx.incarnation == 2:
            await self._resist()

    @on(Hang)
    async def hang(self, message: Hang) -> None:
        await (self._resist() if self._where == "handler" else super().hang(message))

    async def on_stop(self, reason: Exit) -> None:
        if self._where == "hook":
            await self._resist()

    async def _resist(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._door.passed()


def seconds_since(begun: float) -> float:
    return round(anyio.current_time() - begun, 2)


def stuck(events: Events) -> list[Stuck]:
    return [event for event in events if isinstance(event, Stuck)]


# ---------------------------------------------------------------------- 1 and 2: the mailbox


async def test_a_mailbox_closes_when_the_stop_begins_not_when_it_ends() -> None:
    child, door = Child(Diary), Door()
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)
        ref.tell(Wait(door))
        await settle()

        tasks.start_soon(system.terminate_child, child)
        await settle()

        assert system.statistics(child).state == "stopping"
        assert ref.tell(Note("late")) is False
        with pytest.raises(ActorStopped):
            await ref.send(Note("late"))
        with pytest.raises(ActorStopped):
            await ref.ask(Incarnation())
        door.open()


async def test_a_mailbox_closes_though_the_actor_had_stopped_itself_before() -> None:
    door = Door()

    class Leaving(Diary):
        @on(Wait)
        async def wait(self, message: Wait) -> None:
            self.ctx.stop()
            await message.door.passed()

    child = Child(Leaving)
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)
        ref.tell(Wait(door))
        await settle()
        before = ref.tell(Note("for the next life"))

        tasks.start_soon(system.terminate_child, child)
        await settle()

        assert (before, ref.tell(Note("for nobody"))) == (True, False)
        door.open()


async def test_a_stop_overtakes_what_is_queued() -> None:
    journal: list[str] = []
    child = Child(Worker, journal)
    async with running(child) as system:
        system.ref(child).tell(Work(1))
        for _ in range(3):
            system.ref(child).tell(Tick())
        await settle()

        await system.terminate_child(child)

        assert journal == ["worked 1"]
        assert system.dead_letters == 3


async def test_questions_that_wait_fail_when_the_stop_begins() -> None:
    child, door, failed = Child(Diary), Door(), list[float]()
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)
        ref.tell(Wait(door))
        begun = anyio.current_time()

        async def ask() -> None:
            with pytest.raises(ActorStopped):
                await ref.ask(Incarnation(), timeout=3600)
            failed.append(seconds_since(begun))

        tasks.start_soon(ask)
        await anyio.sleep(1)
        tasks.start_soon(system.terminate_child, child)
        await anyio.sleep(1)
        door.open()

    assert failed == [1]


# ---------------------------------------------------------------------- 3 and 4: the grace


@pytest.mark.parametrize(
    ("seconds", "finished", "reason"), [(4.9, ["worked 4.9"], "shutdown"), (5.1, [], "killed")]
)
async def test_a_running_handler_may_take_five_seconds_unless_told_otherwise(
    seconds: float, finished: list[str], reason: str
) -> None:
    journal: list[str] = []
    child = Child(Worker, journal)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Work(seconds))
        await settle()

        await system.terminate_child(child)

        assert journal == finished
        assert events.kinds() == [f"root/Worker 1 {reason}"]


async def test_a_handler_is_cancelled_when_its_grace_is_over_and_not_before() -> None:
    child = Child(Worker).policy(grace=7)
    async with running(child) as system:
        system.ref(child).tell(Work(100))
        await settle()
        begun = anyio.current_time()

        await system.terminate_child(child)

        assert seconds_since(begun) == 7


async def test_a_supervisor_has_all_the_time_that_its_children_need() -> None:
    journal: list[str] = []
    child = Child(Worker, journal).policy(grace=1000)
    branch = Supervisor("branch", Supervisor("inner", child))
    async with running(branch) as system:
        events = Events(system)
        system.ref(child).tell(Work(900))
        await settle()

        await system.terminate_child(branch)

        assert journal == ["worked 900"]
        assert events.kinds() == [
            "root/branch/inner/Worker 1 shutdown",
            "root/branch/inner 1 shutdown",
            "root/branch 1 shutdown",
        ]


async def test_a_handler_that_ends_well_although_it_was_cancelled_was_killed() -> None:
    class Soft(Diary):
        @on(Hang)
        async def hang(self, message: Hang) -> None:
            with anyio.CancelScope() as scope:
                try:
                    await anyio.sleep_forever()
                finally:
                    scope.cancel()

    child = Child(Soft).policy(grace=1)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Hang())
        await settle()

        await system.terminate_child(child)

        assert events.last_exit.reason == KILLED


async def test_a_stop_and_a_stop_are_one() -> None:
    journal: list[str] = []
    child = Child(Worker, journal)
    async with running(child) as system, anyio.create_task_group() as tasks:
        events = Events(system)
        system.ref(child).tell(Work(4))
        await settle()
        begun = anyio.current_time()

        tasks.start_soon(system.terminate_child, child)
        await anyio.sleep(2)
        await system.terminate_child(child)

        assert seconds_since(begun) == 4
        assert events.kinds() == ["root/Worker 1 shutdown"]


async def test_a_stop_cuts_a_start_short_whatever_grace_there_is() -> None:
    slow, journal = Dynamic("slow", SlowStart, grace=1000), list[str]()
    async with running(slow) as system:
        begun = anyio.current_time()
        slot = system.spawn(slow, slow.child("1", Door(), journal))
        await settle()

        await system.terminate_child(slot.ref())

        assert journal == ["slow's start was cancelled"]
        assert seconds_since(begun) == 0


# ---------------------------------------------------------------------- 5 to 7: helpers, hook


async def test_a_stop_goes_through_its_steps_in_order() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal).policy(grace=1)) as (ref, events):
        await ref.ask(Help())
        ref.tell(Hang())
        await settle()

    assert journal == [
        "diary started",
        "diary was cancelled",
        "diary's helper was cancelled",
        "diary stopped: killed",
    ]
    assert events.kinds()[0] == "root/Diary 1 killed"


async def test_helpers_are_waited_for_before_the_hook() -> None:
    journal: list[str] = []

    class Helped(Worker):
        async def on_start(self) -> None:
            self.ctx.start_soon(self._help)

        async def _help(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(3)
                self.journal.append("helper gone")

    async with running(Child(Helped, journal, 1)):
        pass

    assert journal == ["helper gone", "cleaned up after shutdown"]


@pytest.mark.parametrize(("seconds", "reason"), [(4.9, "shutdown"), (5.1, "killed")])
async def test_a_hook_may_take_five_seconds_unless_told_otherwise(
    seconds: float, reason: str
) -> None:
    journal: list[str] = []
    async with running(Child(Worker, journal, seconds)) as system:
        events = Events(system)

    assert journal == (["cleaned up after shutdown"] if reason == "shutdown" else [])
    assert events.kinds()[0] == f"root/Worker 1 {reason}"


async def test_a_hook_is_cancelled_at_its_own_deadline() -> None:
    async with running(Child(Worker, None, 100).policy(hook_timeout=3)):
        begun = anyio.current_time()

    assert seconds_since(begun) == 3


async def test_a_hook_has_all_its_time_after_a_grace_that_is_over() -> None:
    journal: list[str] = []
    child = Child(Worker, journal, 4).policy(grace=1)
    async with running(child) as system:
        system.ref(child).tell(Work(100))
        await settle()
        begun = anyio.current_time()

    assert journal == ["cleaned up after killed"]
    assert seconds_since(begun) == 5


async def test_a_hook_that_was_cut_off_makes_a_normal_end_abnormal() -> None:
    child = Child(Worker, None, 100).policy(restart="transient")
    async with running(child) as system:
        events = Events(system)

        system.ref(child).tell(Quit())
        await anyio.sleep(6)

        assert events.kinds() == ["root/Worker 1 killed"]
        assert system.statistics(child).incarnation == 2


async def test_a_hook_that_swallows_its_cancellation_was_killed_all_the_same() -> None:
    class Deaf(Diary):
        async def on_stop(self, reason: Exit) -> None:
            with anyio.CancelScope() as scope:
                try:
                    await anyio.sleep_forever()
                finally:
                    scope.cancel()

    async with running(Child(Deaf)) as system:
        events = Events(system)

    assert events.kinds()[0] == "root/Deaf 1 killed"


async def test_no_life_begins_before_the_hook_of_the_one_before_is_done() -> None:
    child = Child(Worker, None, 4)
    async with running(child) as system:
        events = Events(system)

        system.ref(child).tell(Quit())
        await anyio.sleep(3.9)
        before = list(events)
        await anyio.sleep(0.2)

        assert before == []
        assert [type(event) for event in events[:2]] == [Exited, Started]


# ---------------------------------------------------------------------- kill


async def test_a_brutal_kill_takes_no_time_and_runs_no_hook() -> None:
    journal: list[str] = []
    workers = Dynamic("workers", Worker)
    async with running(workers) as system:
        events, ref = Events(system), await system.start(workers, journal, hook=1)
        ref.tell(Work(100))
        await settle()
        begun, slot = anyio.current_time(), slot_of(ref)
        assert slot is not None
        assert slot.life is not None

        slot.life.kill(brutal=True)
        await slot.gone.wait()

        assert seconds_since(begun) == 0
        assert journal == []
        assert events.kinds() == ["root/workers/1 1 killed"]


async def test_a_brutal_kill_cuts_a_hook_that_runs() -> None:
    journal: list[str] = []
    workers = Dynamic("workers", Worker)
    async with running(workers) as system:
        events, ref = Events(system), await system.start(workers, journal, hook=4)
        slot = slot_of(ref)
        assert slot is not None
        assert slot.life is not None
        ref.tell(Quit())
        await settle()
        begun = anyio.current_time()

        slot.life.kill(brutal=True)
        await slot.gone.wait()

        assert seconds_since(begun) == 0
        assert journal == []
        assert events.kinds() == ["root/workers/1 1 killed"]


# ---------------------------------------------------------------------- drain


async def test_draining_handles_what_was_queued_first() -> None:
    journal: list[str] = []
    child = Child(Worker, journal, 1).policy(drain=True)
    async with running(child) as system:
        events = Events(system)
        for seconds in (1, 0.5, 0.25):
            system.ref(child).tell(Work(seconds))
        await settle()

    assert journal == ["worked 1", "worked 0.5", "worked 0.25", "cleaned up after shutdown"]
    assert events.kinds()[0] == "root/Worker 1 shutdown"


async def test_draining_takes_nothing_new() -> None:
    child = Child(Worker).policy(drain=True)
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)
        ref.tell(Work(1))
        await settle()

        tasks.start_soon(system.terminate_child, child)
        await settle()

        assert ref.tell(Tick()) is False


async def test_draining_answers_the_questions_that_were_queued() -> None:
    child, answers = Child(Worker).policy(drain=True), list[int]()
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)

        async def ask() -> None:
            answers.append(await ref.ask(Count()))

        ref.tell(Work(1))
        ref.tell(Tick())
        tasks.start_soon(ask)
        await settle()

        await system.terminate_child(child)

    assert answers == [1]


async def test_draining_ends_with_the_grace() -> None:
    journal: list[str] = []
    child = Child(Worker, journal).policy(drain=True, grace=5)
    async with running(child) as system:
        events = Events(system)
        for seconds in (2, 2, 2, 2):
            system.ref(child).tell(Work(seconds))
        await settle()
        begun = anyio.current_time()

        await system.terminate_child(child)

        assert seconds_since(begun) == 5
        assert journal == ["worked 2", "worked 2"]
        assert events.kinds() == ["root/Worker 1 killed"]


async def test_a_function_that_receives_drains_too() -> None:
    got: list[float] = []

    async def reader(ctx: Context[Work]) -> None:
        while True:
            message = await ctx.receive()
            await anyio.sleep(message.seconds)
            got.append(message.seconds)

    child = Child(reader).policy(drain=True)
    async with running(child) as system:
        for seconds in (1, 2):
            system.ref(child).tell(Work(seconds))
        await settle()

    assert got == [1, 2]


async def test_an_actor_that_stops_itself_drains_too() -> None:
    journal: list[str] = []
    child = Child(Worker, journal).policy(drain=True, restart="temporary")
    async with running(child) as system:
        system.ref(child).tell(Quit())
        system.ref(child).tell(Work(1))
        await anyio.sleep(2)

        assert journal == ["worked 1"]


# ---------------------------------------------------------------------- those that do not end


@pytest.mark.parametrize("where", ["handler", "hook", "helper"])
async def test_an_actor_that_cannot_be_ended_is_reported_with_its_stack(where: str) -> None:
    door, events = Door(), Events()
    child = Child(Stubborn, where, door)
    async with running(child) as system, anyio.create_task_group() as tasks:
        events.watch(system)
        system.ref(child).tell(Hang())
        await settle()

        tasks.start_soon(system.terminate_child, child)
        await anyio.sleep(60)
        door.open()

    [report] = stuck(events)
    assert (report.path, report.incarnation) == ("root/Stubborn", 1)
    assert "in _resist" in report.stack
    assert "in passed" in report.stack
    assert "in _resist" not in report.stack.partition("in passed")[2]  # the innermost comes last


@pytest.mark.parametrize("where", ["hook", "helper"])
async def test_an_actor_that_crashed_and_cannot_be_ended_is_reported_too(where: str) -> None:
    door = Door()
    child = Child(Stubborn, where, door)
    async with running(child) as system:
        events = Events(system)

        system.ref(child).tell(Crash())
        await anyio.sleep(60)
        reports = stuck(events)
        door.open()

        assert [report.path for report in reports] == ["root/Stubborn"]


async def test_an_actor_that_is_cancelled_twice_and_cannot_be_ended_is_reported_once() -> None:
    door, events = Door(), Events()
    child = Child(Stubborn, "handler", door)
    async with System(Supervisor("root", child), stop_timeout=6) as system:
        events.watch(system)
        system.ref(child).tell(Hang())
        system.timers.call_later(100, door.open)
        await settle()

    assert len(stuck(events)) == 1


async def test_an_actor_that_cannot_be_ended_is_waited_for() -> None:
    door = Door()
    child = Child(Stubborn, "handler", door)
    async with running(child) as system:
        events, begun = Events(system), anyio.current_time()
        system.ref(child).tell(Hang())
        system.timers.call_later(1000, door.open)
        await settle()

    assert seconds_since(begun) == 1000
    assert events.kinds() == ["root/Stubborn 1 killed", "root 1 shutdown"]


async def test_an_actor_that_cannot_be_ended_is_followed_by_no_other_until_it_is_gone() -> None:
    door = Door()
    child = Child(Stubborn, "helper", door)
    async with running(child) as system:
        events = Events(system)

        system.ref(child).tell(Crash())
        await anyio.sleep(1000)
        before = [event for event in events if isinstance(event, Started)]
        door.open()
        await settle()

        assert before == []
        assert events[-2:-1] == [Started("root/Stubborn", 2)]


async def test_a_group_is_not_started_again_while_one_of_it_cannot_be_ended() -> None:
    door = Door()
    other, stubborn = Child(Diary), Child(Stubborn, "handler", door)
    root = Supervisor("root", other, stubborn, strategy="one_for_all")
    async with System(root) as system:
        events = Events(system)
        system.ref(stubborn).tell(Hang())
        await settle()

        system.ref(other).tell(Crash())
        await anyio.sleep(1000)
        before = [event for event in events if isinstance(event, Started)]
        door.open()
        await settle()

        assert before == []
        assert Started("root/Stubborn", 2) in events


async def test_who_ends_in_time_after_a_cancellation_is_not_reported() -> None:
    child = Child(Worker, None, 4).policy(grace=1)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Work(100))
        await settle()

        await system.terminate_child(child)
        await anyio.sleep(60)

        assert stuck(events) == []


PROGRAM = dedent("""
    import anyio
    from herdwick.runtime import Child, Context, Supervisor, System
    from herdwick.testing import virtual_backend

    async def stubborn(ctx: Context) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(3600)

    async def main() -> None:
        async with System(Supervisor("root", Child(stubborn)), on_stuck="exit"):
            await anyio.sleep(1)
        print("it went on")

    backend, options = virtual_backend("asyncio")
    anyio.run(main, backend=backend, backend_options=options)
""")


def test_a_process_may_end_rather_than_wait_for_an_actor_that_cannot_be_ended() -> None:
    """How it ends is no business of the event loop's, so one of them will do."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50, check=False
    )

    assert ended.returncode == 70
    assert "root/stubborn was cancelled and does not end" in ended.stderr
    assert ended.stdout == ""


# ---------------------------------------------------------------------- a long mailbox


async def test_an_actor_without_a_rest_lets_others_run_after_every_64_messages() -> None:
    journal: list[str] = []
    child = Child(Worker, journal).policy(mailbox=None)
    async with running(child) as system:
        for _ in range(1000):
            system.ref(child).tell(Tick())

        turns: list[int] = []
        while len(journal) < 1000:
            before = len(journal)
            await anyio.lowlevel.checkpoint()
            turns.append(len(journal) - before)

        assert max(turns) <= 2 * 64  # on trio the order within a round is left to chance


async def test_an_actor_without_a_rest_does_not_outlive_its_grace() -> None:
    journal: list[str] = []
    child = Child(Worker, journal).policy(mailbox=None, drain=True, grace=0)
    async with running(child) as system:
        events = Events(system)
        for _ in range(10_000):
            system.ref(child).tell(Tick())

        await system.terminate_child(child)

        assert len(journal) < 1000
        assert events.kinds() == ["root/Worker 1 killed"]


async def test_an_actor_without_a_rest_hears_of_its_stop() -> None:
    journal: list[str] = []
    child = Child(Worker, journal).policy(mailbox=None)
    async with running(child) as system:
        for _ in range(10_000):
            system.ref(child).tell(Tick())

        await system.terminate_child(child)

        assert len(journal) < 1000


async def test_a_function_without_a_rest_does_not_outlive_its_grace() -> None:
    got: list[Tick] = []

    async def reader(ctx: Context[Tick]) -> None:
        while True:
            got.append(await ctx.receive())

    child = Child(reader).policy(mailbox=None, drain=True, grace=0)
    async with running(child) as system:
        await settle()
        for _ in range(10_000):
            system.ref(child).tell(Tick())

        await system.terminate_child(child)

        assert len(got) < 1000


# ---------------------------------------------------------------------- everything


async def test_all_that_still_lives_at_the_deadline_is_cancelled_together() -> None:
    a = Child(Worker).named("a").policy(grace=INFINITE)
    b = Child(Worker).named("b").policy(grace=INFINITE)
    workers = Dynamic("workers", Worker, grace=INFINITE)
    events, begun = Events(), anyio.current_time()
    async with System(Supervisor("root", a, b, workers), stop_timeout=10) as system:
        events.watch(system)
        for ref in (system.ref(a), system.ref(b), await system.start(workers)):
            ref.tell(Work(100))
        await settle()

    assert seconds_since(begun) == 10
    killed = {kind for kind in events.kinds() if kind.endswith("killed")}
    assert killed == {"root/a 1 killed", "root/b 1 killed", "root/workers/1 1 killed"}


async def test_the_deadline_of_everything_is_thirty_seconds_unless_told_otherwise() -> None:
    child = Child(Worker).policy(grace=INFINITE)
    async with running(child) as system:
        begun = anyio.current_time()
        system.ref(child).tell(Work(100))
        await settle()

    assert seconds_since(begun) == 30


async def test_hooks_run_after_the_deadline_of_everything_too() -> None:
    journal: list[str] = []
    child = Child(Worker, journal, 1).policy(grace=INFINITE)
    async with System(Supervisor("root", child), stop_timeout=10) as system:
        system.ref(child).tell(Work(100))
        await settle()

    assert journal == ["cleaned up after killed"]


async def test_a_hook_keeps_its_own_deadline_whatever_that_of_everything_is() -> None:
    journal: list[str] = []
    child, begun = Child(Worker, journal, 20).policy(hook_timeout=30), anyio.current_time()
    async with System(Supervisor("root", child), stop_timeout=5):
        pass

    assert seconds_since(begun) == 20
    assert journal == ["cleaned up after shutdown"]


async def test_nobody_comes_back_at_the_deadline_of_everything() -> None:
    a, b = (Child(Worker).named(name).policy(grace=INFINITE) for name in "ab")
    events, begun = Events(), anyio.current_time()
    async with System(Supervisor("root", Supervisor("A", a), b), stop_timeout=5) as system:
        events.watch(system)
        for child in (a, b):
            system.ref(child).tell(Work(100))
            system.ref(child).tell(Work(100))
        await settle()

    assert seconds_since(begun) == 5
    assert not [event for event in events if isinstance(event, Started)]


async def test_a_start_that_hangs_does_not_hold_up_the_stop_of_everything() -> None:
    door = Door(is_open=True)
    slow = Child(SlowStart, door).policy(start_timeout=INFINITE)
    async with running(slow) as system:
        door.shut()
        system.ref(slow).tell(Crash())
        await settle()
        begun = anyio.current_time()

    assert seconds_since(begun) == 0


async def test_a_stop_interrupts_the_wait_for_a_grace() -> None:
    a: Child[Order] = Child(Diary, None, "a").named("a").policy(grace=100)
    b: Child[Order] = Child(Diary, None, "b").named("b")
    branch = Supervisor("branch", a, b)
    async with running(branch) as system, anyio.create_task_group() as tasks:
        events = Events(system)
        system.ref(a).tell(Hang())
        await settle()

        async def terminate() -> None:
            with pytest.raises(ActorStopped):
                await system.terminate_child(a)

        tasks.start_soon(terminate)
        await anyio.sleep(1)
        tasks.start_soon(system.terminate_child, branch)
        await settle()

        assert events.kinds() == ["root/branch/b 1 shutdown"]


async def test_children_of_a_pool_stop_at_once_each_within_its_own_grace() -> None:
    pool, ends, begun = Pool("pool"), list[str](), anyio.current_time()

    def note(event: Event) -> None:
        if isinstance(event, Exited):
            ends.append(f"{event.path} {seconds_since(begun):g}")

    async with running(pool) as system:
        system.events.subscribe(note)
        for name, grace in (("slow", 5), ("quick", 2), ("slower", 9)):
            slot = system.spawn(pool, Child(Worker).named(name).policy(grace=grace))
            slot.ref().tell(Work(100))
        await settle()

    assert ends[:3] == ["root/pool/quick 2", "root/pool/slow 5", "root/pool/slower 9"]
    assert ends[3:] == ["root/pool 9", "root 9"]
