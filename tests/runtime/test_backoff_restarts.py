"""Backoff: restarts that wait, under each strategy and in pools, and what ends the wait."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from herdwick.runtime import (
    Backoff,
    Child,
    ChildStands,
    Dynamic,
    Event,
    Exited,
    GaveUp,
    Ref,
    RestartLimitReached,
    Started,
    StartFailed,
    Strategy,
    Supervisable,
    Supervisor,
    System,
)
from herdwick.testing import settle
from tests.runtime.samples import Crash, Diary, Events, Hang, Incarnation, Note, Notes, Order, Quit

STEADY = Backoff(min=10, max=10, jitter=0)
"""Each restart waits for ten seconds."""


class Watch:
    """The ends and starts of a system's actors, each with the seconds since the last `start`."""

    def __init__(self, system: System) -> None:
        self._clock = system.clock
        self._lines: list[tuple[float, str]] = []
        self.start()
        system.events.subscribe(self._write)

    def start(self) -> None:
        self._lines.clear()
        self._begun = self._clock()

    def read(self) -> list[str]:
        """Give what happened, as `10 b started`."""
        return [f"{moment:g} {text}" for moment, text in self._lines]

    def waits(self) -> list[float]:
        """Give the seconds between each end and the start that followed it."""
        ends = [moment for moment, text in self._lines if text.endswith("ended")]
        starts = [moment for moment, text in self._lines if text.endswith("started")]
        return [round(start - end, 2) for end, start in zip(ends, starts, strict=True)]

    def _write(self, event: Event) -> None:
        if isinstance(event, Started | Exited):
            name = event.path.rpartition("/")[2]
            what = "started" if isinstance(event, Started) else "ended"
            self._lines.append((round(self._clock() - self._begun, 2), f"{name} {what}"))


@asynccontextmanager
async def strict(
    *children: Supervisable,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 0,
    random: Callable[[], float] = lambda: 0.0,
) -> AsyncGenerator[System]:
    """Run children under a root that may restart nobody at its own charge."""
    root = Supervisor("root", *children, strategy=strategy, max_restarts=max_restarts)
    async with System(root, random=random) as system:
        yield system


async def crash(ref: Ref[Order], *, then_wait: float = 0.0) -> None:
    """Crash an actor, wait until all is done that takes no time, and let time pass."""
    ref.tell(Crash())
    await settle()
    await anyio.sleep(then_wait)


def a_child(name: str, backoff: Backoff | None = None) -> Child[Order]:
    return Child(Diary, None, name).named(name).policy(backoff=backoff)


class Fragile(Diary):
    """Starts as often as its list of successes says."""

    def __init__(self, starts: list[bool]) -> None:
        super().__init__(None, "fragile")
        self._starts = starts

    async def on_start(self) -> None:
        if not self._starts.pop(0):
            raise OSError("no disk")


# ---------------------------------------------------------------------- how long


async def test_each_restart_in_a_row_waits_longer_up_to_the_longest() -> None:
    child = a_child("a", Backoff(min=1, max=5, factor=2, jitter=0))
    async with strict(child) as system:
        watch = Watch(system)

        for _ in range(5):
            await crash(system.ref(child), then_wait=6)

        assert watch.waits() == [1, 2, 4, 5, 5]


async def test_chance_shortens_the_waits_and_comes_from_the_system() -> None:
    chances = [0.0, 0.5, 0.25]
    child = a_child("a", Backoff(min=10, max=10, jitter=0.2))
    async with strict(child, random=lambda: chances.pop(0)) as system:
        watch = Watch(system)

        for _ in range(3):
            await crash(system.ref(child), then_wait=20)

        assert watch.waits() == [10, 9, 9.5]


async def test_a_stable_run_forgets_the_attempts() -> None:
    child = a_child("a", Backoff(min=1, max=100, factor=10, jitter=0, reset_after=60))
    async with strict(child) as system:
        watch = Watch(system)

        await crash(system.ref(child), then_wait=1 + 59)
        await crash(system.ref(child), then_wait=10 + 61)
        await crash(system.ref(child), then_wait=20)

        assert watch.waits() == [1, 10, 1]


async def test_a_start_that_fails_is_the_next_attempt_and_waits_longer() -> None:
    child = Child(Fragile, [True, False, False, True])
    child = child.named("a").policy(backoff=Backoff(min=1, max=100, factor=3, jitter=0))
    async with strict(child) as system:
        watch = Watch(system)

        await crash(system.ref(child), then_wait=100)

        assert watch.read() == ["0 a ended", "1 a ended", "4 a ended", "13 a started"]


