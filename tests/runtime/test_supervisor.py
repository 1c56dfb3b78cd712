"""Supervisors: order of start and stop, restarts, budgets, giving up."""

import anyio
import pytest

from herdwick.runtime import (
    Actor,
    Ask,
    Child,
    GaveUp,
    NotHandled,
    Pool,
    Ref,
    Restart,
    Restarted,
    RestartLimitReached,
    StartFailed,
    Supervisor,
    System,
    on,
)
from tests.runtime.samples import (
    BadStart,
    Crash,
    Diary,
    Door,
    Events,
    Incarnation,
    Note,
    Notes,
    Order,
    Quit,
    SlowStart,
    one,
    running,
    settle,
    task_named,
)


def diaries(journal: list[str], *names: str) -> list[Child[Order]]:
    return [Child(Diary, journal, name=name).named(name) for name in names]


class Fragile(Diary):
    """Starts as often as its list of successes says."""

    def __init__(self, starts: list[bool], journal: list[str] | None = None) -> None:
        super().__init__(journal, "fragile")
        self._starts = starts

    async def on_start(self) -> None:
        if not self._starts.pop(0):
            self.journal.append("fragile failed")
            raise OSError("no disk")
        await super().on_start()


# ---------------------------------------------------------------------- start and stop


async def test_children_start_in_order_and_stop_in_reverse() -> None:
    journal: list[str] = []
    a, b, c, d = diaries(journal, "a", "b", "c", "d")

    async with System(Supervisor("root", a, Supervisor("branch", b, c), d)):
        journal.append("running")

    assert journal == [
        *("a started", "b started", "c started", "d started", "running"),
        *("d stopped: shutdown", "c stopped: shutdown"),
        *("b stopped: shutdown", "a stopped: shutdown"),
    ]


async def test_a_child_that_does_not_start_stops_those_before_it_and_is_named() -> None:
    journal: list[str] = []
    a, b, c = diaries(journal, "a", "b", "c")
    bad = Child(BadStart).named("bad")

    with pytest.raises(StartFailed, match="root/branch/bad did not start") as caught:
        async with System(Supervisor("root", a, Supervisor("branch", b, bad), c)):
            pytest.fail("it started")

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.child == "root/branch/bad"
    assert journal == ["a started", "b started", "b stopped: shutdown", "a stopped: shutdown"]


async def test_an_actor_whose_start_lets_the_failed_start_of_another_through_is_named_itself() -> (
    None
):
    class Misled(Diary):
        async def on_start(self) -> None:
            raise StartFailed("another", "of no concern")

    with pytest.raises(StartFailed, match="root/Misled did not start"):
        async with running(Child(Misled)):
            pytest.fail("it started")


async def test_a_start_that_is_cancelled_stops_what_has_started() -> None:
    journal: list[str] = []
    [first] = diaries(journal, "first")

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await settle()
                scope.cancel()

            tasks.start_soon(cancel)
            async with running(first, Child(SlowStart, Door(), journal)):
                pytest.fail("it started")

    assert scope.cancelled_caught
    assert journal == ["first started", "slow's start was cancelled", "first stopped: shutdown"]


async def test_a_stop_during_a_restart_cancels_the_start() -> None:
    journal: list[str] = []
    door = Door(is_open=True)
    child = Child(SlowStart, door, journal)
    async with one(child) as (ref, _):
        door.shut()
        ref.tell(Crash())
        await settle()

    assert journal == ["slow started", "slow stopped: crash", "slow's start was cancelled"]


async def test_a_branch_has_all_the_time_that_its_children_need() -> None:
    branch = Supervisor("branch", Child(Diary))

    assert branch.terms.start_timeout == branch.terms.grace == float("inf")


# ---------------------------------------------------------------------- restarts


async def test_only_the_child_that_crashed_comes_back() -> None:
    journal: list[str] = []
    a, b, c = diaries(journal, "a", "b", "c")
    async with running(a, b, c) as system:
        system.ref(b).tell(Crash())
        await settle()

        lives = [await system.ref(each).ask(Incarnation()) for each in (a, b, c)]

    assert lives == [1, 2, 1]


@pytest.mark.parametrize(
    ("restart", "order", "comes_back"),
    [
        ("permanent", Crash(), True),
        ("permanent", Quit(), True),
        ("transient", Crash(), True),
        ("transient", Quit(), False),
        ("transient", Quit("tired"), False),
        ("temporary", Crash(), False),
        ("temporary", Quit(), False),
    ],
)
async def test_the_restart_policy_decides_who_comes_back(
    restart: Restart, order: Order, comes_back: bool
) -> None:
    child = Child(Diary).policy(restart=restart)
    async with running(child) as system:
        ref, events = system.ref(child), Events(system)
        ref.tell(order)
        await settle()

        assert ref.tell(Note("there?")) is comes_back
        assert (Restarted("root/Diary", 2) in events) is comes_back


