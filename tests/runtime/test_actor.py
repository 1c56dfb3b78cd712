"""Class actors and their handlers, function actors, and helper tasks."""

import asyncio
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    Actor,
    ActorStopped,
    Ask,
    Child,
    Context,
    Crashed,
    Expired,
    ForeignCancellation,
    Message,
    NoReply,
    StartFailed,
    on,
)
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Help,
    Incarnation,
    Note,
    Notes,
    Quit,
    Refuse,
    one,
    running,
    settle,
    task_named,
)

T = TypeVar("T")


class Add(Message):
    n: int = 1


class Get(Ask[int]):
    pass


class Reset(Message):
    pass


class Counter(Actor[Add | Get]):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @on(Add)
    async def add(self, message: Add) -> None:
        self.value += message.n

    @on(Get)
    async def get(self, message: Get) -> int:
        return self.value


# ---------------------------------------------------------------------- classes


def test_a_message_without_a_handler_is_refused_at_the_class() -> None:
    with pytest.raises(TypeError, match=r"Deaf takes Get and has no handler for it; .*@on\(Get\)"):

        class Deaf(Actor[Get]):  # pyright: ignore[reportUnusedClass]  # refused
            pass


def test_a_handler_of_a_message_that_is_not_taken_is_refused_at_the_class() -> None:
    with pytest.raises(TypeError, match="Nosy handles Add and does not take it"):

        class Nosy(Actor[Get]):  # pyright: ignore[reportUnusedClass]  # refused
            @on(Get)
            async def get(self, message: Get) -> int:
                return 1

            @on(Add)
            async def add(self, message: Add) -> None: ...


def test_two_handlers_of_one_message_are_refused_at_the_class() -> None:
    with pytest.raises(TypeError, match="Torn has two handlers for one message"):

        class Torn(Actor[Get]):  # pyright: ignore[reportUnusedClass]  # refused
            @on(Get)
            async def one(self, message: Get) -> int:
                return 1

            @on(Get)
            async def two(self, message: Get) -> int:
                return 2


async def test_handlers_are_inherited() -> None:
    class Doubling(Counter):
        @on(Add)
        async def add_twice(self, message: Add) -> None:
            self.value += 2 * message.n

    child = Child(Doubling, start=1)
    async with running(child) as system:
        system.ref(child).tell(Add(10))

        assert await system.ref(child).ask(Get()) == 21


async def test_an_overriding_method_is_the_handler_without_a_mark_of_its_own() -> None:
    class Louder(Counter):
        async def get(self, message: Get) -> int:
            return 100 + await super().get(message)

    child = Child(Louder, start=1)
    async with running(child) as system:
        assert await system.ref(child).ask(Get()) == 101


async def test_handlers_of_several_bases_come_together() -> None:
    class Adds:
        value = 0

        @on(Add)
        async def add(self, message: Add) -> None:
            self.value += message.n

    class Gets:
        value = 0

        @on(Get)
        async def get(self, message: Get) -> int:
            return self.value

    class Both(Adds, Gets, Actor[Add | Get]):
        pass

    child = Child(Both)
    async with running(child) as system:
        system.ref(child).tell(Add(3))

        assert await system.ref(child).ask(Get()) == 3


def test_a_subclass_may_not_take_more_than_its_base_says() -> None:
    with pytest.raises(TypeError, match="Wider handles Reset and does not take it"):

        class Wider(Counter):  # pyright: ignore[reportUnusedClass]  # refused
            @on(Reset)
            async def reset(self, message: Reset) -> None: ...


async def test_an_actor_can_be_generic_in_something_else_than_its_messages() -> None:
    class Holding(Actor[Add | Get], Generic[T]):
        held: T

        @on(Add)
        async def add(self, message: Add) -> None: ...

        @on(Get)
        async def get(self, message: Get) -> int:
            return 7

    class HoldingText(Holding[str]):
        pass

    child = Child(HoldingText)
    async with running(child) as system:
        assert await system.ref(child).ask(Get()) == 7


