"""Starts: one after another or at once, in time or not, in whose context, refused before or not."""

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar

import anyio
import pytest

from herdwick.runtime import (
    Actor,
    Backoff,
    Child,
    Context,
    Dynamic,
    Exit,
    Exited,
    Pool,
    RestartLimitReached,
    Started,
    StartFailed,
    Stuck,
    Supervisor,
    System,
    on,
)
from herdwick.runtime import (
    Events as Stream,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    BadStart,
    Crash,
    Diary,
    Door,
    Events,
    Incarnation,
    Note,
    Order,
    SlowStart,
    Wait,
    running,
)

place: ContextVar[str] = ContextVar("place", default="nowhere")


class Sleepy(Diary):
    """Takes its time to start, and more from its second life on."""

    def __init__(self, first: float, later: float = 0.0, journal: list[str] | None = None) -> None:
        super().__init__(journal, "sleepy")
        self._first = first
        self._later = later

    async def on_start(self) -> None:
        await anyio.sleep(self._first if self.ctx.incarnation == 1 else self._later)
        await super().on_start()


class Late(Diary):
    """Takes no notice of the cancellation of its start."""

    async def on_start(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)
        await super().on_start()


# ---------------------------------------------------------------------- one after another


async def test_each_static_child_is_ready_before_the_next_one_begins() -> None:
    journal, before = list[str](), list[str]()
    door = Door()
    slow, after = Child(SlowStart, door, journal), Child(Diary, journal, "after")
    async with anyio.create_task_group() as tasks:

        async def host() -> None:
            async with running(Supervisor("branch", slow), after):
                journal.append("running")

        tasks.start_soon(host)
        await settle()
        before += journal
        door.open()

    assert before == []
    assert journal[:3] == ["slow started", "after started", "running"]


async def test_a_member_of_a_group_is_ready_before_the_next_one_is_started_again() -> None:
    journal: list[str] = []
    door = Door(is_open=True)
    slow, after = Child(SlowStart, door, journal), Child(Diary, journal, "after")
    async with System(Supervisor("root", slow, after, strategy="one_for_all")) as system:
        door.shut()
        system.ref(slow).tell(Crash())
        await settle()
        journal.clear()
        await settle()
        before = list(journal)
        door.open()
        await settle()

        assert before == []
        assert journal == ["slow started", "after started"]


@pytest.mark.parametrize("backoff", [None, Backoff(min=1, max=1)], ids=["plain", "backoff"])
async def test_no_restart_is_tried_on_a_first_start(backoff: Backoff | None) -> None:
    tries: list[int] = []

    class Bad(Diary):
        async def on_start(self) -> None:
            tries.append(self.ctx.incarnation)
            raise OSError("no disk")

    with pytest.raises(StartFailed):
        async with running(Child(Bad).policy(backoff=backoff)):
            pytest.fail("it started")

    assert tries == [1]


async def test_no_restart_is_tried_on_the_first_start_of_a_pools_child() -> None:
    tries: list[int] = []

    class Bad(Diary):
        async def on_start(self) -> None:
            tries.append(self.ctx.incarnation)
            raise OSError("no disk")

    rooms = Dynamic("rooms", Bad, restart="permanent")
    async with running(rooms) as system:
        with pytest.raises(StartFailed):
            await system.start(rooms)
        await anyio.sleep(60)

        assert tries == [1]
        assert system.which_children(rooms) == ()


async def test_a_branch_that_does_not_start_again_is_one_failed_restart_of_the_branch() -> None:
    starts = [True, False, True]

    class Fragile(Diary):
        async def on_start(self) -> None:
            if not starts.pop(0):
                raise OSError("no disk")

    bad, fragile = Child(Diary).named("bad"), Child(Fragile)
    branch = Supervisor("branch", fragile, bad, max_restarts=0)
    async with System(Supervisor("root", branch, max_restarts=2)) as system:
        events = Events(system)

        system.ref(bad).tell(Crash())
        await settle()

        assert [kind for kind in events.kinds() if "branch " in kind] == [
            "root/branch 1 crash",
            "root/branch 2 crash",
        ]
        assert await system.ref(bad).ask(Incarnation()) == 2