async def test_a_wait_does_not_hold_up_the_restarts_of_others() -> None:
    a, b = a_child("a", STEADY), a_child("b")
    async with strict(a, b, max_restarts=1) as system:
        await crash(system.ref(a))
        await crash(system.ref(b))

        assert await system.ref(b).ask(Incarnation()) == 2
        assert system.statistics(a).state == "waiting"


async def test_what_is_told_during_the_wait_is_handled_after_it() -> None:
    child = a_child("a", STEADY)
    async with strict(child) as system:
        await crash(system.ref(child))

        assert system.ref(child).tell(Note("kept"))
        await anyio.sleep(11)

        assert await system.ref(child).ask(Notes()) == ["kept"]


# ---------------------------------------------------------------------- how often


async def test_a_child_with_a_backoff_is_never_charged_to_its_supervisor() -> None:
    child = a_child("a", Backoff(min=0, max=0))
    async with strict(child) as system:
        for _ in range(20):
            await crash(system.ref(child))

        assert await system.ref(child).ask(Incarnation()) == 21


async def test_its_siblings_are_charged_as_ever() -> None:
    a, b = a_child("a", STEADY), a_child("b")

    with pytest.raises(RestartLimitReached, match="root/b failed more than 1 times in 5 s"):
        async with strict(a, b, max_restarts=1) as system:
            await crash(system.ref(b))
            await crash(system.ref(a), then_wait=1)
            await crash(system.ref(b))
            await anyio.sleep_forever()


async def test_a_bystander_with_a_backoff_comes_back_at_once_with_its_group() -> None:
    a, b = a_child("a"), a_child("b", STEADY)
    async with strict(a, b, strategy="one_for_all", max_restarts=1) as system:
        watch = Watch(system)

        await crash(system.ref(a))

        assert watch.read() == ["0 a ended", "0 b ended", "0 a started", "0 b started"]


async def test_after_its_attempts_the_supervisor_gives_up() -> None:
    child = a_child("a", Backoff(min=1, max=1, jitter=0, max_attempts=2))

    events, begun = Events(), anyio.current_time()

    with pytest.raises(RestartLimitReached, match="root/a failed more than 2 times in a row"):
        async with strict(child, max_restarts=1000) as system:
            events.watch(system)
            for _ in range(3):
                await crash(system.ref(child), then_wait=2)
            pytest.fail("it goes on")

    assert GaveUp("root/a", 2, None) in events
    assert anyio.current_time() - begun == pytest.approx(4, abs=0.1)


async def test_a_child_without_attempts_is_never_restarted() -> None:
    child = a_child("a", Backoff(max_attempts=0))

    with pytest.raises(RestartLimitReached) as caught:
        async with strict(child, max_restarts=1000) as system:
            await crash(system.ref(child))
            await anyio.sleep_forever()

    assert (caught.value.restarts, caught.value.period) == (0, None)


async def test_who_gives_up_after_attempts_tells_when_they_were() -> None:
    child = a_child("a", Backoff(min=1, max=1, jitter=0, max_attempts=2))

    begun = anyio.current_time()

    with pytest.raises(RestartLimitReached) as caught:
        async with strict(child) as system:
            for _ in range(3):
                await crash(system.ref(child), then_wait=2)

    moments = [moment - begun for moment in caught.value.restarted_at]
    assert moments == pytest.approx([0, 2], abs=0.1)


async def test_a_stable_run_gives_all_the_attempts_back() -> None:
    child = a_child("a", Backoff(min=1, max=1, jitter=0, reset_after=60, max_attempts=1))
    async with strict(child) as system:
        for _ in range(3):
            await crash(system.ref(child), then_wait=62)

        assert await system.ref(child).ask(Incarnation()) == 4


async def test_the_restart_of_its_supervisor_forgets_the_attempts() -> None:
    child = a_child("a", Backoff(min=1, max=1, jitter=0, max_attempts=1))
    branch = Supervisor("branch", child)
    async with strict(branch, max_restarts=1) as system:
        events = Events(system)

        for _ in range(3):  # the second is one too many, and the third is the first of a new life
            await crash(system.ref(child), then_wait=2)

        assert len([event for event in events if isinstance(event, GaveUp)]) == 1


