"""SystemExit and KeyboardInterrupt in actors: an ordered stop, and the bare error in the host."""

from collections.abc import Callable
from typing import TypeAlias

import anyio
import pytest

from herdwick.runtime import (
    Actor,
    Child,
    Context,
    Dynamic,
    Event,
    Exit,
    Exited,
    GaveUp,
    Message,
    Policy,
    Pool,
    Strategy,
    Supervisor,
    System,
    on,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    BadStart,
    Crash,
    Diary,
    Door,
    Events,
    Hang,
    Help,
    Incarnation,
    Leave,
    Note,
    Quit,
    SlowStart,
    running,
)

Ending: TypeAlias = SystemExit | KeyboardInterrupt
ENDINGS = [lambda: SystemExit(3), KeyboardInterrupt, lambda: SystemExit("with a text")]
WHERE = ["constructor", "on_start", "handler", "on_stop", "helper", "second on_start"]


class Fall(Message):
    """Do what ends the program, if it is to come from the handler."""


class Fatal(Actor[Fall | Crash]):
    """Ends the program at one point of its life."""

    def __init__(self, where: str, error: Callable[[], Ending]) -> None:
        self._where = where
        self._error = error
        self._raise_at("constructor")

    async def on_start(self) -> None:
        self._raise_at("on_start")
        if self.ctx.incarnation == 2:
            self._raise_at("second on_start")

    @on(Fall)
    async def fall(self, message: Fall) -> None:
        if self._where == "helper":
            self.ctx.start_soon(self._help)
        if self._where == "on_stop":
            self.ctx.stop()
        if self._where == "second on_start":
            raise ValueError("boom")
        self._raise_at("handler")

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise ValueError(message.text)

    async def on_stop(self, reason: Exit) -> None:
        self._raise_at("on_stop")

    async def _help(self) -> None:
        self._raise_at("helper")

    def _raise_at(self, where: str) -> None:
        if self._where == where:
            raise self._error()


def last_lines(journal: list[str]) -> list[str]:
    return [line for line in journal if "stopped" in line]


# ---------------------------------------------------------------------- wherever it comes from


@pytest.mark.parametrize("error", ENDINGS)
@pytest.mark.parametrize("where", WHERE)
async def test_it_stops_everything_in_reverse_and_leaves_the_host_bare(
    where: str, error: Callable[[], Ending]
) -> None:
    journal: list[str] = []
    made: list[Ending] = []

    def make() -> Ending:
        made.append(error())
        return made[-1]

    first, second = (Child(Diary, journal, name).named(name) for name in ("first", "second"))
    fatal = Child(Fatal, where, make)

    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught:
        async with running(first, Supervisor("branch", second, fatal)) as system:
            system.ref(fatal).tell(Fall())
            await anyio.sleep_forever()

    assert caught.value is made[0]
    assert last_lines(journal) == ["second stopped: shutdown", "first stopped: shutdown"]


@pytest.mark.parametrize("where", WHERE)
async def test_it_does_so_from_the_child_of_a_pool(where: str) -> None:
    journal: list[str] = []
    first = Child(Diary, journal, "first").named("first")
    pool = Dynamic("pool", Fatal, restart="permanent")

    with pytest.raises(SystemExit) as caught:
        async with running(first, pool) as system:
            spec = pool.child("1", where, lambda: SystemExit(3))
            system.spawn(pool, spec).ref().tell(Fall())
            await anyio.sleep_forever()

    assert caught.value.code == 3
    assert last_lines(journal) == ["first stopped: shutdown"]


@pytest.mark.parametrize("error", ENDINGS)
async def test_it_does_so_from_a_function(error: Callable[[], Ending]) -> None:
    journal: list[str] = []

    async def leave(ctx: Context[Note]) -> None:
        await ctx.receive()
        raise error()

    first, function = Child(Diary, journal, "first").named("first"), Child(leave)

    with pytest.raises((SystemExit, KeyboardInterrupt)):
        async with running(first, function) as system:
            system.ref(function).tell(Note("go"))
            await anyio.sleep_forever()

    assert last_lines(journal) == ["first stopped: shutdown"]


async def test_it_is_the_crash_of_the_actor_that_raised_it() -> None:
    child, events = Child(Diary), Events()

    with pytest.raises(SystemExit):
        async with running(child) as system:
            events.watch(system)
            system.ref(child).tell(Leave())
            await anyio.sleep_forever()

    first = next(event for event in events if isinstance(event, Exited))
    assert (first.path, first.reason) == ("root/Diary", Exit("crash", "SystemExit: 3"))