async def test_a_child_that_crashes_while_others_still_start_comes_back_after_them() -> None:
    journal: list[str] = []
    door = Door()

    class Hasty(Diary):
        async def on_start(self) -> None:
            await super().on_start()
            if self.ctx.incarnation == 1:
                self.ctx.ref.tell(Crash())

    async with anyio.create_task_group() as tasks:

        async def open_later() -> None:
            await anyio.sleep(1)
            journal.append("opened")
            door.open()

        tasks.start_soon(open_later)
        async with running(Child(Hasty, journal, "hasty"), Child(SlowStart, door, journal)):
            await settle()
            assert journal == [
                *("hasty started", "hasty stopped: crash", "opened"),
                *("slow started", "hasty started"),
            ]


# ---------------------------------------------------------------------- in time


@pytest.mark.parametrize(("seconds", "starts"), [(29.9, True), (30.1, False)])
async def test_a_static_child_has_thirty_seconds_to_start(seconds: float, starts: bool) -> None:
    begun = anyio.current_time()
    failed: list[str] = []

    try:
        async with running(Child(Sleepy, seconds)):
            pass
    except StartFailed as error:
        failed.append(error.reason)

    assert anyio.current_time() - begun == pytest.approx(min(seconds, 30))
    assert (failed == []) is starts


@pytest.mark.parametrize(("seconds", "starts"), [(9.9, True), (10.1, False)])
async def test_a_dynamic_child_has_ten_seconds_to_start(seconds: float, starts: bool) -> None:
    sleepy = Dynamic("sleepy", Sleepy)
    async with running(sleepy) as system:
        begun = anyio.current_time()
        failed: list[StartFailed] = []

        try:
            await system.start(sleepy, seconds)
        except StartFailed as error:
            failed.append(error)

        assert anyio.current_time() - begun == pytest.approx(min(seconds, 10))
        assert (failed == []) is starts
        assert all(isinstance(error.__cause__, TimeoutError) for error in failed)


async def test_a_supervisor_has_all_the_time_that_its_children_need_to_start() -> None:
    sleepy = [Child(Sleepy, 29).named(name) for name in "abc"]
    begun = anyio.current_time()

    async with running(Supervisor("branch", *sleepy)):
        assert anyio.current_time() - begun == pytest.approx(3 * 29)


async def test_a_restart_that_takes_too_long_has_failed_and_is_charged_again() -> None:
    sleepy = Child(Sleepy, 0, 100).policy(start_timeout=2)
    begun = anyio.current_time()

    with pytest.raises(RestartLimitReached, match="root/Sleepy failed") as caught:
        async with System(Supervisor("root", sleepy, max_restarts=2)) as system:
            system.ref(sleepy).tell(Crash())
            await anyio.sleep_forever()

    assert isinstance(caught.value.__cause__, TimeoutError)
    assert anyio.current_time() - begun == pytest.approx(2 * 2)


async def test_a_start_that_comes_too_late_has_failed() -> None:
    journal: list[str] = []

    with pytest.raises(StartFailed, match=r"root/Late did not start: .*not ready within 5 s"):
        async with running(Child(Late, journal, "late").policy(start_timeout=5)):
            pytest.fail("it started")

    assert journal == ["late started", "late stopped: crash"]  # its init was finished


async def test_a_start_in_time_is_no_business_of_the_clock_any_more() -> None:
    child = Child(Sleepy, 4).policy(start_timeout=5)
    async with running(child) as system:
        await anyio.sleep(60)

        assert await system.ref(child).ask(Incarnation()) == 1


# ---------------------------------------------------------------------- hooks of those not started


@pytest.mark.parametrize("how", ["timed out", "cancelled", "failed", "failed to be made"])
async def test_the_hook_does_not_run_where_the_start_was_not_finished(how: str) -> None:
    journal: list[str] = []

    class Unready(Diary):
        def __init__(self) -> None:
            super().__init__(journal)
            if how == "failed to be made":
                raise OSError("no disk")

        async def on_start(self) -> None:
            if how == "failed":
                raise OSError("no disk")
            await anyio.sleep_forever()

    with anyio.move_on_after(1 if how == "cancelled" else 100), suppress(StartFailed):
        async with running(Child(Unready).policy(start_timeout=2)):
            pytest.fail("it started")

    assert journal == []


async def test_the_hook_does_not_run_after_a_restart_that_failed() -> None:
    journal: list[str] = []

    class Once(Diary):
        async def on_start(self) -> None:
            if self.ctx.incarnation == 2:
                raise OSError("no disk")
            await super().on_start()

    child = Child(Once, journal)
    async with running(child) as system:
        system.ref(child).tell(Crash())
        await settle()

        assert journal == ["diary started", "diary stopped: crash", "diary started"]