async def test_a_run_lasts_until_the_crash_and_not_until_the_supervisor_sees_to_it() -> None:
    child = a_child("a", Backoff(min=1, max=100, factor=10, jitter=0, reset_after=60))
    branch, sleepy = Supervisor("branch", child), Child(Sleepy).policy(start_timeout=1000)
    async with strict(branch) as system, anyio.create_task_group() as tasks:
        await crash(system.ref(child), then_wait=2)
        for name in "bcde":  # until 80, the branch has no time
            tasks.start_soon(system.start_child, branch, sleepy.named(name))
        await settle()
        watch = Watch(system)

        await crash(system.ref(child), then_wait=200)

        lines = [line for line in watch.read() if " a " in line]
        assert lines == ["0 a ended", "90 a started"]  # the second in a row waits for 10


async def test_a_supervisor_with_a_backoff_waits_as_well() -> None:
    child = a_child("a")
    branch = Supervisor("branch", child, max_restarts=0, backoff=STEADY)
    async with strict(branch) as system:
        watch = Watch(system)

        await crash(system.ref(child), then_wait=20)

        assert watch.read() == [
            *("0 a ended", "0 branch ended"),
            *("10 a started", "10 branch started"),
        ]


# ---------------------------------------------------------------------- groups


@pytest.mark.parametrize(
    ("strategy", "story"),
    [
        ("one_for_one", ["0 b ended", "10 b started"]),
        ("rest_for_one", ["0 b ended", "0 c ended", "10 b started", "10 c started"]),
        (
            "one_for_all",
            [
                *("0 b ended", "0 c ended", "0 a ended"),
                *("10 a started", "10 b started", "10 c started"),
            ],
        ),
    ],
)
async def test_the_group_stops_at_once_then_waits_then_starts(
    strategy: Strategy, story: list[str]
) -> None:
    a, b, c = a_child("a"), a_child("b", STEADY), a_child("c")
    async with strict(a, b, c, strategy=strategy) as system:
        watch = Watch(system)

        await crash(system.ref(b), then_wait=20)

        assert watch.read() == story


async def test_the_wait_of_a_group_counts_from_the_crash_however_long_its_stop_takes() -> None:
    a, b = a_child("a", STEADY), a_child("b").policy(grace=4)
    async with strict(a, b, strategy="one_for_all") as system:
        system.ref(b).tell(Hang())
        watch = Watch(system)

        await crash(system.ref(a), then_wait=20)

        assert watch.read() == ["0 a ended", "4 b ended", "10 a started", "10 b started"]


async def test_a_stop_that_takes_longer_than_the_wait_is_waited_for() -> None:
    a, b = a_child("a", STEADY), a_child("b").policy(grace=15)
    async with strict(a, b, strategy="one_for_all") as system:
        system.ref(b).tell(Hang())
        watch = Watch(system)

        await crash(system.ref(a), then_wait=20)

        assert watch.read() == ["0 a ended", "15 b ended", "15 a started", "15 b started"]


async def test_temporary_members_are_forgotten_when_the_wait_begins() -> None:
    a, b = a_child("a", STEADY), a_child("b").policy(restart="temporary")
    async with strict(a, b, strategy="one_for_all") as system:
        await crash(system.ref(a))

        assert [node.name for node in system.tree().children] == ["a"]


async def test_the_restart_of_an_earlier_member_takes_the_waiting_ones_along() -> None:
    a, b, c = a_child("a"), a_child("b", STEADY), a_child("c")
    async with strict(a, b, c, strategy="rest_for_one", max_restarts=1) as system:
        await crash(system.ref(b), then_wait=1)
        watch = Watch(system)

        await crash(system.ref(a), then_wait=20)

        assert watch.read() == ["0 a ended", "0 a started", "0 b started", "0 c started"]


async def test_a_member_with_a_backoff_that_fails_to_start_waits_before_it_is_tried_again() -> None:
    a = a_child("a")
    fragile = Child(Fragile, [True, False, True]).named("fragile").policy(backoff=STEADY)
    async with strict(a, fragile, strategy="one_for_all", max_restarts=1) as system:
        watch = Watch(system)

        await crash(system.ref(a), then_wait=20)

        assert watch.read() == [
            *("0 a ended", "0 fragile ended", "0 a started", "0 fragile ended", "0 a ended"),
            *("10 a started", "10 fragile started"),
        ]


# ---------------------------------------------------------------------- what ends the wait


async def test_a_stop_does_not_wait_for_it() -> None:
    child = a_child("a", Backoff(min=1000, max=1000))
    async with strict(child) as system:
        await crash(system.ref(child))
        watch = Watch(system)

    assert watch.read() == ["0 root ended"]
    assert system.ref(child).tell(Note("there?")) is False


