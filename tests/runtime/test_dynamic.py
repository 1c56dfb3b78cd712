"""Pools: children that come and go, each with a budget of its own."""

import contextvars

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    Actor,
    ActorStopped,
    Ask,
    Child,
    Crashed,
    Dynamic,
    GaveUp,
    NotFound,
    Pool,
    StartFailed,
    on,
)
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
    Quit,
    SlowStart,
    running,
    settle,
    task_named,
)

variable = contextvars.ContextVar("variable", default="the system's")


class Where(Ask[str]):
    """Which value has the context variable?"""


class Placed(Actor[Where]):
    @on(Where)
    async def where(self, message: Where) -> str:
        return variable.get()


async def test_a_child_is_started_from_typed_arguments_and_ready() -> None:
    journal: list[str] = []
    rooms = Dynamic("rooms", Diary)
    async with running(rooms) as system:
        ref = await system.start(rooms, journal, name="lobby")

        assert journal == ["lobby started"]
        assert ref.path == "root/rooms/1"
        assert await ref.ask(Notes()) == []


async def test_two_systems_that_share_a_spec_number_their_children_apart() -> None:
    rooms = Dynamic("rooms", Diary)

    for _ in range(2):
        async with running(rooms) as system:
            refs = [await system.start(rooms), await system.start(rooms)]

            assert [ref.path for ref in refs] == ["root/rooms/1", "root/rooms/2"]


async def test_a_start_that_fails_names_the_child_and_leaves_no_trace() -> None:
    rooms = Dynamic("rooms", BadStart)
    async with running(rooms) as system:
        with pytest.raises(StartFailed, match="root/rooms/1 did not start") as caught:
            await system.start(rooms)

        assert isinstance(caught.value.__cause__, OSError)
        assert len(system.pool(rooms)) == 0


async def test_children_start_concurrently() -> None:
    slow, quick = Dynamic("slow", SlowStart), Dynamic("quick", Diary)
    door, journal = Door(), list[str]()
    async with running(slow, quick) as system, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: system.start(slow, door, journal))
        await settle()

        await system.start(quick, journal, name="quick")
        door.open()
        await settle()

        assert journal == ["quick started", "slow started"]


async def test_a_start_over_its_time_fails() -> None:
    pool, journal = Pool("pool"), list[str]()
    child = Child(SlowStart, Door(), journal).policy(restart="temporary", start_timeout=0)
    async with running(pool) as system:
        slot = system.spawn(pool, child)
        await slot.gone.wait()

        assert journal == ["slow's start was cancelled"]
        assert len(system.pool(pool)) == 0


async def test_a_restart_over_its_time_fails_and_is_tried_again() -> None:
    pool, journal, door = Pool("pool", max_restarts=2), list[str](), Door(is_open=True)
    child = Child(SlowStart, door, journal).policy(start_timeout=0.01)
    async with running(pool) as system:
        events, slot = Events(system), system.spawn(pool, child)
        await settle()
        door.shut()
        slot.ref().tell(Crash())
        await slot.gone.wait()

        assert journal[2:] == ["slow's start was cancelled"] * 2
        assert GaveUp("root/pool/SlowStart", 2, 5.0) in events


async def test_cancelling_the_wait_for_a_start_leaves_the_child_running() -> None:
    slow, door, journal = Dynamic("slow", SlowStart), Door(), list[str]()
    async with running(slow) as system:
        with anyio.move_on_after(0):
            await system.start(slow, door, journal)
        door.open()
        await settle()

        assert journal == ["slow started"]
        assert len(system.pool(slow)) == 1


async def test_a_child_is_temporary_unless_told_otherwise() -> None:
    rooms, lasting = Dynamic("rooms", Diary), Dynamic("lasting", Diary, restart="transient")
    async with running(rooms, lasting) as system:
        gone, stays = await system.start(rooms), await system.start(lasting)
        for ref in (gone, stays):
            with pytest.raises(Crashed):
                await ref.ask(Crash())
        await settle()

        assert gone.tell(Note("there?")) is False
        assert await stays.ask(Incarnation()) == 2


async def test_one_bad_child_uses_up_its_own_budget_only() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent", max_restarts=2)
    async with running(rooms) as system:
        bad, good = await system.start(rooms), await system.start(rooms)
        events = Events(system)
        good.tell(Crash())
        for _ in range(3):
            bad.tell(Crash())
            await settle()

        assert GaveUp("root/rooms/1", 2, 5.0) in events
        assert bad.tell(Note("there?")) is False
        assert await good.ask(Incarnation()) == 2
        assert len(system.pool(rooms)) == 1


async def test_a_child_that_comes_back_keeps_its_queue() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent")
    async with running(rooms) as system:
        ref = await system.start(rooms)
        ref.tell(Crash())
        ref.tell(Note("kept"))
        await settle()

        assert await ref.ask(Notes()) == ["kept"]


async def test_a_permanent_child_that_stops_itself_comes_back_with_its_queue() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent")
    async with running(rooms) as system:
        ref = await system.start(rooms)
        ref.tell(Quit())
        ref.tell(Note("kept"))
        await settle()

        assert await ref.ask(Notes()) == ["kept"]


async def test_no_more_than_max_children_live_at_once() -> None:
    rooms = Dynamic("rooms", Diary, max_children=2)
    async with running(rooms) as system:
        first = await system.start(rooms)
        await system.start(rooms)

        with pytest.raises(StartFailed, match="there are 2 children already"):
            await system.start(rooms)
        await first.ask(Quit())
        await settle()
        await system.start(rooms)


