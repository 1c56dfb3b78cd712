"""`system.get` and `system.find`: one actor per arguments."""

import asyncio
import sys

import anyio
import pytest

from herdwick.runtime import (
    Actor,
    ActorStopped,
    Child,
    Down,
    Dynamic,
    Exit,
    NotFound,
    Pool,
    Ref,
    Slot,
    StartFailed,
    Supervisor,
    System,
    TooManyChildren,
    on,
    watch,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    BadStart,
    Crash,
    Diary,
    Door,
    Incarnation,
    Note,
    Notes,
    Quit,
    SlowStart,
    running,
)


class Room(Actor[Note | Crash | Quit]):
    """Is known by its name and its size."""

    def __init__(self, name: str | int, size: int = 10) -> None:
        self.name = name
        self.size = size

    @on(Note)
    async def note(self, message: Note) -> None: ...

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise ValueError(message.text)

    @on(Quit)
    async def quit(self, message: Quit) -> None:
        self.ctx.stop()


ROOMS = Dynamic("rooms", Room)


# ---------------------------------------------------------------------- the same actor


async def test_the_same_arguments_give_the_same_actor() -> None:
    async with running(ROOMS) as system:
        first = await system.get(ROOMS, "lobby")

        assert await system.get(ROOMS, "lobby") == first
        assert await system.get(ROOMS, "kitchen") != first
        assert system.count_children(ROOMS).active == 2


async def test_arguments_are_the_same_however_they_are_passed() -> None:
    async with running(ROOMS) as system:
        first = await system.get(ROOMS, "lobby")

        assert await system.get(ROOMS, name="lobby") == first
        assert await system.get(ROOMS, "lobby", 10) == first
        assert await system.get(ROOMS, size=10, name="lobby") == first
        assert await system.get(ROOMS, "lobby", 11) != first


async def test_arguments_of_any_name_are_the_same_in_any_order() -> None:
    class Open(Actor[Note]):
        def __init__(self, *args: object, **kwargs: object) -> None: ...

        @on(Note)
        async def note(self, message: Note) -> None: ...

    pool = Dynamic("pool", Open)
    async with running(pool) as system:
        first = await system.get(pool, a=1, b=2)

        assert await system.get(pool, b=2, a=1) == first
        assert await system.get(pool, ("a", 1), ("b", 2)) != first


async def test_however_many_get_at_once_one_actor_is_started() -> None:
    journal: list[str] = []

    class Known(SlowStart):
        def __init__(self, name: str) -> None:
            super().__init__(door, journal, name)

    door, refs = Door(), list[object]()
    pool = Dynamic("pool", Known)
    async with running(pool) as system, anyio.create_task_group() as tasks:

        async def get() -> None:
            refs.append(await system.get(pool, "lobby"))

        for _ in range(20):
            tasks.start_soon(get)
        await settle()
        assert refs == []
        door.open()
        await settle()

        assert len(refs) == 20
        assert len(set(refs)) == 1
        assert journal == ["lobby started"]


async def test_one_that_restarts_is_the_same_actor() -> None:
    pool = Dynamic("pool", Diary, restart="permanent")
    async with running(pool) as system:
        first = await system.get(pool, name="mine")
        first.tell(Crash())
        await settle()

        assert await system.get(pool, name="mine") == first
        assert await first.ask(Incarnation()) == 2


async def test_one_that_is_passive_is_the_same_actor_and_keeps_its_name() -> None:
    pool = Dynamic("rooms", Room, idle_timeout=10)
    async with running(pool) as system:
        passive = await system.get(pool, 1)
        await anyio.sleep(11)
        other = await system.get(pool, "1")
        passive.tell(Note("wake up"))
        await settle()

        assert await system.get(pool, 1) == passive != other
        assert passive.path != other.path
        assert system.count_children(pool).active == 2


async def test_one_that_stops_is_waited_for_and_followed_by_a_new_one() -> None:
    door = Door()

    class SlowEnd(Diary):
        async def on_stop(self, reason: Exit) -> None:
            await door.passed()

    pool = Dynamic("pool", SlowEnd)
    refs: list[object] = []
    async with running(pool) as system, anyio.create_task_group() as tasks:
        first = await system.get(pool, name="mine")
        await first.ask(Quit())

        async def get() -> None:
            refs.append(await system.get(pool, name="mine"))

        tasks.start_soon(get)
        tasks.start_soon(get)
        await settle()
        assert refs == []
        door.open()
        await settle()

        assert len(set(refs)) == 1
        assert refs[0] != first


async def test_started_children_are_not_those_that_one_gets() -> None:
    async with running(ROOMS) as system:
        started = await system.start(ROOMS, "lobby")

        assert system.find(ROOMS, "lobby") is None
        assert await system.get(ROOMS, "lobby") != started


# ---------------------------------------------------------------------- find


async def test_find_gives_what_is_there_and_starts_nothing() -> None:
    async with running(ROOMS) as system:
        before = system.find(ROOMS, "lobby")
        ref = await system.get(ROOMS, "lobby")

        assert before is None
        assert system.find(ROOMS, name="lobby") == ref
        assert system.find(ROOMS, "kitchen") is None
        assert system.count_children(ROOMS).specs == 1