def test_a_generic_base_leaves_the_rest_of_the_messages_to_its_subclass() -> None:
    class Adds(Actor[Add | T], Generic[T]):
        @on(Add)
        async def add(self, message: Add) -> None: ...

    class Whole(Adds[Reset]):
        @on(Reset)
        async def reset(self, message: Reset) -> None: ...

    with pytest.raises(TypeError, match="Half takes Reset and has no handler"):

        class Half(Adds[Reset]):  # pyright: ignore[reportUnusedClass]  # refused
            pass

    assert set(Whole.__handlers__) == {Add, Reset}


async def test_a_generic_message_is_handled_whatever_it_carries() -> None:
    class Put(Message, Generic[T]):
        value: T

    class Box(Actor[Put[int] | Get]):
        value = 0

        @on(Put[int])
        async def put(self, message: Put[int]) -> None:
            self.value = message.value

        @on(Get)
        async def get(self, message: Get) -> int:
            return self.value

    child = Child(Box)
    async with running(child) as system:
        system.ref(child).tell(Put(5))

        assert await system.ref(child).ask(Get()) == 5


async def test_a_message_that_an_actor_does_not_take_crashes_it() -> None:
    child = Child(Counter)
    async with running(child) as system:
        ref = system.ref(child)

        with pytest.raises(Crashed, match="root/Counter got a Reset, which it does not take"):
            await ref.ask(Reset())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_long_mailbox_lets_others_run() -> None:
    child = Child(Counter).policy(mailbox=None)
    async with running(child) as system:
        ref = system.ref(child)
        for _ in range(10_000):
            ref.tell(Add())
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

        with pytest.raises(Expired):
            await ref.ask(Get(), timeout=0)
        await settle()
        assert await ref.ask(Get()) == 10_000


async def test_an_actor_knows_its_own_address() -> None:
    class Where(Ask[str]):
        pass

    class Somewhere(Actor[Where]):
        @on(Where)
        async def where(self, message: Where) -> str:
            return self.ctx.ref.path

    child = Child(Somewhere).named("here")
    async with running(child) as system:
        assert await system.ref(child).ask(Where()) == "root/here"


# ---------------------------------------------------------------------- functions


async def test_a_function_receives_one_message_after_the_other() -> None:
    got: list[str] = []

    async def reader(ctx: Context[Note], prefix: str) -> None:
        while True:
            got.append(prefix + (await ctx.receive()).text)

    child = Child(reader, "> ")
    async with running(child) as system:
        system.ref(child).tell(Note("a"))
        system.ref(child).tell(Note("b"))
        await settle()

        assert got == ["> a", "> b"]


async def test_a_function_that_returns_has_ended_normally() -> None:
    async def once(ctx: Context[Note]) -> None:
        await ctx.receive()

    child = Child(once).policy(restart="transient")
    async with running(child) as system:
        events, ref = Events(system), system.ref(child)
        ref.tell(Note("a"))
        await settle()

        assert events.kinds() == ["root/once 1 normal"]
        assert ref.tell(Note("b")) is False


async def test_a_function_answers_what_it_is_asked() -> None:
    async def counter(ctx: Context[Add | Get]) -> None:
        value = 0
        while True:
            match message := await ctx.receive():
                case Add(n):
                    value += n
                case Get():
                    ctx.defer(message)(value)

    child = Child(counter)
    async with running(child) as system:
        await system.ref(child).ask(Add(3))

        assert await system.ref(child).ask(Get()) == 3


async def test_a_function_that_goes_on_without_an_answer_fails_the_question() -> None:
    async def deaf(ctx: Context[Get]) -> None:
        while True:
            await ctx.receive()

    child = Child(deaf)
    async with running(child) as system:
        with pytest.raises(NoReply, match="root/deaf handled Get"):
            await system.ref(child).ask(Get())


async def test_a_function_that_returns_answers_a_plain_message() -> None:
    async def reader(ctx: Context[Note]) -> None:
        await ctx.receive()

    child = Child(reader).policy(restart="temporary")
    async with running(child) as system:
        await system.ref(child).ask(Note("a"))