async def test_a_branch_whose_start_is_cancelled_waits_for_its_children_and_is_not_stuck() -> None:
    door, stream, events = Door(), Stream(), Events()
    stream.subscribe(events.append)

    class Busy(Diary):
        async def on_start(self) -> None:
            self.ctx.ref.tell(Wait(door))

    branch = Supervisor("branch", Child(Busy).policy(grace=60), Child(SlowStart, Door()))
    begun = anyio.current_time()

    with anyio.move_on_after(1):
        async with System(Supervisor("root", branch), stop_timeout=100, events=stream):
            pytest.fail("it started")

    assert anyio.current_time() - begun == pytest.approx(61)
    assert not [event for event in events if isinstance(event, Stuck)]


# ---------------------------------------------------------------------- at once


async def test_a_pool_awaits_no_start_while_it_is_asked_for_others() -> None:
    slow, door = Dynamic("slow", SlowStart), Door()
    ready: list[str] = []
    async with running(slow) as system, anyio.create_task_group() as tasks:

        async def start(door: Door, name: str) -> None:
            await system.start(slow, door)
            ready.append(name)

        tasks.start_soon(start, door, "late")
        await settle()
        tasks.start_soon(start, Door(is_open=True), "early")
        await settle()
        before = list(ready)
        door.open()
        await settle()

        assert before == ["early"]
        assert ready == ["early", "late"]


async def test_starts_at_once_take_as_long_as_the_longest() -> None:
    sleepy = Dynamic("sleepy", Sleepy)
    async with running(sleepy) as system:
        begun = anyio.current_time()

        async def start(seconds: float) -> None:
            await system.start(sleepy, seconds)

        async with anyio.create_task_group() as tasks:
            for seconds in (5, 3, 4):
                tasks.start_soon(start, seconds)

        assert anyio.current_time() - begun == pytest.approx(5)


# ---------------------------------------------------------------------- in whose context


class Where(Actor[Note]):
    """Writes down where each of its lives, its messages and its helpers runs."""

    def __init__(self, journal: list[str]) -> None:
        self._journal = journal

    async def on_start(self) -> None:
        self._journal.append(f"started {place.get()}")

    @on(Note)
    async def note(self, message: Note) -> None:
        self._journal.append(f"told {place.get()}")
        if message.text == "crash":
            raise ValueError("boom")


async def test_an_actor_runs_in_the_context_in_which_the_system_was_started() -> None:
    journal: list[str] = []
    child = Child(Where, journal)
    token = place.set("the start")
    async with running(Supervisor("branch", child)) as system:
        place.set("the body")
        system.ref(child).tell(Note("crash"))
        await settle()
    place.reset(token)

    assert journal == ["started the start", "told the start", "started the start"]


async def test_a_child_of_a_pool_runs_in_the_context_of_its_pool_and_not_of_its_caller() -> None:
    journal: list[str] = []
    rooms = Dynamic("rooms", Where, restart="permanent")
    async with running(rooms) as system:
        token = place.set("the caller")
        ref = await system.start(rooms, journal)
        ref.tell(Note("crash"))
        await settle()
        place.reset(token)

    assert journal == ["started nowhere", "told nowhere", "started nowhere"]


async def test_what_an_actor_sets_in_its_context_is_seen_by_no_other_and_no_later_life() -> None:
    journal: list[str] = []

    class Marking(Where):
        async def on_start(self) -> None:
            await super().on_start()
            place.set("mine")

    a, b = Child(Marking, journal).named("a"), Child(Where, journal).named("b")
    async with running(a, b) as system:
        system.ref(a).tell(Note("crash"))
        await settle()

    assert journal == ["started nowhere", "started nowhere", "told mine", "started nowhere"]


# ---------------------------------------------------------------------- one bare error


async def test_one_start_that_fails_raises_one_error_whatever_else_fails_meanwhile() -> None:
    class Clumsy(Diary):
        async def on_stop(self, reason: Exit) -> None:
            raise OSError("stumbled")

    clumsy = [Child(Clumsy).named(name) for name in "abc"]

    with pytest.raises(StartFailed) as caught:
        async with running(*clumsy, Supervisor("branch", Child(BadStart))):
            pytest.fail("it started")

    assert type(caught.value) is StartFailed
    assert caught.value.child == "root/branch/BadStart"
    assert str(caught.value.__cause__) == "diary has no disk"