async def test_the_stop_of_its_branch_does_not_wait_for_it_and_makes_it_void() -> None:
    child = a_child("a", STEADY)
    branch = Supervisor("branch", child)
    async with strict(branch) as system:
        await crash(system.ref(child), then_wait=5)
        await system.terminate_child(branch)
        await system.restart_child(branch)
        watch = Watch(system)
        await anyio.sleep(60)

        assert watch.read() == []
        assert await system.ref(child).ask(Incarnation()) == 2


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_terminating_the_child_makes_it_void(strategy: Strategy) -> None:
    a, b = a_child("a", STEADY), a_child("b")
    async with strict(a, b, strategy=strategy) as system:
        await crash(system.ref(a))
        watch = Watch(system)

        await system.terminate_child(a)
        await anyio.sleep(60)

        assert watch.read() == []
        assert system.statistics(a).state == "stopped"


async def test_terminating_a_child_leaves_those_down_that_waited_for_it() -> None:
    a, b = a_child("a", STEADY), a_child("b")
    async with strict(a, b, strategy="one_for_all") as system:
        await crash(system.ref(a))

        await system.terminate_child(a)

        assert [node.state for node in system.tree().children] == ["stopped", "stopped"]
        await system.restart_child(b)
        assert await system.ref(b).ask(Incarnation()) == 2


async def test_terminating_another_member_leaves_the_wait_as_it_is() -> None:
    a, b = a_child("a", STEADY), a_child("b")
    async with strict(a, b, strategy="one_for_all") as system:
        await crash(system.ref(a))
        watch = Watch(system)

        await system.terminate_child(b)
        await anyio.sleep(60)

        assert watch.read() == ["10 a started", "10 b started"]  # a group restart revives it


async def test_deleting_the_child_makes_it_void() -> None:
    a, b = a_child("a", STEADY), a_child("b")
    async with strict(a, b) as system:
        await crash(system.ref(a))
        watch = Watch(system)

        await system.delete_child(a)
        await anyio.sleep(60)

        assert watch.read() == []
        assert [node.name for node in system.tree().children] == ["b"]


@pytest.mark.parametrize(
    ("strategy", "story"),
    [
        ("one_for_one", ["0 a started"]),
        ("rest_for_one", ["0 a started", "0 b started"]),
        ("one_for_all", ["0 a started", "0 b started"]),
    ],
)
async def test_an_order_to_restart_starts_the_group_now_and_once(
    strategy: Strategy, story: list[str]
) -> None:
    a, b = a_child("a", STEADY), a_child("b")
    async with strict(a, b, strategy=strategy) as system:
        await crash(system.ref(a), then_wait=5)
        watch = Watch(system)

        await system.restart_child(a)
        await anyio.sleep(60)

        assert watch.read() == story


class Sleepy(Diary):
    """Takes twenty seconds to start."""

    async def on_start(self) -> None:
        await anyio.sleep(20)


async def test_of_an_order_and_the_end_of_the_wait_the_second_in_the_queue_is_void() -> None:
    child, sleepy = a_child("a", STEADY), Child(Sleepy).named("sleepy")
    branch = Supervisor("branch", child)
    async with strict(branch) as system, anyio.create_task_group() as tasks:
        await crash(system.ref(child))
        watch = Watch(system)

        tasks.start_soon(system.start_child, branch, sleepy)  # until 20, the branch has no time
        await anyio.sleep(5)
        tasks.start_soon(system.restart_child, child)
        await anyio.sleep(60)

        assert watch.read() == ["20 sleepy started", "20 a started"]


async def test_an_order_that_stands_behind_the_end_of_the_wait_comes_too_late() -> None:
    child, sleepy = a_child("a", STEADY), Child(Sleepy).named("sleepy")
    branch = Supervisor("branch", child)
    async with strict(branch) as system, anyio.create_task_group() as tasks:
        await crash(system.ref(child))
        watch = Watch(system)

        tasks.start_soon(system.start_child, branch, sleepy)  # until 20, the branch has no time
        await anyio.sleep(15)
        with pytest.raises(ChildStands, match="root/branch/a is running"):
            await system.restart_child(child)

        assert watch.read() == ["20 sleepy started", "20 a started"]


# ---------------------------------------------------------------------- pools


async def test_in_a_pool_each_child_waits_for_itself() -> None:
    rooms = Dynamic(
        "rooms",
        Diary,
        restart="permanent",
        backoff=Backoff(min=1, max=100, factor=10, jitter=0),
        max_restarts=0,
    )
    async with strict(rooms) as system:
        first, second = await system.start(rooms), await system.start(rooms)
        watch = Watch(system)

        await crash(first, then_wait=1)
        await crash(first)
        await crash(second, then_wait=20)

        assert watch.read() == [
            *("0 1 ended", "1 1 started"),
            *("1 1 ended", "1 2 ended", "2 2 started", "11 1 started"),
        ]