async def test_a_function_that_receives_is_told_of_the_stop_and_may_clean_up() -> None:
    journal: list[str] = []

    async def reader(ctx: Context[Note]) -> None:
        try:
            await ctx.receive()
        except ActorStopped:
            await anyio.lowlevel.checkpoint()
            journal.append("cleaned up")
            raise

    async with running(Child(reader)) as system:
        events = Events(system)
        await settle()

    assert journal == ["cleaned up"]
    assert events.kinds()[0] == "root/reader 1 shutdown"


async def test_a_stopped_function_gets_nothing_more_of_its_queue() -> None:
    got: list[str] = []

    async def reader(ctx: Context[Note]) -> None:
        while True:
            got.append((await ctx.receive()).text)
            ctx.stop()

    child = Child(reader).policy(restart="temporary")
    async with running(child) as system:
        system.ref(child).tell(Note("a"))
        system.ref(child).tell(Note("b"))
        await settle()

        assert got == ["a"]


async def test_a_function_that_never_receives_is_cancelled_at_once() -> None:
    journal: list[str] = []

    async def sleeper(ctx: Context[Note]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            journal.append("cancelled")

    async with running(Child(sleeper).policy(grace=3600)) as system:
        events = Events(system)
        await settle()

    assert journal == ["cancelled"]
    assert events.kinds()[0] == "root/sleeper 1 shutdown"


async def test_a_function_that_will_not_hear_of_the_stop_is_killed_after_its_grace() -> None:
    async def deaf(ctx: Context[Note]) -> None:
        while True:
            try:
                await ctx.receive()
            except ActorStopped:
                continue

    async with running(Child(deaf).policy(grace=0)) as system:
        events = Events(system)
        await settle()

    assert events.kinds()[0] == "root/deaf 1 killed"


async def test_a_function_that_drains_a_long_mailbox_lets_others_run() -> None:
    got: list[int] = []

    async def reader(ctx: Context[Add]) -> None:
        while True:
            got.append((await ctx.receive()).n)

    child = Child(reader).policy(mailbox=None)
    async with running(child) as system:
        for n in range(1000):
            system.ref(child).tell(Add(n))
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

        assert len(got) < 1000
        await settle()
        assert got == list(range(1000))


async def test_cancelling_receive_loses_no_message() -> None:
    got: list[int] = []

    async def impatient(ctx: Context[Add]) -> None:
        while True:
            with anyio.move_on_after(0):
                got.append((await ctx.receive()).n)

    child = Child(impatient).policy(grace=0)
    async with running(child) as system:
        for n in range(500):
            system.ref(child).tell(Add(n))
        while len(got) < 500:
            await anyio.lowlevel.checkpoint()

        assert got == list(range(500))


async def test_an_error_about_another_actor_that_has_stopped_is_a_crash() -> None:
    async def asker(ctx: Context[Note]) -> None:
        await ctx.receive()
        raise ActorStopped("root/other")

    child = Child(asker).policy(restart="temporary")
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Note("go"))
        await settle()

        assert events.kinds() == ["root/asker 1 crash"]


# ---------------------------------------------------------------------- helpers


async def test_a_crash_of_a_helper_is_a_crash_of_its_actor() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal)) as (ref, events):
        await ref.ask(Help(crash="helpless"))
        await settle()

        assert events.last_exit.reason.error == "ValueError: helpless"
        assert isinstance(events.last_exit.error, ValueError)
        assert await ref.ask(Incarnation()) == 2
        assert "diary stopped: crash" in journal


async def test_a_helper_interrupts_the_handler_when_it_crashes() -> None:
    door = Door()

    class Busy(Actor[Note]):
        @on(Note)
        async def note(self, message: Note) -> None:
            self.ctx.start_soon(self.fail)
            await anyio.sleep_forever()

        async def fail(self) -> None:
            await door.passed()
            raise ValueError("helpless")

    child = Child(Busy)
    async with running(child) as system, anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(Crashed) as caught:
                await system.ref(child).ask(Note("go"), timeout=3600)
            assert isinstance(caught.value.__cause__, ValueError)

        tasks.start_soon(ask)
        await settle()
        door.open()