async def test_a_ref_outlives_many_lives() -> None:
    async with one(Child(Diary)) as (ref, _):
        for life in range(1, 20):
            assert await ref.ask(Incarnation()) == life
            ref.tell(Crash())
            await settle()


async def test_a_restart_that_fails_is_tried_again() -> None:
    journal: list[str] = []
    child = Child(Fragile, [True, False, False, True], journal)
    async with one(child) as (ref, events):
        ref.tell(Crash())
        ref.tell(Note("kept"))
        await settle()

        assert await ref.ask(Notes()) == ["kept"]
        assert events[-1] == Restarted("root/Fragile", 4)

    assert journal[1:5] == [
        "fragile stopped: crash",
        "fragile failed",
        "fragile failed",
        "fragile started",
    ]


async def test_failed_restarts_are_charged() -> None:
    child = Child(Fragile, [True, False, False])

    with pytest.raises(RestartLimitReached) as caught:
        async with System(Supervisor("root", child, max_restarts=2)) as system:
            system.ref(child).tell(Crash())
            await anyio.sleep_forever()

    assert isinstance(caught.value.__cause__, OSError)


async def test_a_child_that_crashes_during_the_restart_of_another_waits_for_its_turn() -> None:
    journal: list[str] = []
    door = Door(is_open=True)
    slow = Child(SlowStart, door, journal)
    [quick] = diaries(journal, "quick")
    async with running(slow, quick) as system:
        journal.clear()
        door.shut()
        system.ref(slow).tell(Crash())
        await settle()
        system.ref(quick).tell(Crash())
        await settle()
        door.open()
        await settle()

        assert journal == [
            *("slow stopped: crash", "quick stopped: crash"),
            *("slow started", "quick started"),
        ]


# ---------------------------------------------------------------------- giving up


async def test_a_root_that_gives_up_cancels_the_body_and_raises_one_bare_error() -> None:
    journal: list[str] = []
    a, b = diaries(journal, "a", "b")
    events = Events()

    with pytest.raises(RestartLimitReached, match="root/b failed more than 2 times") as caught:
        async with System(Supervisor("root", a, b, max_restarts=2)) as system:
            events.watch(system)
            for _ in range(3):
                system.ref(b).tell(Crash("the last straw"))
                await settle()
            journal.append("not reached")
            await anyio.sleep_forever()

    assert str(caught.value.__cause__) == "the last straw"
    assert (caught.value.child, caught.value.restarts) == ("root/b", 2)
    assert GaveUp("root/b", 2, 5.0) in events
    assert journal[-1] == "a stopped: shutdown"


async def test_as_many_restarts_as_allowed_are_allowed() -> None:
    child = Child(Diary)
    async with System(Supervisor("root", child, max_restarts=2)) as system:
        for _ in range(2):
            system.ref(child).tell(Crash())
            await settle()

        assert await system.ref(child).ask(Incarnation()) == 3


async def test_a_branch_that_gives_up_is_restarted_whole() -> None:
    journal: list[str] = []
    a, b, outside = diaries(journal, "a", "b", "outside")
    branch = Supervisor("branch", a, b, max_restarts=0)
    async with System(Supervisor("root", outside, branch)) as system:
        events = Events(system)
        journal.clear()
        system.ref(a).tell(Crash())
        await settle()

        assert journal == [
            *("a stopped: crash", "b stopped: shutdown"),
            *("a started", "b started"),
        ]
        assert Restarted("root/branch", 2) in events
        assert await system.ref(a).ask(Incarnation()) == 2


async def test_a_ref_outlives_the_restart_of_its_branch() -> None:
    a, b = diaries([], "a", "b")
    branch = Supervisor("branch", Supervisor("inner", a), b, max_restarts=0)
    async with running(branch) as system:
        ref = system.ref(a)
        system.ref(b).tell(Crash())
        await settle()

        assert await ref.ask(Incarnation()) == 2
        assert ref == system.ref(a)


async def test_questions_to_the_children_of_a_branch_that_restarts_fail_at_once() -> None:
    journal, door = list[str](), Door(is_open=True)
    [bad] = diaries(journal, "bad")
    slow = Child(SlowStart, door, journal)
    async with running(Supervisor("branch", slow, bad, max_restarts=0)) as system:
        ref = system.ref(bad)
        door.shut()
        ref.tell(Crash())
        await settle()

        with pytest.raises(NotHandled):
            await ref.ask(Notes(), timeout=3600)
        door.open()
        await settle()
        assert await ref.ask(Notes()) == []