async def test_in_a_pool_a_start_that_fails_is_the_next_attempt() -> None:
    backoff = Backoff(min=1, max=100, factor=3, jitter=0)
    rooms = Dynamic("rooms", Fragile, restart="permanent", backoff=backoff, max_restarts=0)
    async with strict(rooms) as system:
        ref = await system.start(rooms, [True, False, False, True])
        watch = Watch(system)

        await crash(ref, then_wait=100)

        assert watch.read() == ["0 1 ended", "1 1 ended", "4 1 ended", "13 1 started"]


async def test_in_a_pool_a_stable_run_forgets_the_attempts() -> None:
    backoff = Backoff(min=1, max=100, factor=10, jitter=0, reset_after=60)
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=backoff)
    async with strict(rooms) as system:
        ref = await system.start(rooms)
        watch = Watch(system)

        await crash(ref, then_wait=1 + 59)
        await crash(ref, then_wait=10 + 61)
        await crash(ref, then_wait=20)

        assert watch.waits() == [1, 10, 1]


async def test_in_a_pool_a_child_out_of_attempts_is_given_up_alone() -> None:
    backoff = Backoff(min=1, max=1, jitter=0, max_attempts=2)
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=backoff)
    async with strict(rooms) as system:
        bad, good = await system.start(rooms), await system.start(rooms)
        events = Events(system)

        for _ in range(3):
            await crash(bad, then_wait=2)

        assert GaveUp("root/rooms/1", 2, None) in events
        assert len(system.pool(rooms)) == 1
        assert bad.tell(Note("there?")) is False
        assert await good.ask(Incarnation()) == 1


async def test_in_a_pool_a_child_with_a_backoff_is_charged_to_no_shared_budget() -> None:
    rooms = Dynamic(
        "rooms",
        Diary,
        restart="permanent",
        backoff=Backoff(min=0, max=0),
        max_restarts=0,
        budget="pool",
    )
    async with strict(rooms) as system:
        ref = await system.start(rooms)

        for _ in range(10):
            await crash(ref, then_wait=1)

        assert await ref.ask(Incarnation()) == 11


async def test_in_a_pool_the_end_of_a_child_that_needs_no_restart_is_its_end() -> None:
    rooms = Dynamic("rooms", Diary, restart="transient", backoff=STEADY)
    async with strict(rooms) as system:
        ref = await system.start(rooms)

        ref.tell(Quit())
        await settle()

        assert len(system.pool(rooms)) == 0


async def test_in_a_pool_terminating_the_child_makes_its_wait_void() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=STEADY)
    async with strict(rooms) as system:
        ref = await system.start(rooms)
        await crash(ref)
        watch = Watch(system)

        await system.terminate_child(ref)
        await anyio.sleep(60)

        assert watch.read() == []
        assert len(system.pool(rooms)) == 0
        assert ref.tell(Note("there?")) is False


async def test_in_a_pool_that_is_emptied_nobody_waits_any_more() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=STEADY)
    async with strict(rooms) as system:
        ref = await system.start(rooms)
        await crash(ref)

        await system.pool(rooms).stop_children()
        await anyio.sleep(60)

        assert len(system.pool(rooms)) == 0
        assert ref.tell(Note("there?")) is False


async def test_in_a_pool_an_order_to_restart_starts_the_child_now_and_once() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=STEADY)
    async with strict(rooms) as system:
        ref = await system.start(rooms)
        await crash(ref, then_wait=5)
        watch = Watch(system)

        await system.restart_child(ref)
        await anyio.sleep(60)

        assert watch.read() == ["0 1 started"]


async def test_in_a_pool_a_stop_does_not_wait_for_it() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=STEADY)
    async with strict(rooms) as system:
        ref = await system.start(rooms)
        await crash(ref)
        watch = Watch(system)

    assert watch.read() == ["0 rooms ended", "0 root ended"]
    assert ref.tell(Note("there?")) is False


async def test_in_a_pool_a_child_that_waits_counts_for_its_bound() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent", backoff=STEADY, max_children=1)
    async with strict(rooms) as system:
        ref = await system.start(rooms)

        await crash(ref)

        assert [info.state for info in system.which_children(rooms)] == ["waiting"]
        with pytest.raises(StartFailed, match="there are 1 children already"):
            await system.start(rooms)
