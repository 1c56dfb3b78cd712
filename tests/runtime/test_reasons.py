"""Exit reasons: what makes which, who comes back after it, and whose cancellation it was."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import (
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    Actor,
    Child,
    Context,
    Crashed,
    Down,
    Dynamic,
    Exit,
    ForeignCancellation,
    Message,
    Supervisor,
    System,
    on,
    slot_of,
    watch,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Events,
    Hang,
    Incarnation,
    Note,
    Order,
    Quit,
    running,
    task_named,
)

Work: TypeAlias = Callable[["Obedient"], Awaitable[None]]


class Do(Message):
    """Do this, in the handler."""

    what: "Work"


class Obedient(Actor[Do]):
    """Does what it is told, and what it was made to do at its stop."""

    def __init__(self, at_stop: "Work | None" = None) -> None:
        self._at_stop = at_stop

    @on(Do)
    async def do(self, message: Do) -> None:
        await message.what(self)

    async def on_stop(self, reason: Exit) -> None:
        if self._at_stop is not None:
            await self._at_stop(self)


async def nothing(actor: Obedient) -> None: ...


async def fail(actor: Obedient) -> None:
    raise ValueError("boom")


async def hang(actor: Obedient) -> None:
    await anyio.sleep_forever()


async def stop(actor: Obedient) -> None:
    actor.ctx.stop()


async def stop_for_a_reason(actor: Obedient) -> None:
    actor.ctx.stop("tired")


async def help_and_fail(actor: Obedient) -> None:
    actor.ctx.start_soon(fail, actor)


async def let_a_cancellation_out(actor: Obedient) -> None:
    """Raise somebody else's cancellation, long after the scope that it belongs to."""
    stray: BaseException | None = None
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            stray = error
            raise
    assert stray is not None
    raise stray


def brutally(system: System, child: Child[Do]) -> None:
    slot = slot_of(system.ref(child))
    assert slot is not None
    assert slot.life is not None
    slot.life.kill(brutal=True)


# ---------------------------------------------------------------------- the table


@dataclass
class Row:
    """A way to end, the reason that it makes, and whether a transient child comes back."""

    does: Work
    reason: Exit
    comes_back: bool
    at_stop: Work = nothing
    then: Callable[[System, Child[Do]], None] | None = None


TABLE = {
    "it stops itself": Row(stop, NORMAL, comes_back=False),
    "it stops itself with a detail": Row(
        stop_for_a_reason, Exit("shutdown", "tired"), comes_back=False
    ),
    "its handler fails": Row(fail, Exit("crash", "ValueError: boom"), comes_back=True),
    "its helper fails": Row(help_and_fail, Exit("crash", "ValueError: boom"), comes_back=True),
    "its stop hook fails": Row(
        stop, Exit("crash", "ValueError: boom"), comes_back=True, at_stop=fail
    ),
    "its stop hook takes too long": Row(stop, KILLED, comes_back=True, at_stop=hang),
    "a brutal kill": Row(hang, KILLED, comes_back=True, then=brutally),
}


@pytest.mark.parametrize("way", TABLE)
async def test_each_end_has_its_reason_and_decides_whether_a_transient_child_comes_back(
    way: str,
) -> None:
    row = TABLE[way]
    child = Child(Obedient, row.at_stop).policy(restart="transient")
    root = Supervisor("root", child)
    async with System(root) as system:
        events = Events(system)

        system.ref(child).tell(Do(row.does))
        await settle()
        if row.then is not None:
            row.then(system, child)
        await anyio.sleep(6)
        [info] = system.which_children(root)

        assert events.last_exit.reason == row.reason
        assert info.state == ("running" if row.comes_back else "stopped")


@pytest.mark.parametrize(
    ("ends", "reason", "comes_back"),
    [
        (False, NORMAL, False),
        (True, Exit("crash", "ValueError: boom"), True),
    ],
    ids=["returns", "fails after the acknowledgement"],
)
async def test_the_end_of_a_function_is_normal_or_a_crash(
    ends: bool, reason: Exit, comes_back: bool
) -> None:
    async def function(ctx: Context[Note]) -> None:
        await ctx.receive()
        if ends:
            raise ValueError("boom")

    child = Child(function).policy(restart="transient")
    root = Supervisor("root", child)
    async with System(root) as system:
        events = Events(system)

        system.ref(child).tell(Note("go"))
        await settle()

        assert events.last_exit.reason == reason
        [info] = system.which_children(root)
        assert info.state == ("running" if comes_back else "stopped")


