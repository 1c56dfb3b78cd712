"""Questions that would wait for themselves."""

import anyio
import pytest

from herdwick.runtime import (
    LATER,
    Actor,
    Ask,
    Child,
    Crashed,
    Deadlock,
    Later,
    Message,
    Ref,
    Reply,
    Restarting,
    on,
)
from herdwick.testing import settle
from tests.runtime.samples import Door, running


class Relay(Ask[str]):
    """Ask the next of these, and give its answer."""

    path: tuple["Ref[Relay | RelayInHelper | Hold]", ...] = ()


class RelayInHelper(Ask[str]):
    """Let a helper ask the next of these, and give its answer."""

    path: tuple["Ref[Relay | RelayInHelper | Hold]", ...] = ()


class Hold(Message):
    """Wait until the door opens."""

    door: Door


class Link(Actor[Relay | RelayInHelper | Hold]):
    """Asks others within its own handlers."""

    def __init__(self, *, patience: float = 3600) -> None:
        self._patience = patience

    @on(Relay)
    async def relay(self, message: Relay) -> str:
        if not message.path:
            return "end of the line"
        first, *rest = message.path
        try:
            return await first.ask(Relay(tuple(rest)), timeout=self._patience)
        except TimeoutError:
            return "it took too long"

    @on(RelayInHelper)
    async def relay_in_helper(self, message: RelayInHelper) -> Later:
        self.ctx.start_soon(self._relay, message, self.ctx.defer(message))
        return LATER

    async def _relay(self, message: RelayInHelper, reply: Reply[str]) -> None:
        reply(await self.relay(Relay(message.path)))

    @on(Hold)
    async def hold(self, message: Hold) -> None:
        await message.door.passed()


A, B, C = (Child(Link).named(name) for name in "abc")


def cycle_of(error: pytest.ExceptionInfo[Crashed]) -> tuple[str, ...]:
    """Give the cycle of the deadlock at the bottom of a chain of crashes."""
    cause: BaseException | None = error.value
    while isinstance(cause, Crashed):
        cause = cause.__cause__
    assert isinstance(cause, Deadlock)
    return cause.cycle


async def test_who_asks_itself_gets_a_deadlock_at_once() -> None:
    async with running(A) as system:
        a = system.ref(A)
        with pytest.raises(Crashed) as caught:
            await a.ask(Relay((a,)), timeout=3600)

        assert cycle_of(caught) == ("root/a", "root/a")
        assert anyio.current_time() < 3600


async def test_a_cycle_of_two_is_a_deadlock_at_once() -> None:
    async with running(A, B) as system:
        a, b = system.ref(A), system.ref(B)
        with pytest.raises(Crashed) as caught:
            await a.ask(Relay((b, a)), timeout=3600)

        assert cycle_of(caught) == ("root/b", "root/a", "root/b")


async def test_a_longer_cycle_is_named_from_end_to_end() -> None:
    async with running(A, B, C) as system:
        a, b, c = system.ref(A), system.ref(B), system.ref(C)
        with pytest.raises(Crashed) as caught:
            await a.ask(Relay((b, c, a)), timeout=3600)

        assert cycle_of(caught) == ("root/c", "root/a", "root/b", "root/c")


async def test_a_cycle_that_does_not_begin_with_the_first_is_a_deadlock_too() -> None:
    async with running(A, B, C) as system:
        a, b, c = system.ref(A), system.ref(B), system.ref(C)
        with pytest.raises(Crashed) as caught:
            await a.ask(Relay((b, c, b)), timeout=3600)

        assert cycle_of(caught) == ("root/c", "root/b", "root/c")


async def test_a_deadlock_can_be_caught_and_harms_nobody() -> None:
    class Careful(Link):
        @on(Relay)
        async def relay(self, message: Relay) -> str:
            with pytest.raises(Deadlock, match="root/careful asks root/careful; use `tell`"):
                await self.ctx.ref.ask(Relay())
            return "caught"

    child = Child(Careful).named("careful")
    async with running(child) as system:
        assert await system.ref(child).ask(Relay()) == "caught"
        assert system.ref(child).incarnation == 1


async def test_the_question_of_a_deadlock_is_not_put_into_the_mailbox() -> None:
    async with running(A, B) as system:
        a, b = system.ref(A), system.ref(B)
        with pytest.raises(Crashed):
            await a.ask(Relay((b, a)), timeout=3600)

        assert system.statistics(A).high_water == 1


async def test_a_chain_without_a_cycle_is_answered() -> None:
    async with running(A, B, C) as system:
        a, b, c = system.ref(A), system.ref(B), system.ref(C)

        assert await a.ask(Relay((b, c))) == "end of the line"
        assert await c.ask(Relay((b, a))) == "end of the line"


async def test_two_who_ask_one_are_no_cycle() -> None:
    door, answers = Door(), list[str]()
    async with running(A, B, C) as system, anyio.create_task_group() as tasks:
        a, b, c = system.ref(A), system.ref(B), system.ref(C)

        async def ask(ref: Ref[Relay]) -> None:
            answers.append(await ref.ask(Relay((c,))))

        c.tell(Hold(door))
        tasks.start_soon(ask, a)
        tasks.start_soon(ask, b)
        await settle()
        door.open()
        await settle()

        assert answers == ["end of the line"] * 2


async def test_a_helper_may_ask_its_own_actor() -> None:
    async with running(A) as system:
        a = system.ref(A)

        assert await a.ask(RelayInHelper((a,))) == "end of the line"


async def test_one_whose_helper_asks_can_be_asked_by_whom_it_asks() -> None:
    async with running(A, B) as system:
        a, b = system.ref(A), system.ref(B)

        assert await a.ask(RelayInHelper((b, a))) == "end of the line"


async def test_two_who_begin_to_ask_each_other_at_once_are_a_cycle() -> None:
    async with running(A, B) as system, anyio.create_task_group() as tasks:
        a, b = system.ref(A), system.ref(B)
        outcomes: list[str] = []

        async def ask(ref: Ref[Relay], other: Ref[Relay | RelayInHelper | Hold]) -> None:
            try:
                outcomes.append(await ref.ask(Relay((other,)), timeout=3600))
            except Crashed as crashed:
                outcomes.append(type(crashed.__cause__).__name__)
            except Restarting:
                outcomes.append("Restarting")

        tasks.start_soon(ask, a, b)
        tasks.start_soon(ask, b, a)
        await settle()

        assert "Deadlock" in outcomes
        assert len(outcomes) == 2


async def test_who_has_given_up_waits_in_no_cycle() -> None:
    impatient, door = Child(Link, patience=1).named("impatient"), Door()
    async with running(impatient, B) as system:
        asker, b = system.ref(impatient), system.ref(B)
        b.tell(Hold(door))
        await settle()
        assert await asker.ask(Relay((b,))) == "it took too long"
        door.open()
        await settle()

        assert await b.ask(Relay((asker,))) == "end of the line"