async def test_graces_and_hooks_of_the_others_are_kept() -> None:
    journal: list[str] = []

    class Careful(Diary):
        async def on_stop(self, reason: Exit) -> None:
            await anyio.sleep(4)
            await super().on_stop(reason)

    careful, fatal = Child(Careful, journal).policy(grace=7), Child(Diary).named("fatal")
    begun = 0.0

    with pytest.raises(SystemExit):
        async with running(careful, fatal) as system:
            begun = anyio.current_time()
            system.ref(careful).tell(Hang())
            system.ref(fatal).tell(Leave())
            await anyio.sleep_forever()

    assert anyio.current_time() - begun == pytest.approx(7 + 4)
    assert journal[-1] == "diary stopped: killed"


async def test_the_stop_that_it_begins_has_the_deadline_of_any_other() -> None:
    stuck, fatal = Child(Diary).policy(grace=float("inf")), Child(Diary).named("fatal")
    begun = 0.0

    with pytest.raises(SystemExit):
        async with System(Supervisor("root", stuck, fatal), stop_timeout=6) as system:
            begun = anyio.current_time()
            system.ref(stuck).tell(Hang())
            system.ref(fatal).tell(Leave())
            await anyio.sleep_forever()

    assert anyio.current_time() - begun == pytest.approx(6)


# ---------------------------------------------------------------------- whatever else goes on


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_of_two_at_once_the_host_gets_one(strategy: Strategy) -> None:
    a, b = (Child(Fatal, "handler", lambda: SystemExit(3)).named(name) for name in "ab")

    with pytest.raises(SystemExit) as caught:
        async with System(Supervisor("root", a, b, strategy=strategy, max_restarts=9)) as system:
            system.ref(a).tell(Fall())
            system.ref(b).tell(Fall())
            await anyio.sleep_forever()

    assert caught.value.code == 3


async def test_of_two_one_after_the_other_the_host_gets_the_first() -> None:
    late = Child(Fatal, "on_stop", KeyboardInterrupt).named("late")
    first = Child(Fatal, "handler", lambda: SystemExit(3)).named("first")

    with pytest.raises(SystemExit):
        async with running(late, first) as system:
            system.ref(first).tell(Fall())
            await anyio.sleep_forever()


async def test_of_two_in_one_actor_the_host_gets_the_first() -> None:
    class Twice(Diary):
        async def on_stop(self, reason: Exit) -> None:
            raise KeyboardInterrupt

    child = Child(Twice)

    with pytest.raises(SystemExit):
        async with running(child) as system:
            system.ref(child).tell(Leave())
            await anyio.sleep_forever()


async def test_a_hook_may_raise_it_while_everything_stops() -> None:
    journal: list[str] = []
    first = Child(Diary, journal, "first").named("first")

    with pytest.raises(SystemExit):
        async with running(first, Child(Fatal, "on_stop", lambda: SystemExit(3))):
            pass

    assert last_lines(journal) == ["first stopped: shutdown"]


async def test_it_wins_over_an_error_of_the_body() -> None:
    with pytest.raises(SystemExit) as caught:
        async with running(Child(Fatal, "on_stop", lambda: SystemExit(3))):
            raise OSError("of the body")

    assert isinstance(caught.value.__context__, OSError)


async def test_it_wins_over_a_cancellation_of_the_host() -> None:
    with pytest.raises(SystemExit), anyio.move_on_after(1):
        async with running(Child(Fatal, "on_stop", lambda: SystemExit(3))):
            await anyio.sleep_forever()


async def test_it_wins_over_a_cancellation_of_the_start() -> None:
    fatal = Child(Fatal, "on_stop", lambda: SystemExit(3))

    with pytest.raises(SystemExit), anyio.move_on_after(1):
        async with running(fatal, Child(SlowStart, Door())):
            pytest.fail("it started")


@pytest.mark.parametrize("deep", [False, True], ids=["root", "branch"])
async def test_nobody_comes_back_once_it_was_raised(deep: bool) -> None:
    journal: list[str] = []
    child = Child(Diary, journal)

    with pytest.raises(SystemExit):
        async with running(Supervisor("branch", child) if deep else child) as system:
            system.ref(child).tell(Leave())
            await anyio.sleep_forever()

    assert journal == ["diary started", "diary stopped: crash"]


async def test_nobody_of_a_pool_comes_back_once_it_was_raised() -> None:
    journal: list[str] = []
    rooms = Dynamic("rooms", Diary, restart="permanent")

    with pytest.raises(SystemExit):
        async with running(rooms) as system:
            (await system.start(rooms, journal)).tell(Leave())
            await anyio.sleep_forever()

    assert journal == ["diary started", "diary stopped: crash"]