async def test_an_actor_that_an_admin_stops_is_shut_down() -> None:
    child = Child(Diary).policy(restart="transient")
    async with running(child) as system:
        events = Events(system)

        await system.terminate_child(child)

        assert events.last_exit.reason == SHUTDOWN


async def test_actors_that_their_supervisor_stops_are_shut_down() -> None:
    a, b = Child(Diary).named("a"), Child(Diary).named("b")
    async with System(Supervisor("root", a, b, strategy="one_for_all")) as system:
        events = Events(system)

        system.ref(a).tell(Crash())
        await settle()

        assert events.kinds() == ["root/a 1 crash", "root/b 1 shutdown"]


async def test_all_are_shut_down_by_a_cancellation_of_the_host() -> None:
    rooms, events = Dynamic("rooms", Diary), Events()

    with anyio.move_on_after(1):
        async with running(Child(Diary), rooms) as system:
            events.watch(system)
            await system.start(rooms)
            await anyio.sleep_forever()

    assert events.kinds() == [
        *("root/rooms/1 1 shutdown", "root/rooms 1 shutdown", "root/Diary 1 shutdown"),
        "root 1 shutdown",
    ]


async def test_an_actor_over_its_grace_was_killed() -> None:
    child = Child(Diary).policy(restart="transient", grace=2)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Hang())
        await settle()

        await system.terminate_child(child)

        assert events.last_exit.reason == KILLED


async def test_a_passive_actor_was_shut_down() -> None:
    child = Child(Diary).policy(restart="transient", idle_timeout=1)
    async with running(child) as system:
        events = Events(system)

        await anyio.sleep(2)

        assert events.last_exit.reason == Exit("shutdown", "idle")


async def test_only_others_ever_see_that_there_was_nobody() -> None:
    child = Child(Diary).policy(restart="transient")
    downs: list[Down] = []
    async with running(child) as system:
        events, ref = Events(system), system.ref(child)
        ref.tell(Quit())
        await settle()

        watch(ref, downs.append)
        await settle()

    assert [down.reason for down in downs] == [NOPROC]
    assert not [kind for kind in events.kinds() if kind.endswith("noproc")]


# ---------------------------------------------------------------------- two reasons at once


async def test_an_error_while_it_is_killed_is_a_crash_and_not_hidden() -> None:
    class Clumsy(Diary):
        @on(Hang)
        async def hang(self, message: Hang) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise OSError("stumbled")

    child = Child(Clumsy).policy(grace=1)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Hang())
        await settle()

        await system.terminate_child(child)

        assert events.last_exit.reason == Exit("crash", "OSError: stumbled")


async def test_an_error_beside_our_cancellation_in_a_group_of_its_own_is_a_crash() -> None:
    async def stumble() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("stumbled")

    class Grouped(Diary):
        @on(Hang)
        async def hang(self, message: Hang) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stumble)
                tasks.start_soon(anyio.sleep_forever)

    child = Child(Grouped).policy(grace=1)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Hang())
        await settle()

        await system.terminate_child(child)

        error = events.last_exit.error
        assert events.last_exit.reason.kind == "crash"
        assert type(error).__name__ == "ExceptionGroup"
        assert "OSError('stumbled')" in repr(error)


async def test_our_cancellation_in_a_group_of_its_own_is_ours() -> None:
    class Grouped(Diary):
        @on(Hang)
        async def hang(self, message: Hang) -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(anyio.sleep_forever)

    child = Child(Grouped).policy(grace=1)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Hang())
        await settle()

        await system.terminate_child(child)

        assert events.last_exit.reason == KILLED
        assert events.last_exit.error is None


async def test_a_crash_during_a_stop_is_the_reason() -> None:
    async def soon_fail(actor: Obedient) -> None:
        await anyio.sleep(1)
        raise ValueError("boom")

    child = Child(Obedient).policy(restart="transient")
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Do(soon_fail))
        await settle()

        await system.terminate_child(child)
        await settle()

        assert events.last_exit.reason == Exit("crash", "ValueError: boom")
        assert system.statistics(child).state == "stopped"


async def test_a_stop_hook_that_fails_is_the_reason_and_has_the_first_as_its_context() -> None:
    async def stumble(actor: Obedient) -> None:
        raise OSError("stumbled")

    child = Child(Obedient, stumble).policy(restart="temporary")
    async with running(child) as system:
        events = Events(system)

        system.ref(child).tell(Do(fail))
        await settle()

        error = events.last_exit.error
        assert events.last_exit.reason == Exit("crash", "OSError: stumbled")
        assert isinstance(error, OSError)
        assert isinstance(error.__context__, ValueError)


