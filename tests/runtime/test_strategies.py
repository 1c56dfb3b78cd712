"""Strategies: who is stopped and started again with a child that ended, and what that costs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from herdwick.runtime import (
    Backoff,
    Child,
    Exit,
    GaveUp,
    Restarted,
    RestartLimitReached,
    Strategy,
    Supervisor,
    System,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Incarnation,
    Note,
    Order,
    Quit,
)

GROUPS: list[Strategy] = ["rest_for_one", "one_for_all"]


def diaries(journal: list[str], *names: str) -> list[Child[Order]]:
    return [Child(Diary, journal, name).named(name) for name in names]


@asynccontextmanager
async def family(
    strategy: Strategy, *children: Child[Order], max_restarts: int = 1000
) -> AsyncGenerator[System]:
    """Run children under one strategy."""
    root = Supervisor("root", *children, strategy=strategy, max_restarts=max_restarts)
    async with System(root) as system:
        yield system


async def crash(system: System, child: Child[Order]) -> None:
    """Crash a child, and wait until all that follows is done."""
    system.ref(child).tell(Crash())
    await settle()


class Fragile(Diary):
    """Starts as often as its list of successes says."""

    def __init__(self, starts: list[bool], journal: list[str], name: str) -> None:
        super().__init__(journal, name)
        self._starts = starts

    async def on_start(self) -> None:
        if not self._starts.pop(0):
            self.journal.append(f"{self.name} failed")
            raise OSError("no disk")
        await super().on_start()


class Clumsy(Diary):
    """Fails while it stops."""

    async def on_stop(self, reason: Exit) -> None:
        await super().on_stop(reason)
        raise OSError("stumbled")


class Slow(Diary):
    """Stops when its door is open."""

    def __init__(self, door: Door, journal: list[str], name: str) -> None:
        super().__init__(journal, name)
        self._door = door

    async def on_stop(self, reason: Exit) -> None:
        await self._door.passed()
        await super().on_stop(reason)


# ---------------------------------------------------------------------- who restarts with whom


@pytest.mark.parametrize(
    ("strategy", "followed_by"),
    [
        ("one_for_one", ["b started"]),
        (
            "rest_for_one",
            [
                *("d stopped: shutdown", "c stopped: shutdown"),
                *("b started", "c started", "d started"),
            ],
        ),
        (
            "one_for_all",
            [
                *("d stopped: shutdown", "c stopped: shutdown", "a stopped: shutdown"),
                *("a started", "b started", "c started", "d started"),
            ],
        ),
    ],
)
async def test_the_strategy_decides_who_stops_in_reverse_and_starts_in_order(
    strategy: Strategy, followed_by: list[str]
) -> None:
    journal: list[str] = []
    a, b, c, d = diaries(journal, "a", "b", "c", "d")
    async with family(strategy, a, b, c, d) as system:
        journal.clear()

        await crash(system, b)

        assert journal == ["b stopped: crash", *followed_by]


async def test_each_member_of_a_group_restart_is_told_as_restarted() -> None:
    a, b, c = diaries([], "a", "b", "c")
    async with family("rest_for_one", a, b, c) as system:
        events = Events(system)

        await crash(system, b)

        restarted = [event for event in events if isinstance(event, Restarted)]
        assert restarted == [Restarted("root/b", 2), Restarted("root/c", 2)]


async def test_the_strategy_of_a_branch_ends_at_the_branch() -> None:
    journal: list[str] = []
    a, b, outside = diaries(journal, "a", "b", "outside")
    branch = Supervisor("branch", a, b, strategy="one_for_all")
    async with System(Supervisor("root", outside, branch, strategy="one_for_all")) as system:
        await crash(system, a)

        assert await system.ref(outside).ask(Incarnation()) == 1
        assert await system.ref(b).ask(Incarnation()) == 2


@pytest.mark.parametrize("strategy", GROUPS)
async def test_no_member_starts_before_the_last_of_the_old_ones_is_gone_with_its_hook(
    strategy: Strategy,
) -> None:
    journal, door = list[str](), Door()
    a, b = diaries(journal, "a", "b")
    slow = Child(Slow, door, journal, "slow").named("slow")
    async with family(strategy, a, b, slow) as system:
        journal.clear()

        await crash(system, a)
        before = list(journal)
        door.open()
        await settle()

    assert before == ["a stopped: crash"]
    assert journal[:5] == [
        *("a stopped: crash", "slow stopped: shutdown", "b stopped: shutdown"),
        *("a started", "b started"),
    ]


# ---------------------------------------------------------------------- bystanders


@pytest.mark.parametrize("strategy", GROUPS)
async def test_temporary_bystanders_are_stopped_and_forgotten(strategy: Strategy) -> None:
    journal: list[str] = []
    a, b, c = diaries(journal, "a", "b", "c")
    b = b.policy(restart="temporary")
    async with family(strategy, a, b, c) as system:
        journal.clear()

        await crash(system, a)

        assert "b stopped: shutdown" in journal
        assert "b started" not in journal
        assert [node.name for node in system.tree().children] == ["a", "c"]
        assert system.ref(b).tell(Note("there?")) is False


async def test_a_temporary_child_before_the_one_that_crashed_is_no_bystander_of_rest_for_one() -> (
    None
):
    a, b = diaries([], "a", "b")
    a = a.policy(restart="temporary")
    async with family("rest_for_one", a, b) as system:
        await crash(system, b)

        assert await system.ref(a).ask(Incarnation()) == 1


@pytest.mark.parametrize("strategy", GROUPS)
async def test_members_that_had_finished_are_started_again_with_their_group(
    strategy: Strategy,
) -> None:
    a, b = diaries([], "a", "b")
    b = b.policy(restart="transient")
    async with family(strategy, a, b) as system:
        await system.ref(b).ask(Quit())
        await settle()
        assert system.ref(b).tell(Note("there?")) is False

        await crash(system, a)

        assert await system.ref(b).ask(Incarnation()) == 2


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_group_restart_revives_a_child_that_was_terminated(strategy: Strategy) -> None:
    a, b = diaries([], "a", "b")
    async with family(strategy, a, b) as system:
        await system.terminate_child(b)

        await crash(system, a)

        assert await system.ref(b).ask(Incarnation()) == 2


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_child_that_was_deleted_is_removed_for_good(strategy: Strategy) -> None:
    journal: list[str] = []
    a, b = diaries(journal, "a", "b")
    async with family(strategy, a, b) as system:
        await system.terminate_child(b)
        await system.delete_child(b)
        journal.clear()

        await crash(system, a)

        assert journal == ["a stopped: crash", "a started"]


async def test_the_restart_of_one_for_one_leaves_a_terminated_child_alone() -> None:
    a, b = diaries([], "a", "b")
    async with family("one_for_one", a, b) as system:
        await system.terminate_child(b)

        await crash(system, a)

        assert system.ref(b).tell(Note("there?")) is False


# ---------------------------------------------------------------------- what it costs


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_group_restart_is_one_charge(strategy: Strategy) -> None:
    a, b, c, d = diaries([], "a", "b", "c", "d")
    async with family(strategy, a, b, c, d, max_restarts=2) as system:
        await crash(system, a)
        await crash(system, a)

        assert await system.ref(d).ask(Incarnation()) == 3


@pytest.mark.parametrize("strategy", GROUPS)
async def test_one_group_restart_more_than_allowed_is_too_many(strategy: Strategy) -> None:
    a, b = diaries([], "a", "b")

    with pytest.raises(RestartLimitReached, match="root/a failed more than 1 times in 5 s"):
        async with family(strategy, a, b, max_restarts=1) as system:
            await crash(system, a)
            await crash(system, a)
            await anyio.sleep_forever()


async def test_of_two_that_crash_at_once_one_restart_of_all_absorbs_the_second() -> None:
    a, b, c = diaries([], "a", "b", "c")
    async with family("one_for_all", a, b, c, max_restarts=1) as system:
        system.ref(c).tell(Crash())
        system.ref(a).tell(Crash())
        await settle()

        lives = [await system.ref(each).ask(Incarnation()) for each in (a, b, c)]
        assert lives == [2, 2, 2]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_siblings_that_crash_while_they_are_stopped_are_reported_and_not_charged(
    strategy: Strategy,
) -> None:
    [a] = diaries([], "a")
    clumsy = Child(Clumsy, None, "clumsy").named("clumsy")
    async with family(strategy, a, clumsy, max_restarts=1) as system:
        events = Events(system)

        await crash(system, a)

        assert events.kinds() == ["root/a 1 crash", "root/clumsy 1 crash"]
        assert await system.ref(clumsy).ask(Incarnation()) == 2


@pytest.mark.parametrize(("pause", "gives_up"), [(4.99, True), (5.01, False)])
async def test_a_restart_counts_for_one_period_and_no_longer(pause: float, gives_up: bool) -> None:
    [a] = diaries([], "a")
    branch = Supervisor("branch", a, max_restarts=1, period=5.0)
    async with System(Supervisor("root", branch)) as system:
        events = Events(system)

        await crash(system, a)
        await anyio.sleep(pause)
        await crash(system, a)

        assert (GaveUp("root/branch/a", 1, 5.0) in events) is gives_up


async def test_the_log_of_restarts_slides_and_is_not_forgotten_after_a_quiet_spell() -> None:
    [a] = diaries([], "a")
    branch = Supervisor("branch", a, max_restarts=2, period=5.0)
    async with System(Supervisor("root", branch)) as system:
        events = Events(system)

        for pause in (0.0, 3.9, 2.0, 2.0):  # at 0, 3.9, 5.9 and 7.9: the last three within 5 s
            await anyio.sleep(pause)
            await crash(system, a)

        assert GaveUp("root/branch/a", 2, 5.0) in events


async def test_fractions_of_a_second_are_counted_as_they_are() -> None:
    [a] = diaries([], "a")
    async with System(Supervisor("root", a, max_restarts=1, period=0.25)) as system:
        for _ in range(4):
            await crash(system, a)
            await anyio.sleep(0.3)

        assert await system.ref(a).ask(Incarnation()) == 5


# ---------------------------------------------------------------------- members that do not start


async def test_a_member_that_fails_to_start_is_tried_again_and_rest_for_one_keeps_the_earlier() -> (
    None
):
    journal: list[str] = []
    a, c = diaries(journal, "a", "c")
    fragile = Child(Fragile, [True, False, True], journal, "fragile").named("fragile")
    async with family("rest_for_one", a, fragile, c) as system:
        journal.clear()

        await crash(system, a)

        assert journal == [
            *("a stopped: crash", "c stopped: shutdown", "fragile stopped: shutdown"),
            *("a started", "fragile failed"),
            *("fragile started", "c started"),
        ]


async def test_a_member_that_fails_to_start_is_tried_again_and_one_for_all_begins_anew() -> None:
    journal: list[str] = []
    a, c = diaries(journal, "a", "c")
    fragile = Child(Fragile, [True, False, True], journal, "fragile").named("fragile")
    async with family("one_for_all", a, fragile, c) as system:
        journal.clear()

        await crash(system, c)

        assert journal == [
            *("c stopped: crash", "fragile stopped: shutdown", "a stopped: shutdown"),
            *("a started", "fragile failed"),
            "a stopped: shutdown",
            *("a started", "fragile started", "c started"),
        ]


@pytest.mark.parametrize("strategy", GROUPS)
async def test_a_member_that_fails_to_start_is_charged_again(strategy: Strategy) -> None:
    [a] = diaries([], "a")
    fragile = Child(Fragile, [True, False, False], [], "fragile").named("fragile")

    with pytest.raises(RestartLimitReached, match="root/fragile failed") as caught:
        async with family(strategy, a, fragile, max_restarts=2) as system:
            await crash(system, a)  # one restart for it, one for its member, and one too many
            await anyio.sleep_forever()

    assert isinstance(caught.value.__cause__, OSError)


async def test_those_after_a_member_that_fails_to_start_stay_down_until_it_is_up() -> None:
    a, c = diaries([], "a", "c")
    fragile = (
        Child(Fragile, [True, False, True], [], "fragile")
        .named("fragile")
        .policy(backoff=Backoff(min=10, max=10, jitter=0))
    )
    async with family("rest_for_one", a, fragile, c) as system:
        await crash(system, a)

        before = [node.state for node in system.tree().children]
        await anyio.sleep(11)
        after = [node.state for node in system.tree().children]

        assert before == ["running", "waiting", "waiting"]
        assert after == ["running", "running", "running"]


async def test_a_retry_stands_in_the_queue_behind_what_came_before_it() -> None:
    journal: list[str] = []

    class SlowToFail(Fragile):
        async def on_start(self) -> None:
            await anyio.sleep(1)
            await super().on_start()

    slow = Child(SlowToFail, [True, False, True], journal, "slow").named("slow")
    [other] = diaries(journal, "other")
    async with family("one_for_one", slow, other) as system:
        journal.clear()

        system.ref(slow).tell(Crash())
        await settle()
        system.ref(other).tell(Crash())
        await anyio.sleep(10)

        assert journal == [
            *("slow stopped: crash", "other stopped: crash"),
            *("slow failed", "other started", "slow started"),
        ]


# ---------------------------------------------------------------------- giving up


@pytest.mark.parametrize("strategy", ["one_for_one", *GROUPS])
async def test_giving_up_stops_all_in_reverse(strategy: Strategy) -> None:
    journal: list[str] = []
    a, b, c, d = diaries(journal, "a", "b", "c", "d")

    with pytest.raises(RestartLimitReached, match="root/b"):
        async with family(strategy, a, b, c, d, max_restarts=0) as system:
            journal.clear()
            await crash(system, b)
            await anyio.sleep_forever()

    assert journal == [
        "b stopped: crash",
        *("d stopped: shutdown", "c stopped: shutdown", "a stopped: shutdown"),
    ]


async def test_who_gives_up_tells_the_child_its_last_error_and_the_times_of_its_restarts() -> None:
    [a] = diaries([], "a")
    begun = anyio.current_time()

    with pytest.raises(RestartLimitReached) as caught:
        async with family("one_for_one", a, max_restarts=2) as system:
            for text in ("first", "second", "last"):
                system.ref(a).tell(Crash(text))
                await anyio.sleep(1)

    error = caught.value
    assert (error.child, error.restarts, error.period) == ("root/a", 2, 5.0)
    assert str(error.__cause__) == "last"
    assert [moment - begun for moment in error.restarted_at] == pytest.approx([0, 1, 2], abs=0.01)


async def test_giving_up_is_abnormal_so_a_transient_supervisor_comes_back() -> None:
    [a] = diaries([], "a")
    branch = Supervisor("branch", a, max_restarts=0, restart="transient")
    async with System(Supervisor("root", branch)) as system:
        events = Events(system)

        await crash(system, a)

        assert "root/branch 1 crash" in events.kinds()
        assert await system.ref(a).ask(Incarnation()) == 2


async def test_a_temporary_supervisor_that_gives_up_is_forgotten_and_nobody_else_ends() -> None:
    a, outside = diaries([], "a", "outside")
    branch = Supervisor("branch", a, max_restarts=0, restart="temporary")
    root = Supervisor("root", outside, branch, max_restarts=0)
    async with System(root) as system:
        await crash(system, a)

        assert [info.name for info in system.which_children(root)] == ["outside"]
        assert await system.ref(outside).ask(Incarnation()) == 1
        assert system.ref(a).tell(Note("there?")) is False
