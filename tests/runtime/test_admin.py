"""Orders from outside: to list a supervisor's children, start, restart, stop, delete one."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import anyio
import pytest

from herdwick.runtime import (
    ActorStopped,
    Backoff,
    Child,
    ChildCounts,
    ChildInfo,
    ChildStands,
    Dynamic,
    Exit,
    NotFound,
    Pool,
    Restarted,
    StartFailed,
    Strategy,
    Supervisable,
    Supervisor,
    System,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    BadStart,
    Crash,
    Diary,
    Door,
    Events,
    Hang,
    Incarnation,
    Note,
    Notes,
    Order,
    Quit,
    SlowStart,
    Wait,
    running,
)

STEADY = Backoff(min=10, max=10, jitter=0)
"""Each restart waits for ten seconds."""

caller: ContextVar[str] = ContextVar("caller", default="nobody")


def a_child(name: str, journal: list[str] | None = None) -> Child[Order]:
    return Child(Diary, journal, name).named(name)


def states(system: System, supervisor: Supervisor | Pool) -> list[str]:
    """Give the children of a supervisor as `a running`."""
    return [f"{info.name} {info.state}" for info in system.which_children(supervisor)]


def names(system: System, supervisor: Supervisor | Pool) -> list[str]:
    return [info.name for info in system.which_children(supervisor)]


class Fragile(Diary):
    """Starts as often as its list of successes says."""

    def __init__(self, starts: list[bool], name: str = "fragile") -> None:
        super().__init__(None, name)
        self._starts = starts

    async def on_start(self) -> None:
        if not self._starts.pop(0):
            raise OSError("no disk")


class Clumsy(Diary):
    """Fails while it stops."""

    async def on_stop(self, reason: Exit) -> None:
        raise OSError("stumbled")


# ---------------------------------------------------------------------- which and how many


async def test_which_children_tells_all_of_each_in_the_order_of_their_start() -> None:
    worker = a_child("worker").policy(restart="transient")
    branch, rooms = Supervisor("branch"), Dynamic("rooms", Diary)
    root = Supervisor("root", worker, branch, rooms)
    async with System(root) as system:
        system.ref(worker).tell(Crash())
        await settle()

        assert system.which_children(root) == (
            ChildInfo("worker", "root/worker", "actor", "running", "transient", 2),
            ChildInfo("branch", "root/branch", "supervisor", "running", "permanent", 1),
            ChildInfo("rooms", "root/rooms", "dynamic", "running", "permanent", 1),
        )


async def test_which_children_tells_the_state_of_each() -> None:
    door, start = Door(), Door(is_open=True)
    runs, stops, rests = a_child("runs"), a_child("stops"), a_child("rests")
    waits = a_child("waits").policy(backoff=STEADY)
    idle = a_child("idle").policy(idle_timeout=1)
    begins = Child(SlowStart, start).named("begins")
    branch = Supervisor("branch", runs, stops, rests, waits, idle, begins)
    async with running(branch) as system, anyio.create_task_group() as tasks:
        await anyio.sleep(1.5)
        await system.terminate_child(rests)
        system.ref(waits).tell(Crash())
        system.ref(stops).tell(Wait(door))
        await settle()
        system.ref(stops).tell(Quit())
        start.shut()
        system.ref(begins).tell(Crash())
        await settle()
        tasks.start_soon(system.terminate_child, stops)
        await settle()

        before = states(system, branch)
        start.open()
        await settle()

        assert before == [
            *("runs running", "stops running", "rests stopped", "waits waiting"),
            *("idle passive", "begins starting"),
        ]
        assert states(system, branch)[1] == "stops stopping"
        door.open()


async def test_the_children_of_a_pool_are_listed_with_their_states() -> None:
    door, start = Door(), Door()
    pool = Pool("pool")
    async with running(pool) as system, anyio.create_task_group() as tasks:
        waits = a_child("waits").policy(backoff=STEADY)
        refs = [
            system.spawn(pool, each).ref()
            for each in (a_child("runs"), a_child("stops"), waits, a_child("gone"))
        ]
        system.spawn(pool, Child(SlowStart, start).named("begins"))
        await settle()
        for ref, order in ((refs[1], Wait(door)), (refs[2], Crash())):
            ref.tell(order)
        await settle()
        await system.terminate_child(refs[3])
        tasks.start_soon(system.terminate_child, refs[1])
        await settle()

        assert states(system, pool) == [
            *("runs running", "stops stopping", "waits waiting", "begins starting"),
        ]
        assert system.count_children(pool) == ChildCounts(4, 3, 0, 4)
        door.open()


async def test_count_children_counts_specs_and_what_lives_and_kinds() -> None:
    stopped, waiting = a_child("stopped"), a_child("waiting").policy(backoff=STEADY)
    branch, down = Supervisor("branch", a_child("a")), Supervisor("down")
    root = Supervisor("root", a_child("b"), stopped, waiting, branch, down, Pool("pool"))
    async with System(root) as system:
        await system.terminate_child(stopped)
        await system.terminate_child(down)
        system.ref(waiting).tell(Crash())
        await settle()

        assert system.count_children(root) == ChildCounts(
            specs=6, active=3, supervisors=3, workers=3
        )


async def test_a_supervisor_that_has_stopped_has_no_children() -> None:
    branch = Supervisor("branch", a_child("a"))
    async with running(branch) as system:
        await system.terminate_child(branch)

        assert system.which_children(branch) == ()
        assert system.count_children(branch) == ChildCounts(0, 0, 0, 0)


# ---------------------------------------------------------------------- start


async def test_a_child_that_is_started_stands_after_the_others_and_stops_before_them() -> None:
    journal: list[str] = []
    branch = Supervisor("branch", a_child("a", journal))
    async with running(branch) as system:
        await system.start_child(branch, a_child("b", journal))

        assert names(system, branch) == ["a", "b"]

    assert journal == ["a started", "b started", "b stopped: shutdown", "a stopped: shutdown"]


async def test_start_child_waits_until_the_child_is_ready() -> None:
    branch, child = Supervisor("branch"), a_child("a")
    async with running(branch) as system:
        await system.start_child(branch, child)

        assert await system.ref(child).ask(Incarnation()) == 1


async def test_a_branch_and_a_pool_can_be_started_too() -> None:
    inside, rooms = a_child("inside"), Dynamic("rooms", Diary)
    top, branch = Supervisor("top"), Supervisor("branch", inside)
    async with running(top) as system:
        await system.start_child(top, branch)
        await system.start_child(top, rooms)

        assert system.ref(inside).path == "root/top/branch/inside"
        assert (await system.start(rooms)).path == "root/top/rooms/1"


async def test_a_child_that_was_started_restarts_as_the_others_do() -> None:
    a, b = a_child("a"), a_child("b")
    branch = Supervisor("branch", a, strategy="one_for_all")
    async with running(branch) as system:
        await system.start_child(branch, b)

        system.ref(a).tell(Crash())
        await settle()

        assert await system.ref(b).ask(Incarnation()) == 2


async def test_a_child_that_was_started_is_gone_when_its_supervisor_restarts() -> None:
    a, b = a_child("a"), a_child("b")
    branch = Supervisor("branch", a, max_restarts=0)
    async with running(branch) as system:
        await system.start_child(branch, b)

        system.ref(a).tell(Crash())
        await settle()

        assert names(system, branch) == ["a"]
        assert system.ref(b).tell(Note("there?")) is False
        await system.start_child(branch, b)
        assert names(system, branch) == ["a", "b"]


async def test_a_child_that_does_not_start_is_known_to_nobody() -> None:
    branch, bad = Supervisor("branch"), Child(BadStart)
    async with running(branch) as system:
        with pytest.raises(StartFailed, match="root/branch/BadStart did not start") as caught:
            await system.start_child(branch, bad)

        assert isinstance(caught.value.__cause__, OSError)
        assert names(system, branch) == []
        with pytest.raises(NotFound):
            system.ref(bad)


async def test_a_child_of_a_name_that_is_taken_is_refused() -> None:
    branch = Supervisor("branch", a_child("a"))
    async with running(branch) as system:
        with pytest.raises(ChildStands, match="root/branch/a is there; name the other one"):
            await system.start_child(branch, a_child("a"))


@pytest.mark.parametrize("one_spec", [True, False], ids=["one spec", "two specs"])
async def test_of_two_of_one_name_that_are_started_at_once_one_is_refused(one_spec: bool) -> None:
    journal, results = list[str](), list[str]()
    branch, child = Supervisor("branch"), a_child("a", journal)
    async with running(branch) as system:

        async def start(child: Child[Order]) -> None:
            try:
                await system.start_child(branch, child)
                results.append("started")
            except ChildStands:
                results.append("refused")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, child)
            tasks.start_soon(start, child if one_spec else a_child("a", journal))

        assert sorted(results) == ["refused", "started"]
        assert journal == ["a started"]
        assert names(system, branch) == ["a"]


async def test_a_spec_that_runs_elsewhere_is_refused() -> None:
    journal: list[str] = []
    branch, other = Supervisor("branch"), a_child("other", journal)
    async with running(branch, other) as system:
        with pytest.raises(ChildStands, match=r"root/other is running.*key to one actor"):
            await system.start_child(branch, other)

        assert journal == ["other started"]


async def test_a_child_that_was_forgotten_can_be_started_under_another_supervisor() -> None:
    one, two = Supervisor("one"), Supervisor("two")
    child = a_child("a").policy(restart="temporary")
    async with running(one, two) as system:
        await system.start_child(one, child)
        await system.terminate_child(child)

        await system.start_child(two, child)

        assert system.ref(child).path == "root/two/a"
        assert [info.path for info in system.which_children(two)] == ["root/two/a"]


@pytest.mark.parametrize("how", ["terminated", "its branch is", "forgotten", "deleted"])
async def test_a_spec_that_its_supervisor_would_start_again_is_refused_elsewhere(how: str) -> None:
    journal: list[str] = []
    a, b = a_child("a", journal), a_child("b")
    a = a.policy(restart="temporary" if how == "forgotten" else "permanent")
    one, two = Supervisor("one", a, b, strategy="one_for_all"), Supervisor("two")
    async with running(one, two) as system:
        await system.terminate_child(one if how == "its branch is" else a)
        if how == "deleted":
            await system.delete_child(a)

        with pytest.raises(ChildStands, match=r"root/one/a is .*; a spec is the key to one actor"):
            await system.start_child(two, a)

        if how != "its branch is":
            await system.terminate_child(one)
        await system.restart_child(one)
        assert states(system, one) == ["a running", "b running"]
        assert journal == ["a started", "a stopped: shutdown", "a started"]


async def test_a_spec_that_has_yet_to_be_started_is_refused_elsewhere() -> None:
    refused: list[str] = []
    branch, later = Supervisor("branch"), a_child("later")

    class Eager(Diary):
        async def on_start(self) -> None:
            try:
                await self.ctx.system.start_child(branch, later)
            except ChildStands as error:
                refused.append(error.child)

    async with running(branch, Child(Eager), later) as system:
        assert await system.ref(later).ask(Incarnation()) == 1

    assert refused == ["root/later"]


async def test_an_added_child_can_be_started_elsewhere_after_the_end_of_its_supervisor() -> None:
    one, two, child = Supervisor("one"), Supervisor("two"), a_child("a")
    async with running(one, two) as system:
        await system.start_child(one, child)
        await system.terminate_child(one)

        await system.start_child(two, child)

        assert system.ref(child).path == "root/two/a"


async def test_a_start_that_is_refused_changes_nothing() -> None:
    one, two = Supervisor("one"), Supervisor("two")
    free, runs = a_child("free"), a_child("runs")
    async with running(one, two, runs) as system:
        with pytest.raises(ChildStands, match="root/runs is running"):
            await system.start_child(two, Supervisor("branch", free, runs))

        with pytest.raises(NotFound):
            system.ref(free)
        await system.start_child(one, free)
        assert system.ref(free).path == "root/one/free"


async def test_a_branch_that_does_not_start_is_known_to_nobody_nor_are_those_below_it() -> None:
    top, good = Supervisor("top"), a_child("good")
    async with running(top) as system:
        with pytest.raises(StartFailed, match="root/top/branch/BadStart did not start"):
            await system.start_child(top, Supervisor("branch", good, Child(BadStart)))

        with pytest.raises(NotFound):
            system.ref(good)


async def test_what_is_no_spec_cannot_be_started() -> None:
    branch = Supervisor("branch")
    async with running(branch) as system:
        with pytest.raises(TypeError, match=r"give it `Child\(Diary\)`"):
            await system.start_child(branch, Diary)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_supervisor_that_has_stopped_starts_nothing() -> None:
    branch = Supervisor("branch")
    async with running(branch) as system:
        await system.terminate_child(branch)

        with pytest.raises(ActorStopped, match="branch"):
            await system.start_child(branch, a_child("a"))


async def test_a_child_runs_in_its_supervisors_context_whoever_orders_its_start() -> None:
    seen: list[str] = []

    class Curious(Diary):
        async def on_start(self) -> None:
            seen.append(caller.get())

    branch, static = Supervisor("branch"), Child(Curious).named("static")
    async with running(branch, static) as system:
        caller.set("somebody")
        await system.start_child(branch, Child(Curious))
        await system.terminate_child(static)
        await system.restart_child(static)

    assert seen == ["nobody", "nobody", "nobody"]


# ---------------------------------------------------------------------- restart


async def test_a_child_that_was_terminated_is_started_again_and_told_as_restarted() -> None:
    child = a_child("a")
    async with running(child) as system:
        await system.terminate_child(child)
        events = Events(system)

        await system.restart_child(child)

        assert await system.ref(child).ask(Incarnation()) == 2
        assert Restarted("root/a", 2) in events


@pytest.mark.parametrize("order", [Quit(), Quit("tired")])
async def test_a_transient_child_that_has_finished_can_be_started_again(order: Quit) -> None:
    child = a_child("a").policy(restart="transient")
    async with running(child) as system:
        system.ref(child).tell(order)
        await settle()

        await system.restart_child(child)

        assert await system.ref(child).ask(Incarnation()) == 2


async def test_a_branch_that_was_terminated_comes_back_with_its_children() -> None:
    child = a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system:
        await system.terminate_child(branch)

        await system.restart_child(branch)

        assert states(system, branch) == ["a running"]
        assert await system.ref(child).ask(Incarnation()) == 2


async def test_a_pool_that_was_terminated_comes_back_empty() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent")
    async with running(rooms) as system:
        await system.start(rooms)
        await system.terminate_child(rooms)
        with pytest.raises(ActorStopped):
            await system.start(rooms)

        await system.restart_child(rooms)

        assert names(system, rooms) == []
        assert await (await system.start(rooms)).ask(Incarnation()) == 1


async def test_a_restart_by_order_is_charged_to_nobody() -> None:
    child = a_child("a")
    async with System(Supervisor("root", child, max_restarts=1)) as system:
        for _ in range(5):
            await system.terminate_child(child)
            await system.restart_child(child)
        system.ref(child).tell(Crash())
        await settle()

        assert await system.ref(child).ask(Incarnation()) == 7


async def test_a_child_that_runs_is_not_restarted() -> None:
    child = a_child("a")
    async with running(child) as system:
        with pytest.raises(ChildStands, match="root/a is running; terminate it first") as caught:
            await system.restart_child(child)

        assert (caught.value.child, caught.value.state) == ("root/a", "running")
        assert await system.ref(child).ask(Incarnation()) == 1


async def test_a_stopped_child_that_does_not_start_stays_stopped() -> None:
    child = Child(Fragile, [True, False, True]).named("a")
    root = Supervisor("root", child, max_restarts=0)
    async with System(root) as system:
        await system.terminate_child(child)

        with pytest.raises(StartFailed, match=r"root/a did not start: .*no disk"):
            await system.restart_child(child)

        assert states(system, root) == ["a stopped"]
        await system.restart_child(child)
        assert states(system, root) == ["a running"]


async def test_a_waiting_child_that_does_not_start_goes_on_waiting() -> None:
    child = Child(Fragile, [True, False, True]).named("a").policy(backoff=STEADY)
    root = Supervisor("root", child, max_restarts=0)
    async with System(root) as system:
        system.ref(child).tell(Crash())
        await anyio.sleep(5)

        with pytest.raises(StartFailed, match=r"root/a did not start: .*disk.* goes on waiting"):
            await system.restart_child(child)
        await settle()

        assert states(system, root) == ["a waiting"]
        await anyio.sleep(11)
        assert states(system, root) == ["a running"]


async def test_a_waiting_child_of_a_pool_that_does_not_start_goes_on_waiting() -> None:
    rooms = Dynamic("rooms", Fragile, restart="permanent", backoff=STEADY)
    async with running(rooms) as system:
        ref = await system.start(rooms, [True, False, True])
        ref.tell(Crash())
        await settle()

        with pytest.raises(StartFailed, match=r"root/rooms/1 did not start: .*no disk"):
            await system.restart_child(ref)

        assert states(system, rooms) == ["1 waiting"]
        await anyio.sleep(11)
        assert states(system, rooms) == ["1 running"]


async def test_a_passive_child_can_be_started_by_order() -> None:
    child = a_child("a").policy(idle_timeout=1)
    root = Supervisor("root", child)
    async with System(root) as system:
        await anyio.sleep(1.5)
        assert states(system, root) == ["a passive"]

        await system.restart_child(child)

        assert states(system, root) == ["a running"]


async def test_a_child_of_a_pool_that_runs_or_has_ended_is_not_restarted() -> None:
    rooms = Dynamic("rooms", Diary)
    async with running(rooms) as system:
        ref = await system.start(rooms)

        with pytest.raises(ChildStands, match="root/rooms/1 is running"):
            await system.restart_child(ref)
        await system.terminate_child(ref)
        with pytest.raises(ChildStands, match="root/rooms/1 is stopped; a pool forgets"):
            await system.restart_child(ref)


async def test_a_temporary_child_that_has_ended_is_forgotten() -> None:
    child = a_child("a").policy(restart="temporary")
    root = Supervisor("root", child)
    async with System(root) as system:
        await system.terminate_child(child)

        assert names(system, root) == []
        with pytest.raises(NotFound):
            await system.restart_child(child)
        with pytest.raises(NotFound):
            await system.delete_child(child)


# ---------------------------------------------------------------------- terminate


@pytest.mark.parametrize("restart", ["permanent", "transient"])
async def test_a_child_that_is_terminated_keeps_its_spec_and_does_not_come_back(
    restart: str,
) -> None:
    child = a_child("a").policy(restart="permanent" if restart == "permanent" else "transient")
    root = Supervisor("root", child)
    async with System(root) as system:
        events = Events(system)

        await system.terminate_child(child)
        await anyio.sleep(60)

        assert states(system, root) == ["a stopped"]
        assert events.kinds() == ["root/a 1 shutdown"]


async def test_terminate_child_waits_until_the_child_is_completely_gone() -> None:
    journal: list[str] = []
    child = a_child("a", journal).policy(grace=3)
    async with running(child) as system:
        system.ref(child).tell(Hang())
        await settle()
        begun = anyio.current_time()

        await system.terminate_child(child)

        assert anyio.current_time() - begun == pytest.approx(3)
        assert journal[-1] == "a stopped: killed"


async def test_a_child_can_be_named_by_its_ref_too() -> None:
    child = a_child("a")
    root = Supervisor("root", child)
    async with System(root) as system:
        await system.terminate_child(system.ref(child))

        assert states(system, root) == ["a stopped"]


async def test_terminating_a_branch_stops_all_below_it() -> None:
    journal: list[str] = []
    branch = Supervisor("branch", a_child("a", journal), a_child("b", journal))
    async with running(branch) as system:
        journal.clear()

        await system.terminate_child(branch)

    assert journal == ["b stopped: shutdown", "a stopped: shutdown"]


async def test_terminating_a_pool_stops_all_below_it() -> None:
    journal: list[str] = []
    rooms = Dynamic("rooms", Diary, restart="permanent")
    async with running(rooms) as system:
        refs = [await system.start(rooms, journal, name) for name in ("a", "b")]

        await system.terminate_child(rooms)

        assert sorted(journal[2:]) == ["a stopped: shutdown", "b stopped: shutdown"]
        assert [ref.tell(Note("there?")) for ref in refs] == [False, False]


async def test_terminating_twice_does_nothing_more() -> None:
    child = a_child("a")
    async with running(child) as system:
        events = Events(system)

        await system.terminate_child(child)
        await system.terminate_child(child)

        assert events.kinds() == ["root/a 1 shutdown"]


async def test_two_who_terminate_a_child_at_once_both_wait_for_its_end() -> None:
    rooms, child = Dynamic("rooms", Diary, grace=3), a_child("a").policy(grace=3)
    async with running(rooms, child) as system:
        begun, refs = anyio.current_time(), (await system.start(rooms), system.ref(child))
        for ref in refs:
            ref.tell(Hang())
        await settle()

        async with anyio.create_task_group() as tasks:
            for ref in refs:
                tasks.start_soon(system.terminate_child, ref)
                tasks.start_soon(system.terminate_child, ref)

        assert anyio.current_time() - begun == pytest.approx(3)


async def test_a_child_that_crashes_while_it_is_terminated_stays_stopped_and_is_not_charged() -> (
    None
):
    child = Child(Clumsy)
    root = Supervisor("root", child, max_restarts=0)
    async with System(root) as system:
        events = Events(system)

        await system.terminate_child(child)
        await settle()

        assert events.kinds() == ["root/Clumsy 1 crash"]
        assert states(system, root) == ["Clumsy stopped"]


async def test_a_child_that_crashed_just_before_it_is_terminated_stays_stopped() -> None:
    child = a_child("a")
    root = Supervisor("root", child)
    async with System(root) as system:
        system.ref(child).tell(Crash())

        await system.terminate_child(child)
        await settle()

        assert states(system, root) == ["a stopped"]


async def test_a_passive_child_that_is_terminated_is_woken_by_nobody() -> None:
    child = a_child("a").policy(idle_timeout=1)
    root = Supervisor("root", child)
    async with System(root) as system:
        await anyio.sleep(1.5)

        await system.terminate_child(child)

        assert system.ref(child).tell(Note("there?")) is False
        assert states(system, root) == ["a stopped"]


async def test_a_child_of_a_pool_that_is_terminated_is_forgotten() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent")
    async with running(rooms) as system:
        gone, stays = await system.start(rooms), await system.start(rooms)

        await system.terminate_child(gone)

        assert names(system, rooms) == ["2"]
        assert gone.tell(Note("there?")) is False
        assert await stays.ask(Incarnation()) == 1


async def test_a_child_of_a_pool_that_is_terminated_while_it_starts_does_not_start() -> None:
    journal, failures = list[str](), list[str]()
    slow = Dynamic("slow", SlowStart)
    async with running(slow) as system, anyio.create_task_group() as tasks:

        async def start() -> None:
            with pytest.raises(StartFailed) as caught:
                await system.start(slow, Door(), journal)
            failures.append(caught.value.child)

        tasks.start_soon(start)
        await settle()
        [info] = system.which_children(slow)
        assert info.state == "starting"
        slot = next(iter(system.pool(slow).slots))

        await system.terminate_child(slot.ref())

        assert journal == ["slow's start was cancelled"]
        assert names(system, slow) == []

    assert failures == ["root/slow/1"]


# ---------------------------------------------------------------------- delete


@pytest.mark.parametrize("kind", ["stopped", "waiting", "passive"])
async def test_a_child_that_does_not_run_can_be_deleted(kind: str) -> None:
    child = a_child("a").policy(
        backoff=STEADY, idle_timeout=1 if kind == "passive" else None, restart="transient"
    )
    root = Supervisor("root", child)
    async with System(root) as system:
        ref = system.ref(child)
        if kind != "passive":
            ref.tell(Quit() if kind == "stopped" else Crash())
        await anyio.sleep(1.5)
        assert states(system, root) == [f"a {kind}"]

        await system.delete_child(child)
        await anyio.sleep(60)

        assert names(system, root) == []
        assert ref.tell(Note("there?")) is False
        with pytest.raises(NotFound):
            system.ref(child)


async def test_a_child_that_runs_is_not_deleted() -> None:
    child = a_child("a")
    async with running(child) as system:
        with pytest.raises(ChildStands, match="root/a is running; terminate it before"):
            await system.delete_child(child)

        assert await system.ref(child).ask(Incarnation()) == 1


async def test_a_deleted_branch_takes_its_specs_along() -> None:
    child = a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system:
        await system.terminate_child(branch)
        await system.delete_child(branch)

        with pytest.raises(NotFound):
            system.ref(child)


async def test_a_deleted_child_is_found_neither_by_its_spec_nor_by_its_ref() -> None:
    child = a_child("a")
    async with running(child) as system:
        ref = system.ref(child)
        await system.terminate_child(child)
        await system.delete_child(child)

        for order in (system.restart_child, system.delete_child):
            with pytest.raises(NotFound):
                await order(child)
            with pytest.raises(NotFound):
                await order(ref)


async def test_a_deleted_child_can_be_started_again_as_a_new_one() -> None:
    child = a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system:
        old = system.ref(child)
        await system.terminate_child(child)
        await system.delete_child(child)

        await system.start_child(branch, child)

        assert await system.ref(child).ask(Incarnation()) == 1
        assert old.tell(Note("there?")) is False


async def test_a_child_of_a_pool_cannot_be_deleted() -> None:
    rooms = Dynamic("rooms", Diary)
    async with running(rooms) as system:
        ref = await system.start(rooms)

        with pytest.raises(ChildStands, match="a pool forgets its children by itself"):
            await system.delete_child(ref)


# ---------------------------------------------------------------------- whom nobody knows

ORDERS: list[Callable[[System, Supervisable], Awaitable[None]]] = [
    System.terminate_child,
    System.restart_child,
    System.delete_child,
]


@pytest.mark.parametrize("order", ORDERS)
async def test_orders_about_a_spec_that_stands_in_no_tree_are_refused(
    order: Callable[[System, Supervisable], Awaitable[None]],
) -> None:
    async with running() as system:
        for stranger in (a_child("x"), Supervisor("x"), Pool("x")):
            with pytest.raises(NotFound, match="x is in no part of this tree"):
                await order(system, stranger)


@pytest.mark.parametrize("order", ORDERS)
async def test_orders_about_the_root_are_refused(
    order: Callable[[System, Supervisable], Awaitable[None]],
) -> None:
    root = Supervisor("root")
    async with System(root) as system:
        with pytest.raises(NotFound):
            await order(system, root)

        assert system.running


async def test_orders_about_the_child_of_another_system_are_refused() -> None:
    child = a_child("a")
    async with running(child) as system, running(a_child("a")) as other:
        with pytest.raises(NotFound):
            await other.terminate_child(child)
        with pytest.raises(NotFound):
            await other.terminate_child(system.ref(child))

        assert await system.ref(child).ask(Incarnation()) == 1


async def test_a_stranger_has_no_children_to_list() -> None:
    async with running() as system:
        with pytest.raises(NotFound):
            system.which_children(Supervisor("stranger"))
        with pytest.raises(NotFound):
            system.count_children(Pool("stranger"))
        with pytest.raises(NotFound):
            await system.start_child(Supervisor("stranger"), a_child("a"))


# ---------------------------------------------------------------------- a busy supervisor


async def test_orders_to_one_supervisor_are_carried_out_one_after_another() -> None:
    journal: list[str] = []
    door = Door()
    branch, other = Supervisor("branch"), Supervisor("other")
    async with running(branch, other) as system, anyio.create_task_group() as tasks:
        tasks.start_soon(system.start_child, branch, Child(SlowStart, door, journal))
        await settle()
        tasks.start_soon(system.start_child, branch, a_child("next", journal))
        await settle()

        await system.start_child(other, a_child("elsewhere", journal))
        assert journal == ["elsewhere started"]
        door.open()
        await settle()

        assert journal == ["elsewhere started", "slow started", "next started"]


async def test_a_restart_that_starts_slowly_is_finished_before_the_next_order() -> None:
    journal: list[str] = []
    door = Door(is_open=True)
    slow, other = Child(SlowStart, door, journal), a_child("other", journal)
    async with running(slow, other) as system, anyio.create_task_group() as tasks:
        door.shut()
        system.ref(slow).tell(Crash())
        await settle()
        journal.clear()

        tasks.start_soon(system.terminate_child, other)
        tasks.start_soon(system.terminate_child, slow)
        await settle()
        before = list(journal)
        door.open()
        await settle()

        assert before == []
        assert journal[0] == "slow started"
        assert sorted(journal[1:]) == ["other stopped: shutdown", "slow stopped: shutdown"]


async def test_crashes_that_come_during_an_order_are_seen_to_after_it() -> None:
    door, child = Door(), a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system, anyio.create_task_group() as tasks:
        tasks.start_soon(system.start_child, branch, Child(SlowStart, door))
        await settle()
        system.ref(child).tell(Crash())
        await settle()

        before = states(system, branch)
        door.open()
        await settle()

        assert before == ["a waiting", "SlowStart starting"]
        assert states(system, branch) == ["a running", "SlowStart running"]


async def test_orders_given_during_the_first_start_wait_for_its_end() -> None:
    journal: list[str] = []
    helper, door = a_child("late", journal), Door()

    class Eager(Diary):
        async def on_start(self) -> None:
            self.ctx.start_soon(self._order)

        async def _order(self) -> None:
            await self.ctx.system.start_child(root, helper)
            journal.append("ordered")

    root = Supervisor("root", Child(Eager), Child(SlowStart, door, journal))
    async with anyio.create_task_group() as tasks:

        async def open_later() -> None:
            await settle()
            door.open()

        tasks.start_soon(open_later)
        async with System(root):
            await settle()
            assert journal == ["slow started", "late started", "ordered"]


ACTS: dict[str, Callable[[System, Supervisor, Child[Order]], Awaitable[None]]] = {
    "start": lambda system, branch, child: system.start_child(branch, a_child("new")),
    "terminate": lambda system, branch, child: system.terminate_child(child),
    "restart": lambda system, branch, child: system.restart_child(child),
    "delete": lambda system, branch, child: system.delete_child(child),
}


@pytest.mark.parametrize("act", ACTS)
async def test_orders_that_wait_fail_when_the_supervisor_ends_first(act: str) -> None:
    failed: list[str] = []
    child = a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system, anyio.create_task_group() as tasks:

        async def order(act: str) -> None:
            try:
                await ACTS[act](system, branch, child)
            except ActorStopped as error:
                failed.append(f"{act} {error.actor}")

        await system.terminate_child(child)
        tasks.start_soon(system_start_hangs, system, branch, failed)
        await settle()
        tasks.start_soon(order, act)
        await settle()

        await system.terminate_child(branch)
        await settle()

        assert sorted(failed) == sorted(["hanging start", f"{act} root/branch"])


async def system_start_hangs(system: System, branch: Supervisor, failed: list[str]) -> None:
    with pytest.raises(ActorStopped):
        await system.start_child(branch, Child(SlowStart, Door()))
    failed.append("hanging start")


@pytest.mark.parametrize("act", ACTS)
async def test_orders_to_a_supervisor_that_has_ended_fail_at_once(act: str) -> None:
    child = a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system:
        await system.terminate_child(branch)

        with pytest.raises(ActorStopped, match="branch"):
            await ACTS[act](system, branch, child)


@pytest.mark.parametrize("act", ACTS)
async def test_orders_after_the_end_of_the_system_fail_at_once(act: str) -> None:
    child = a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system:
        pass

    with pytest.raises(ActorStopped, match="branch"):
        await ACTS[act](system, branch, child)
    assert system.which_children(branch) == ()


async def test_orders_that_wait_fail_when_the_supervisor_gives_up() -> None:
    failed: list[str] = []
    door = Door()
    child = a_child("a")
    branch = Supervisor("branch", child, max_restarts=0, restart="temporary")
    async with running(branch) as system, anyio.create_task_group() as tasks:
        tasks.start_soon(system.start_child, branch, Child(SlowStart, door))
        await settle()
        system.ref(child).tell(Crash())
        await settle()

        async def order() -> None:
            with pytest.raises(ActorStopped, match="root/branch"):
                await system.terminate_child(child)
            failed.append("terminate")

        tasks.start_soon(order)
        await settle()
        door.open()
        await settle()

    assert failed == ["terminate"]


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_an_order_behind_a_crash_finds_what_the_restart_has_left(strategy: Strategy) -> None:
    a, b = a_child("a"), a_child("b")
    root = Supervisor("root", a, b, strategy=strategy)
    async with System(root) as system:
        system.ref(a).tell(Crash())
        await system.terminate_child(b)
        await settle()

        assert "a running" in states(system, root)


# ---------------------------------------------------------------------- cancelling the wait


async def test_cancelling_the_wait_takes_a_start_not_back() -> None:
    door, branch = Door(), Supervisor("branch")
    slow = Child(SlowStart, door)
    async with running(branch) as system:
        with anyio.move_on_after(1) as scope:
            await system.start_child(branch, slow)
        door.open()
        await settle()

        assert scope.cancelled_caught
        assert states(system, branch) == ["SlowStart running"]


async def test_cancelling_the_wait_takes_a_stop_not_back() -> None:
    child = a_child("a").policy(grace=5)
    root = Supervisor("root", child)
    async with System(root) as system:
        system.ref(child).tell(Hang())
        await settle()

        with anyio.move_on_after(1) as scope:
            await system.terminate_child(child)
        before = states(system, root)
        await anyio.sleep(5)

        assert scope.cancelled_caught
        assert before == ["a stopping"]
        assert states(system, root) == ["a stopped"]


async def test_cancelling_the_wait_takes_an_order_in_the_queue_not_back() -> None:
    door, child = Door(), a_child("a")
    branch = Supervisor("branch", child)
    async with running(branch) as system, anyio.create_task_group() as tasks:
        tasks.start_soon(system.start_child, branch, Child(SlowStart, door))
        await settle()

        with anyio.move_on_after(1):
            await system.terminate_child(child)
        door.open()
        await settle()

        assert states(system, branch) == ["a stopped", "SlowStart running"]


async def test_cancelling_the_wait_takes_a_restart_not_back_even_one_that_fails() -> None:
    door = Door(is_open=True)

    class SlowToFail(SlowStart):
        async def on_start(self) -> None:
            await super().on_start()
            if self.ctx.incarnation > 1:
                raise OSError("no disk")

    child, other = Child(SlowToFail, door), a_child("other")
    root = Supervisor("root", child, other)
    async with System(root) as system:
        await system.terminate_child(child)
        door.shut()

        with anyio.move_on_after(1):
            await system.restart_child(child)
        door.open()
        await settle()

        assert states(system, root) == ["SlowToFail stopped", "other running"]
        await system.terminate_child(other)  # the supervisor goes on with its orders


async def test_cancelling_the_wait_for_a_stop_in_a_pool_takes_it_not_back() -> None:
    rooms = Dynamic("rooms", Diary, grace=5)
    async with running(rooms) as system:
        ref = await system.start(rooms)
        ref.tell(Hang())
        await settle()

        with anyio.move_on_after(1):
            await system.terminate_child(ref)
        await anyio.sleep(5)

        assert names(system, rooms) == []


# ---------------------------------------------------------------------- orders by actors


async def test_an_actor_can_stop_its_sibling() -> None:
    victim = a_child("victim")

    class Rival(Diary):
        async def on_start(self) -> None:
            self.ctx.start_soon(self.ctx.system.terminate_child, victim)

    root = Supervisor("root", victim, Child(Rival))
    async with System(root) as system:
        await settle()

        assert states(system, root) == ["victim stopped", "Rival running"]


async def test_an_actor_that_waits_for_its_own_end_is_killed_after_its_grace() -> None:
    class Tired(Diary):
        async def on_start(self) -> None:
            self.ctx.ref.tell(Note("end it"))

        async def note(self, message: Note) -> None:
            await self.ctx.system.terminate_child(child)

    child: Child[Order] = Child(Tired).policy(grace=3)
    root = Supervisor("root", child)
    async with System(root) as system:
        events = Events(system)
        await anyio.sleep(4)

        assert events.kinds() == ["root/Tired 1 killed"]
        assert states(system, root) == ["Tired stopped"]


async def test_what_was_queued_for_a_child_that_is_terminated_is_lost() -> None:
    child, door = a_child("a"), Door()
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)
        ref.tell(Wait(door))
        await settle()
        ref.tell(Note("lost"))
        tasks.start_soon(system.terminate_child, child)
        await settle()
        door.open()
        await settle()

        await system.restart_child(child)

        assert await ref.ask(Notes()) == []