# ---------------------------------------------------------------------- whose cancellation


async def test_a_cancellation_that_nobody_of_ours_asked_for_is_a_crash() -> None:
    child = Child(Obedient).policy(restart="transient")
    async with running(child) as system:
        events = Events(system)

        with pytest.raises(Crashed, match="ForeignCancellation"):
            await system.ref(child).ask(Do(let_a_cancellation_out))
        await settle()

        assert isinstance(events.last_exit.error, ForeignCancellation)
        assert events.last_exit.reason.kind == "crash"
        assert system.statistics(child).incarnation == 2


@pytest.mark.parametrize("where", ["start", "hook", "helper", "function"])
async def test_it_is_one_wherever_it_comes_from(where: str) -> None:
    class Stray(Obedient):
        async def on_start(self) -> None:
            if where == "start" and self.ctx.incarnation == 2:
                await let_a_cancellation_out(self)

        @on(Do)
        async def do(self, message: Do) -> None:
            if where == "start":
                raise ValueError("boom")
            if where == "helper":
                self.ctx.start_soon(let_a_cancellation_out, self)
            else:
                self.ctx.stop()

        async def on_stop(self, reason: Exit) -> None:
            if where == "hook":
                await let_a_cancellation_out(self)

    async def function(ctx: Context[Do]) -> None:
        await ctx.receive()
        await let_a_cancellation_out(Obedient())

    child: Child[Do] = Child(function) if where == "function" else Child(Stray)
    async with running(child) as system:
        events = Events(system)

        system.ref(child).tell(Do(nothing))
        await settle()

        assert isinstance(events.last_exit.error, ForeignCancellation)
        assert events.last_exit.incarnation == (2 if where == "start" else 1)
        assert system.statistics(child).state == "running"


async def test_it_harms_neither_siblings_nor_supervisors() -> None:
    stray, sibling = Child(Obedient), Child(Diary)
    branch, rooms = Supervisor("branch", stray, sibling), Dynamic("rooms", Diary)
    async with running(branch, rooms) as system:
        events, room = Events(system), await system.start(rooms)

        system.ref(stray).tell(Do(let_a_cancellation_out))
        await settle()

        assert events.kinds() == ["root/branch/Obedient 1 crash"]
        for ref in (system.ref(sibling), room):
            assert await ref.ask(Incarnation()) == 1
        assert system.running


@pytest.mark.asyncio_only
@pytest.mark.parametrize("where", ["idle", "handler"])
async def test_a_native_cancellation_harms_neither_siblings_nor_supervisors(where: str) -> None:
    stray: Child[Order] = Child(Diary).named("stray")
    sibling = Child(Diary).named("sibling")
    async with running(Supervisor("branch", stray, sibling)) as system:
        events = Events(system)
        if where == "handler":
            system.ref(stray).tell(Hang())
        await settle()

        task_named("root/branch/stray").cancel()
        await settle()

        assert events.kinds() == ["root/branch/stray 1 crash"]
        assert await system.ref(sibling).ask(Incarnation()) == 1
        assert await system.ref(stray).ask(Incarnation()) == 2


async def test_a_cancellation_together_with_ours_is_ours() -> None:
    async def hang_and_let_out(actor: Obedient) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await let_a_cancellation_out(actor)

    child = Child(Obedient).policy(grace=1)
    async with running(child) as system:
        events = Events(system)
        system.ref(child).tell(Do(hang_and_let_out))
        await settle()

        await system.terminate_child(child)

        assert events.last_exit.reason == KILLED


async def test_an_actor_that_cancels_a_scope_of_its_own_goes_on() -> None:
    async def work(actor: Obedient) -> None:
        with anyio.move_on_after(1):
            await anyio.sleep_forever()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()

    child = Child(Obedient)
    async with running(child) as system:
        events = Events(system)

        await system.ref(child).ask(Do(work))

        assert events == []


async def test_a_supervisor_that_gives_up_has_crashed() -> None:
    child = Child(Diary)
    branch = Supervisor("branch", child, max_restarts=0, restart="temporary")
    async with running(branch) as system:
        events = Events(system)

        system.ref(child).tell(Crash())
        await settle()

        assert events.last_exit.path == "root/branch"
        assert events.last_exit.reason.kind == "crash"
        assert "RestartLimitReached: root/branch/Diary" in str(events.last_exit.reason)