async def test_many_that_crash_at_once_and_while_they_stop_raise_one_error() -> None:
    class Clumsy(Diary):
        async def on_stop(self, reason: Exit) -> None:
            raise OSError("stumbled")

    clumsy = [Child(Clumsy).named(name) for name in "abc"]
    pool = Dynamic("pool", Clumsy, restart="permanent")

    with pytest.raises(RestartLimitReached) as caught:
        async with System(Supervisor("root", *clumsy, pool, max_restarts=0)) as system:
            refs = [await system.start(pool) for _ in range(3)]
            for ref in (*map(system.ref, clumsy), *refs):
                ref.tell(Crash())
            await anyio.sleep_forever()

    assert type(caught.value) is RestartLimitReached


async def test_an_error_of_the_body_leaves_bare() -> None:
    error = OSError("of the body")

    with pytest.raises(OSError, match="of the body") as caught:
        async with running(Child(Diary)):
            raise error

    assert caught.value is error


async def test_a_group_in_an_actor_goes_no_further_than_its_exit() -> None:
    async def split(ctx: Context[Note]) -> None:
        await ctx.receive()
        async with anyio.create_task_group() as tasks:
            for text in ("one", "two"):
                tasks.start_soon(fail, text)

    async def fail(text: str) -> None:
        raise ValueError(text)

    child, other = Child(split).policy(restart="temporary"), Child(Diary)
    async with running(child, other) as system:
        events = Events(system)
        system.ref(child).tell(Note("go"))
        await settle()

        assert events.kinds() == ["root/split 1 crash"]
        assert isinstance(events.last_exit.error, ExceptionGroup)
        assert await system.ref(other).ask(Incarnation()) == 1


# ---------------------------------------------------------------------- what is refused before


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "one name twice": (
        lambda: Supervisor("root", Child(Diary), Child(Diary)),
        "two children named 'Diary'",
    ),
    "grace": (lambda: Child(Diary).policy(grace=-1), "grace is -1"),
    "start_timeout": (lambda: Child(Diary).policy(start_timeout=-1), "start_timeout is -1"),
    "hook_timeout": (lambda: Child(Diary).policy(hook_timeout=-1), "hook_timeout is -1"),
    "idle_timeout": (lambda: Child(Diary).policy(idle_timeout=0), "idle_timeout is 0"),
    "mailbox": (lambda: Child(Diary).policy(mailbox=0), "mailbox is 0"),
    "overflow": (
        lambda: Child(Diary).policy(overflow="explode"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        "overflow is 'explode'",
    ),
    "queued": (
        lambda: Child(Diary).policy(queued="maybe"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        "queued is 'maybe'",
    ),
    "max_restarts": (lambda: Supervisor("root", max_restarts=-1), "max_restarts is -1"),
    "period 0": (lambda: Supervisor("root", period=0), "period is 0"),
    "period nan": (lambda: Supervisor("root", period=float("nan")), "period is nan"),
    "strategy": (
        lambda: Supervisor("root", strategy="some_for_some"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        "strategy is 'some_for_some'",
    ),
    "restart": (
        lambda: Supervisor("root", restart="never"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        "restart is 'never'",
    ),
    "budget": (
        lambda: Pool("pool", budget="mine"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        "budget is 'mine'",
    ),
    "max_children": (lambda: Dynamic("rooms", Diary, max_children=0), "max_children is 0"),
    "a pool's grace": (lambda: Dynamic("rooms", Diary, grace=-1), "grace is -1"),
    "stop_timeout": (
        lambda: System(Supervisor("root"), stop_timeout=-1),
        "stop_timeout is -1",
    ),
    "on_stuck": (
        lambda: System(Supervisor("root"), on_stuck="pray"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        "on_stuck is 'pray'",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_option_is_refused_where_it_is_written_by_field_and_value(what: str) -> None:
    make, complaint = BAD[what]

    with pytest.raises(ValueError, match=complaint):
        make()


async def test_a_system_that_is_refused_has_started_nobody() -> None:
    journal: list[str] = []
    good: Child[Order] = Child(Diary, journal)

    with pytest.raises(ValueError, match="'Diary' stands in the tree twice"):
        async with System(Supervisor("root", good, Supervisor("branch", good))):
            pytest.fail("it started")

    assert journal == []


async def test_events_of_a_start_that_fails_tell_of_those_that_had_started() -> None:
    stream, events = Stream(), Events()
    stream.subscribe(events.append)

    with pytest.raises(StartFailed):
        root = Supervisor("root", Child(Diary), Child(BadStart))
        async with System(root, events=stream):
            pytest.fail("it started")

    started = [event for event in events if isinstance(event, Started)]
    assert started == [Started("root/Diary", 1)]
    exits = [event.path for event in events if isinstance(event, Exited)]
    assert exits == ["root/BadStart", "root/Diary", "root"]