async def test_a_restart_that_raised_it_is_not_tried_again() -> None:
    starts: list[int] = []

    class Leaving(Diary):
        async def on_start(self) -> None:
            starts.append(self.ctx.incarnation)
            if self.ctx.incarnation > 1:
                raise SystemExit(3)

    child = Child(Leaving)

    with pytest.raises(SystemExit):
        async with running(child) as system:
            system.ref(child).tell(Crash())
            await anyio.sleep_forever()

    assert starts == [1, 2]


async def test_it_wins_over_a_start_that_failed() -> None:
    fatal = Child(Fatal, "on_stop", lambda: SystemExit(3))

    with pytest.raises(SystemExit):
        async with running(fatal, Child(BadStart)):
            pytest.fail("it started")


async def test_it_ends_the_starts_of_those_that_still_start() -> None:
    journal: list[str] = []
    slow = Child(SlowStart, Door(), journal)

    class Early(Diary):
        async def on_start(self) -> None:
            self.ctx.ref.tell(Leave())

    with pytest.raises(SystemExit):
        async with running(Supervisor("branch", Child(Early), slow)):
            pytest.fail("it started")

    assert journal == ["slow's start was cancelled"]


async def test_it_ends_a_restart_that_is_under_way() -> None:
    journal: list[str] = []
    door = Door(is_open=True)
    slow, fatal = Child(SlowStart, door, journal), Child(Diary).named("fatal")

    with pytest.raises(SystemExit):
        async with running(slow, fatal) as system:
            door.shut()
            system.ref(slow).tell(Crash())
            await settle()
            system.ref(fatal).tell(Leave())
            await anyio.sleep_forever()

    assert journal[-1] == "slow's start was cancelled"


async def test_the_body_is_cancelled_and_may_clean_up() -> None:
    journal: list[str] = []
    child = Child(Diary, journal)

    with pytest.raises(SystemExit):
        async with running(child, Child(Fatal, "handler", lambda: SystemExit(3))) as system:
            fatal = next(each for each in system.tree() if each.name == "Fatal")
            assert fatal.state == "running"
            system.ref(child).tell(Leave())
            try:
                await anyio.sleep_forever()
            finally:
                journal.append("the body cleans up")

    assert "the body cleans up" in journal


async def test_a_second_system_in_the_process_goes_on() -> None:
    child = Child(Diary)
    async with running(child) as survivor:
        with pytest.raises(SystemExit):
            async with running(child) as doomed:
                doomed.ref(child).tell(Leave())
                await anyio.sleep_forever()

        assert await survivor.ref(child).ask(Incarnation()) == 1


# ---------------------------------------------------------------------- contained


@pytest.mark.parametrize("order", [Leave(), Help(leave=True)], ids=["handler", "helper"])
async def test_contained_it_is_a_crash_like_any_other(order: Leave | Help) -> None:
    child = Child(Diary).under("child", Policy(contain_exits=True))
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(order)
        await settle()

        assert events.last_exit.reason == Exit("crash", "SystemExit: 3")
        assert await system.ref(child).ask(Incarnation()) == 2


@pytest.mark.parametrize("error", ENDINGS)
@pytest.mark.parametrize("where", ["constructor", "on_start", "on_stop"])
async def test_contained_it_harms_nobody_wherever_it_comes_from(
    where: str, error: Callable[[], Ending]
) -> None:
    pool, other = Pool("pool"), Child(Diary)
    policy = Policy(contain_exits=True, restart="temporary")
    async with running(pool, other) as system:
        events = Events(system)
        spec = Child(Fatal, where, error).under("fatal", policy)
        system.spawn(pool, spec).ref().tell(Fall())
        await settle()

        assert events.kinds() == ["root/pool/fatal 1 crash"]
        assert await system.ref(other).ask(Incarnation()) == 1


async def test_contained_in_one_actor_it_is_not_in_another() -> None:
    contained = Child(Diary).under("contained", Policy(contain_exits=True))
    plain = Child(Diary)

    with pytest.raises(SystemExit):
        async with running(contained, plain) as system:
            system.ref(contained).tell(Leave())
            await settle()
            system.ref(plain).tell(Leave())
            await anyio.sleep_forever()


async def test_a_normal_end_of_an_actor_ends_no_program() -> None:
    child, other = Child(Diary).policy(restart="temporary"), Child(Diary).named("other")
    async with running(child, other) as system:
        system.ref(child).tell(Quit())
        await settle()

        assert await system.ref(other).ask(Incarnation()) == 1


async def test_a_child_of_a_pool_that_exits_has_not_been_given_up() -> None:
    diaries = Dynamic("diaries", Diary, restart="permanent")
    told: list[Event] = []
    with pytest.raises(SystemExit):
        async with running(diaries) as system:
            system.events.subscribe(told.append)
            (await system.start(diaries)).tell(Leave())
            await anyio.sleep(1)

    assert [event for event in told if isinstance(event, GaveUp)] == []