async def test_two_children_of_one_name_are_refused_until_the_first_is_gone() -> None:
    pool, child = Pool("pool"), Child(Diary).policy(restart="temporary")
    async with running(pool) as system:
        slot = system.spawn(pool, child)
        with pytest.raises(StartFailed, match="there is one of that name already"):
            system.spawn(pool, child.policy(grace=1))
        slot.ref().tell(Quit())
        await slot.gone.wait()

        system.spawn(pool, child)


async def test_all_children_stop_at_once() -> None:
    rooms, journal = Dynamic("rooms", Diary), list[str]()
    async with running(rooms) as system:
        for number in range(3):
            await system.start(rooms, journal, name=f"{number}")

    assert sorted(journal[3:]) == [f"{number} stopped: shutdown" for number in range(3)]


async def test_a_pool_can_be_emptied_and_goes_on() -> None:
    rooms = Dynamic("rooms", Diary, restart="permanent")
    async with running(rooms) as system:
        events, ref = Events(system), await system.start(rooms)

        await system.pool(rooms).stop_children()

        assert len(system.pool(rooms)) == 0
        assert ref.tell(Note("there?")) is False
        assert events.kinds() == ["root/rooms/1 1 shutdown"]
        await (await system.start(rooms)).ask(Notes())


async def test_a_crash_at_the_moment_of_the_stop_brings_nobody_back() -> None:
    pool = Pool("pool")
    async with running(pool) as system:
        slot = system.spawn(pool, Child(Diary))
        await settle()
        life, events = slot.life, Events(system)
        assert life is not None
        system.events.subscribe(lambda event: life.stop())  # it has crashed, and is not yet over

        slot.ref().tell(Crash())
        await slot.gone.wait()

        assert events.kinds() == ["root/pool/Diary 1 crash"]
        assert len(system.pool(pool)) == 0


async def test_a_pool_that_is_not_up_starts_nothing() -> None:
    pool, elsewhere = Pool("pool"), Pool("elsewhere")
    async with running(pool) as system:
        supervision = system.pool(pool)

        with pytest.raises(NotFound, match="elsewhere"):
            system.spawn(elsewhere, Child(Diary))

    with pytest.raises(ActorStopped):
        supervision.spawn(Child(Diary))
    with pytest.raises(ActorStopped):
        system.spawn(pool, Child(Diary))


async def test_a_child_that_starts_another_while_all_stop_is_refused() -> None:
    pool, journal = Pool("pool"), list[str]()
    async with running(pool) as system:

        class Last(Actor):
            async def on_stop(self, reason: object) -> None:
                with pytest.raises(ActorStopped):
                    system.spawn(pool, Child(Diary))
                journal.append("refused")

        system.spawn(pool, Child(Last))
        await settle()

    assert journal == ["refused"]


async def test_a_child_runs_in_its_supervisors_context_unless_given_one() -> None:
    pool, placed = Pool("pool"), Dynamic("placed", Placed)
    async with running(pool, placed) as system:
        variable.set("the caller's")
        own = await system.start(placed)
        given = system.spawn(pool, Child(Placed), context=contextvars.copy_context())

        assert await own.ask(Where()) == "the system's"
        assert await given.ref().ask(Where()) == "the caller's"


async def test_a_child_that_comes_back_runs_in_its_supervisors_context_too() -> None:
    class Changing(Placed):
        async def on_start(self) -> None:
            self.before = variable.get()
            variable.set("changed")

        @on(Where)
        async def where(self, message: Where) -> str:
            return f"{self.before} {self.ctx.incarnation}"

    pool, child = Pool("pool"), Child(Changing)
    async with running(pool) as system:
        slot = system.spawn(pool, child)
        await settle()
        assert slot.life is not None
        slot.life.kill()
        await settle()

        assert await slot.ref().ask(Where()) == "the system's 2"


@pytest.mark.heavy
async def test_ten_thousand_children_start_answer_and_stop() -> None:
    rooms = Dynamic("rooms", Diary)
    async with running(rooms) as system:
        pool = system.pool(rooms)
        slots = [pool.spawn(rooms.child(f"{n}")) for n in range(10_000)]
        for slot in slots:
            slot.ref().tell(Note("hello"))

        assert await slots[-1].ref().ask(Notes(), timeout=30) == ["hello"]
        assert len(pool) == 10_000
        await pool.stop_children()
        assert len(pool) == 0

    assert all(slot.gone for slot in slots)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_pool_that_is_cancelled_natively_stops_its_children_and_comes_back(
    times: int,
) -> None:
    rooms, journal = Dynamic("rooms", Diary, restart="permanent"), list[str]()
    async with running(rooms) as system:
        ref = await system.start(rooms, journal)
        ref.tell(Note("x"))
        for _ in range(times):
            task_named("root/rooms").cancel()
        await settle()

        assert journal == ["diary started", "diary stopped: shutdown"]
        assert len(system.pool(rooms)) == 0
        await system.start(rooms)


@pytest.mark.asyncio_only
async def test_a_pool_that_is_cancelled_while_its_children_stop_waits_for_them() -> None:
    pool, child = Pool("pool"), Child(Diary).policy(grace=0.05)
    journal: list[str] = []
    async with running(pool) as system:
        slot = system.spawn(pool, child)
        slot.ref().tell(Hang())
        slot.gone.then(lambda: journal.append("gone"))
        await settle()
        exits = Events(system)
        for _ in range(3):
            task_named("root/pool").cancel()
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
        await slot.gone.wait()
        await settle()

        assert journal == ["gone"]
        assert [exit.split()[0] for exit in exits.kinds()] == ["root/pool/Diary", "root/pool"]