async def test_find_gives_nothing_of_one_that_ends() -> None:
    door = Door()

    class SlowEnd(Diary):
        async def on_stop(self, reason: Exit) -> None:
            await door.passed()

    pool = Dynamic("pool", SlowEnd)
    async with running(pool) as system:
        ref = await system.get(pool, name="mine")
        await ref.ask(Quit())

        assert system.find(pool, name="mine") is None
        door.open()


async def test_a_name_is_free_when_others_are_told_of_the_end() -> None:
    pool, child = Pool("pool"), Child(Diary).policy(restart="temporary")
    spawned: list[Slot] = []
    async with running(pool) as system:
        ref = system.spawn(pool, child).ref()
        await settle()

        def again(down: Down) -> None:
            assert system.which_children(pool) == ()
            spawned.append(system.spawn(pool, child))

        watch(ref, again)
        ref.tell(Quit())
        await settle()

        assert [slot.state for slot in spawned] == ["running"]


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "part"),
    [("lobby", "lobby"), (7, "7"), ("a/b", "1"), ("", "1"), ("x" * 101, "1"), ("a\nb", "1")],
)
async def test_it_is_named_by_its_arguments_where_they_can_stand_in_a_path(
    name: str | int, part: str
) -> None:
    async with running(ROOMS) as system:
        ref = await system.get(ROOMS, name)

        assert ref.path == f"root/rooms/{part}"


async def test_several_arguments_make_one_name() -> None:
    async with running(ROOMS) as system:
        assert (await system.get(ROOMS, "lobby", 20)).path == "root/rooms/lobby,20"


async def test_arguments_of_one_text_are_two_actors_of_two_names() -> None:
    async with running(ROOMS) as system:
        number, text = await system.get(ROOMS, 1), await system.get(ROOMS, "1")

        assert number != text
        assert number.path != text.path


# ---------------------------------------------------------------------- what goes wrong


async def test_an_argument_that_cannot_be_hashed_is_refused() -> None:
    pool = Dynamic("diaries", Diary)
    async with running(pool) as system:
        with pytest.raises(TypeError, match="'diaries' finds a child by its arguments"):
            await system.get(pool, ["a journal"])
        assert (await system.start(pool, ["a journal"])).path == "root/diaries/1"


async def test_a_start_that_fails_fails_all_who_wait_and_the_next_one_tries_again() -> None:
    door, errors = Door(), list[BaseException]()

    class Unlucky(Diary):
        async def on_start(self) -> None:
            self.journal.append(self.name)
            await door.passed()
            raise OSError("no disk")

    pool = Dynamic("pool", Unlucky)
    async with running(pool) as system, anyio.create_task_group() as tasks:

        async def get() -> None:
            with pytest.raises(StartFailed, match="root/pool/mine did not start") as caught:
                await system.get(pool, name="mine")
            errors.append(caught.value)

        for _ in range(3):
            tasks.start_soon(get)
        await settle()
        door.open()
        await settle()

        assert len(errors) == 3
        await get()
        assert len(errors) == 4


async def test_a_start_that_failed_leaves_nothing_to_find() -> None:
    pool = Dynamic("pool", BadStart)
    async with running(pool) as system:
        with pytest.raises(StartFailed) as caught:
            await system.get(pool, name="mine")

        assert isinstance(caught.value.__cause__, OSError)
        assert system.find(pool, name="mine") is None
        assert system.which_children(pool) == ()


async def test_get_starts_no_more_than_there_may_be() -> None:
    pool = Dynamic("rooms", Room, max_children=1)
    async with running(pool) as system:
        first = await system.get(pool, "lobby")

        with pytest.raises(TooManyChildren, match="there are 1 children already"):
            await system.get(pool, "kitchen")
        assert await system.get(pool, "lobby") == first


async def test_cancelling_get_leaves_the_child_running() -> None:
    door = Door()

    class Known(SlowStart):
        def __init__(self, name: str) -> None:
            super().__init__(door, None, name)

    pool = Dynamic("pool", Known)
    async with running(pool) as system:
        with anyio.move_on_after(1):
            await system.get(pool, "lobby")
        door.open()
        ref = await system.get(pool, "lobby")

        assert await ref.ask(Notes()) == []
        assert ref.path == "root/pool/lobby"


async def test_get_and_find_of_a_pool_in_no_tree_find_nothing() -> None:
    async with running() as system:
        with pytest.raises(NotFound):
            await system.get(ROOMS, "lobby")
        with pytest.raises(NotFound):
            system.find(ROOMS, "lobby")


async def test_get_and_find_of_a_pool_that_does_not_run_say_so() -> None:
    async with System(Supervisor("root", ROOMS)) as system:
        await system.terminate_child(ROOMS)

        with pytest.raises(ActorStopped, match="rooms has stopped"):
            await system.get(ROOMS, "lobby")
        with pytest.raises(ActorStopped, match="rooms has stopped"):
            system.find(ROOMS, "lobby")


@pytest.mark.asyncio_only
@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_an_eager_task_that_gets_while_others_are_told_of_the_end_gets_a_new_one() -> None:
    tasks: list[asyncio.Task[Ref[Note | Crash | Quit]]] = []
    async with running(ROOMS) as system:
        first = await system.get(ROOMS, "lobby")

        async def get() -> Ref[Note | Crash | Quit]:
            return await system.get(ROOMS, "lobby")

        def again(down: Down) -> None:
            tasks.append(asyncio.create_task(get()))

        watch(first, again)
        first.tell(Quit())
        await settle()

        assert await tasks[0] != first