async def test_giving_up_goes_up_the_tree() -> None:
    journal: list[str] = []
    a, outside = diaries(journal, "a", "outside")
    inner = Supervisor("inner", a, max_restarts=0)
    outer = Supervisor("outer", inner, max_restarts=0)
    events = Events()

    with pytest.raises(RestartLimitReached, match="root/outer failed") as caught:
        async with System(Supervisor("root", outside, outer, max_restarts=0)) as system:
            events.watch(system)
            system.ref(a).tell(Crash())
            await anyio.sleep_forever()

    causes = [caught.value.__cause__]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert [type(cause).__name__ for cause in causes] == [
        "RestartLimitReached",
        "RestartLimitReached",
        "ValueError",
        "NoneType",
    ]
    assert [event.path for event in events if isinstance(event, GaveUp)] == [
        "root/outer/inner/a",
        "root/outer/inner",
        "root/outer",
    ]


async def test_children_that_crash_while_their_supervisor_gives_up_stay_down() -> None:
    class Clumsy(Diary):
        async def on_stop(self, reason: object) -> None:
            raise OSError("stumbled")

    bad, clumsy = Child(Diary), Child(Clumsy)
    events = Events()

    with pytest.raises(RestartLimitReached, match="root/Diary"):
        async with System(Supervisor("root", clumsy, bad, max_restarts=0)) as system:
            events.watch(system)
            system.ref(bad).tell(Crash())
            await anyio.sleep_forever()

    assert "root/Clumsy 1 crash" in events.kinds()
    assert not [event for event in events if isinstance(event, Restarted)]


async def test_an_error_of_the_body_stops_the_tree_and_goes_on() -> None:
    journal: list[str] = []

    with pytest.raises(OSError, match="of the body"):
        async with running(*diaries(journal, "a")):
            raise OSError("of the body")

    assert journal == ["a started", "a stopped: shutdown"]


# ---------------------------------------------------------------------- foreign cancellations


@pytest.mark.asyncio_only
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_supervisor_that_is_cancelled_natively_stops_its_children_and_comes_back(
    times: int,
) -> None:
    journal: list[str] = []
    a, b = diaries(journal, "a", "b")
    stubborn = Child(SlowStop, door := Door(), journal)
    async with running(Supervisor("branch", a, stubborn, b)) as system:
        journal.clear()
        for _ in range(times):
            task_named("root/branch").cancel()
            await settle()
        door.open()
        await settle()

        assert journal == [
            *("b stopped: shutdown", "slow stop", "a stopped: shutdown"),
            *("a started", "b started"),
        ]
        assert await system.ref(b).ask(Incarnation()) == 2


class SlowStop(Actor):
    """Stops when its door is open."""

    def __init__(self, door: Door, journal: list[str]) -> None:
        self._door = door
        self._journal = journal

    async def on_stop(self, reason: object) -> None:
        await self._door.passed()
        self._journal.append("slow stop")


class Next(Ask[str]):
    """Ask the other one."""

    other: Ref[Order]


class Asking(Actor[Next]):
    @on(Next)
    async def next(self, message: Next) -> str:
        return "/".join(await message.other.ask(Notes()))


async def test_actors_ask_each_other() -> None:
    diary, asking = Child(Diary), Child(Asking)
    async with running(diary, asking) as system:
        system.ref(diary).tell(Note("a"))
        system.ref(diary).tell(Note("b"))

        assert await system.ref(asking).ask(Next(system.ref(diary))) == "a/b"


async def test_a_pool_in_a_tree_stops_in_its_turn() -> None:
    journal: list[str] = []
    pool = Pool("pool")
    before, after = diaries(journal, "before", "after")
    [inside] = diaries(journal, "inside")
    async with running(before, pool, after) as system:
        system.spawn(pool, inside)
        await settle()

    assert journal[-3:] == [
        "after stopped: shutdown",
        "inside stopped: shutdown",
        "before stopped: shutdown",
    ]


# ---------------------------------------------------------------------- refs


async def test_a_ref_outlives_the_restart_of_a_supervisor_above_it() -> None:
    child = Child(Diary, name="kept").named("kept")
    branch = Supervisor("branch", child, max_restarts=0)

    async with System(Supervisor("root", branch)) as system:
        ref = system.ref(child)
        ref.tell(Crash())
        await settle()

        assert system.ref(child) == ref
        assert await ref.ask(Incarnation()) == 2


async def test_the_ref_of_a_child_that_has_ended_takes_nothing() -> None:
    child = Child(Diary, name="gone").named("gone").policy(restart="temporary")

    async with running(child) as system:
        ref = system.ref(child)
        ref.tell(Quit())
        await settle()

        assert system.ref(child) == ref
        assert not ref.tell(Note("too late"))
