"""An actor's own timers: messages to itself, later."""

import anyio
import pytest

from herdwick.runtime import Actor, Ask, Child, Context, Crashed, Exit, Message, System, on
from herdwick.testing import settle
from tests.runtime.samples import Crash, Door, Note, Quit, Wait, running


class After(Message):
    """Set a timer."""

    delay: float
    text: str
    key: str | None = None


class Each(Message):
    """Set an interval."""

    period: float
    text: str
    key: str | None = None


class Cancel(Message):
    """Take a timer back."""

    key: str


class Told(Ask[list[tuple[float, str]]]):
    """What came, and when?"""


class Clerk(Actor[After | Each | Cancel | Told | Note | Wait | Crash | Quit]):
    """Sets timers as told, and writes down what comes of them."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []

    @on(After)
    async def after(self, message: After) -> None:
        self.ctx.send_after(message.delay, Note(message.text), key=message.key)

    @on(Each)
    async def each(self, message: Each) -> None:
        self.ctx.every(message.period, Note(message.text), key=message.key)

    @on(Cancel)
    async def cancel(self, message: Cancel) -> None:
        self.ctx.cancel_timer(message.key)

    @on(Told)
    async def tell_all(self, message: Told) -> list[tuple[float, str]]:
        return self.told

    @on(Note)
    async def note(self, message: Note) -> None:
        self.told.append((round(anyio.current_time(), 3), message.text))

    @on(Wait)
    async def wait(self, message: Wait) -> None:
        await message.door.passed()

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise ValueError(message.text)

    @on(Quit)
    async def quit(self, message: Quit) -> None:
        self.ctx.stop()


CLERK = Child(Clerk)


async def told_at(system: System) -> list[tuple[float, str]]:
    """Give what the clerk was told, by the seconds since the test began."""
    return await system.ref(CLERK).ask(Told())


async def told(system: System) -> list[str]:
    return [text for _, text in await told_at(system)]


def since(start: float, *moments: tuple[float, str]) -> list[tuple[float, str]]:
    return [(round(start + moment, 3), text) for moment, text in moments]


async def test_a_message_comes_after_its_delay_and_once() -> None:
    async with running(CLERK) as system:
        start = anyio.current_time()
        system.ref(CLERK).tell(After(3, "three"))
        await anyio.sleep(100)

        assert await told_at(system) == since(start, (3, "three"))


async def test_messages_come_in_the_order_in_which_they_fall_due() -> None:
    async with running(CLERK) as system:
        for delay, text in [(3, "c"), (1, "a"), (1, "b")]:
            system.ref(CLERK).tell(After(delay, text))
        await anyio.sleep(5)

        assert await told(system) == ["a", "b", "c"]


async def test_an_interval_comes_each_period() -> None:
    async with running(CLERK) as system:
        start = anyio.current_time()
        system.ref(CLERK).tell(Each(2, "tick"))
        await anyio.sleep(7)

        assert await told_at(system) == since(start, (2, "tick"), (4, "tick"), (6, "tick"))


async def test_an_interval_does_not_drift() -> None:
    async with running(CLERK) as system:
        start = anyio.current_time()
        system.ref(CLERK).tell(Each(0.1, "tick"))
        await anyio.sleep(1000.05)

        moments = [moment for moment, _ in await told_at(system)]
        assert len(moments) == 10_000
        assert moments[-1] == pytest.approx(start + 1000)


async def test_an_actor_that_is_behind_misses_ticks_and_keeps_the_beat() -> None:
    door = Door()
    async with running(CLERK) as system:
        start = anyio.current_time()
        system.ref(CLERK).tell(Each(2, "tick"))
        system.ref(CLERK).tell(Wait(door))
        await anyio.sleep(9)
        door.open()
        await anyio.sleep(2)

        assert await told_at(system) == since(start, (9, "tick"), (10, "tick"))


async def test_a_timer_with_the_same_key_is_replaced() -> None:
    async with running(CLERK) as system:
        start = anyio.current_time()
        system.ref(CLERK).tell(After(1, "first", "key"))
        system.ref(CLERK).tell(Each(2, "second", "key"))
        system.ref(CLERK).tell(After(3, "third", "key"))
        await anyio.sleep(10)

        assert await told_at(system) == since(start, (3, "third"))


async def test_timers_without_a_key_are_all_kept() -> None:
    async with running(CLERK) as system:
        system.ref(CLERK).tell(After(1, "a"))
        system.ref(CLERK).tell(After(2, "b"))
        await anyio.sleep(3)

        assert await told(system) == ["a", "b"]


async def test_a_timer_that_was_taken_back_does_not_come() -> None:
    async with running(CLERK) as system:
        ref = system.ref(CLERK)
        for order in (After(1, "once", "once"), Each(1, "each", "each"), After(2, "other", "o")):
            ref.tell(order)
        ref.tell(Cancel("once"))
        ref.tell(Cancel("each"))
        ref.tell(Cancel("never set"))
        await anyio.sleep(5)

        assert await told(system) == ["other"]


async def test_taking_a_timer_back_takes_its_message_out_of_the_mailbox() -> None:
    door = Door()
    async with running(CLERK) as system:
        for order in (After(1, "late", "key"), Wait(door), Cancel("key"), Note("told")):
            system.ref(CLERK).tell(order)
        await anyio.sleep(5)  # it has fallen due, behind the others
        door.open()

        assert await told(system) == ["told"]


async def test_a_timer_that_replaces_one_takes_its_message_out_of_the_mailbox() -> None:
    door = Door()
    async with running(CLERK) as system:
        for order in (After(1, "old", "key"), Wait(door), After(1, "new", "key")):
            system.ref(CLERK).tell(order)
        await anyio.sleep(5)
        door.open()
        await anyio.sleep(5)

        assert await told(system) == ["new"]


async def test_what_falls_due_stands_in_order_with_what_is_told() -> None:
    door = Door()
    async with running(CLERK) as system:
        for order in (After(1, "due"), Wait(door), Note("before")):
            system.ref(CLERK).tell(order)
        await anyio.sleep(2)
        system.ref(CLERK).tell(Note("after"))
        door.open()

        assert await told(system) == ["before", "due", "after"]


async def test_a_full_mailbox_loses_no_timer() -> None:
    door, child = Door(), Child(Clerk).policy(mailbox=1)
    async with running(child) as system:
        ref = system.ref(child)
        await ref.ask(After(1, "due"))
        ref.tell(Wait(door))
        await settle()
        assert [ref.tell(Note("told")), ref.tell(Note("refused"))] == [True, False]
        await anyio.sleep(2)
        door.open()
        await settle()

        assert [text for _, text in await ref.ask(Told())] == ["told", "due"]


async def test_a_function_receives_its_timers() -> None:
    got: list[str] = []

    async def waiting(ctx: Context[Note]) -> None:
        ctx.send_after(1, Note("due"))
        got.append((await ctx.receive()).text)

    async with running(Child(waiting).policy(restart="temporary")):
        await anyio.sleep(2)

        assert got == ["due"]


async def test_timers_are_gone_with_their_incarnation() -> None:
    async with running(CLERK) as system:
        for order in (After(1, "once"), Each(1, "each"), Crash()):
            system.ref(CLERK).tell(order)
        await anyio.sleep(5)

        assert await told(system) == []


async def test_timers_that_fall_due_while_the_hook_runs_are_gone_too() -> None:
    class SlowEnd(Clerk):
        async def on_stop(self, reason: Exit) -> None:
            await anyio.sleep(3)

    child = Child(SlowEnd)
    async with running(child) as system:
        system.ref(child).tell(After(1, "of the first life"))
        system.ref(child).tell(Crash())
        await anyio.sleep(5)

        assert await system.ref(child).ask(Told()) == []


async def test_timers_in_the_queue_of_one_that_stops_itself_and_comes_back_are_gone() -> None:
    door = Door()
    async with running(CLERK) as system:
        for order in (After(1, "of the first life"), Wait(door), Quit(), Note("kept")):
            system.ref(CLERK).tell(order)
        await anyio.sleep(5)
        door.open()
        await settle()

        assert await told(system) == ["kept"]
        assert system.ref(CLERK).incarnation == 2


async def test_timers_set_at_the_start_come_again_in_each_life() -> None:
    class Beating(Clerk):
        async def on_start(self) -> None:
            self.ctx.every(2, Note("beat"))

    child = Child(Beating)
    async with running(child) as system:
        await anyio.sleep(3)
        start = anyio.current_time()
        system.ref(child).tell(Crash())
        await anyio.sleep(5)

        assert await system.ref(child).ask(Told()) == since(start, (2, "beat"), (4, "beat"))


@pytest.mark.parametrize("delay", [-1.0, float("nan")])
async def test_a_senseless_delay_is_refused_by_its_value(delay: float) -> None:
    async with running(CLERK) as system:
        refusal = await refusal_of(system, After(delay, "never"))

        assert refusal == f"delay is {delay:g}; it must be 0 seconds or more"


@pytest.mark.parametrize("period", [0.0, -1.0, float("inf"), float("nan")])
async def test_a_senseless_period_is_refused_by_its_value(period: float) -> None:
    async with running(CLERK) as system:
        refusal = await refusal_of(system, Each(period, "never"))

        assert refusal == f"period is {period:g}; it must be more than 0 seconds"


async def refusal_of(system: System, order: After | Each) -> str:
    """Give the text of the `ValueError` that the clerk's handler got."""
    with pytest.raises(Crashed) as caught:
        await system.ref(CLERK).ask(order)
    assert isinstance(caught.value.__cause__, ValueError)
    return str(caught.value.__cause__)