async def test_the_end_of_an_actor_ends_its_helpers_before_its_hook_runs() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal).policy(restart="temporary")) as (ref, _):
        await ref.ask(Help())
        await ref.ask(Help())
        await ref.ask(Quit())
        await settle()

    assert journal == [
        "diary started",
        "diary's helper was cancelled",
        "diary's helper was cancelled",
        "diary stopped: normal",
    ]


async def test_no_new_life_begins_before_the_helpers_of_the_old_one_are_gone() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal)) as (ref, _):
        await ref.ask(Help())
        ref.tell(Crash())
        await settle()

    assert journal[:4] == [
        "diary started",
        "diary's helper was cancelled",
        "diary stopped: crash",
        "diary started",
    ]


async def test_an_error_in_the_last_moments_of_a_helper_is_a_crash_too() -> None:
    class Careless(Actor[Note]):
        @on(Note)
        async def note(self, message: Note) -> None:
            self.ctx.start_soon(self.fail)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            self.ctx.stop()

        async def fail(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("careless")

    child = Child(Careless).policy(restart="transient")
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Note("go"))
        await settle()

        assert events.last_exit.reason.error == "ValueError: careless"


async def test_a_helper_that_starts_helpers_while_it_ends_is_refused() -> None:
    refused: list[str] = []

    class Stubborn(Actor[Note]):
        @on(Note)
        async def note(self, message: Note) -> None:
            self.ctx.start_soon(self.help)

        async def help(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with pytest.raises(ActorStopped):
                    self.ctx.start_soon(anyio.sleep_forever)
                refused.append("helper")

    child = Child(Stubborn)
    async with running(child) as system:
        await system.ref(child).ask(Note("go"))
        await settle()

    assert refused == ["helper"]


async def test_an_actor_that_has_ended_starts_no_helper() -> None:
    contexts: list[Context[Note]] = []

    async def leaky(ctx: Context[Note]) -> None:
        contexts.append(ctx)

    async with running(Child(leaky).policy(restart="temporary")):
        await settle()

        with pytest.raises(ActorStopped):
            contexts[0].start_soon(anyio.sleep_forever)


async def test_a_helper_that_finishes_early_changes_nothing() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        done.append(number)

    class Busy(Actor[Add]):
        @on(Add)
        async def add(self, message: Add) -> None:
            self.ctx.start_soon(work, message.n)

    child = Child(Busy)
    async with running(child) as system:
        events = Events(system)
        for n in range(3):
            await system.ref(child).ask(Add(n))
        await settle()

        assert (done, events) == ([0, 1, 2], [])


async def test_helpers_that_begin_with_the_start_end_with_a_failed_start() -> None:
    journal: list[str] = []

    async def help() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            journal.append("helper ended")

    class Unfinished(Actor):
        async def on_start(self) -> None:
            self.ctx.start_soon(help)
            await settle()
            raise OSError("no disk")

    with pytest.raises(StartFailed):
        async with running(Child(Unfinished)):
            pytest.fail("it started")
    assert journal == ["helper ended"]


@pytest.mark.asyncio_only
@pytest.mark.parametrize("begun", [True, False])
async def test_a_helper_that_is_cancelled_natively_crashes_its_actor(begun: bool) -> None:
    async def help() -> None:
        await anyio.sleep_forever()

    class Busy(Actor[Note]):
        @on(Note)
        async def note(self, message: Note) -> None:
            self.ctx.start_soon(help)
            if begun:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            task_named("root/Busy:help").cancel()

    child = Child(Busy)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Note("go"))
        await settle()

        assert isinstance(events.last_exit.error, ForeignCancellation)
        assert events.last_exit.reason.kind == "crash"


async def test_notes_of_one_sender_keep_their_order() -> None:
    async with one(Child(Diary)) as (ref, _):
        for n in range(300):
            ref.tell(Note(str(n)))

        assert await ref.ask(Notes()) == [str(n) for n in range(300)]


async def test_a_rejection_of_what_was_told_is_no_crash() -> None:
    child = Child(Diary).named("diary")

    async with running(child) as system:
        ref = system.ref(child)
        ref.tell(Refuse())

        assert await ref.ask(Incarnation()) == 1
