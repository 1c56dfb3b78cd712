"""Whatever is under way when an end comes: all stops in order, nothing hangs, nobody is left."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import anyio
import pytest
import trio

from herdwick.runtime import (
    Actor,
    Backoff,
    Child,
    Events,
    Exit,
    Exited,
    Message,
    Ref,
    RestartLimitReached,
    Supervisor,
    System,
    on,
)
from herdwick.testing import settle

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("one_for_one", "rest_for_one", "one_for_all")


class Crash(Message):
    """Raise an error."""


class Hang(Message):
    """Wait until cancelled."""


class CrashLater(Message):
    """Raise an error in a second."""


Order: TypeAlias = Crash | CrashLater | Hang


@dataclass
class Part:
    """What one of the actors does."""

    starts: list[float] = field(default_factory=list[float])
    """Seconds that its first starts take; the others take none."""

    hook: float = 0.0
    """Seconds that its stop hook takes."""

    hook_error: Exception | None = None
    backoff: Backoff | None = None


class Player(Actor[Order]):
    """Plays a part, and writes down when it starts and stops."""

    def __init__(self, name: str, part: Part, journal: list[str]) -> None:
        self._name = name
        self._part = part
        self._journal = journal

    async def on_start(self) -> None:
        try:
            await anyio.sleep(self._part.starts.pop(0) if self._part.starts else 0)
        except anyio.get_cancelled_exc_class():
            self._journal.append(f"{self._name} start cancelled")
            raise
        self._journal.append(f"{self._name} started")

    async def on_stop(self, reason: Exit) -> None:
        self._journal.append(f"{self._name} stopping: {reason.kind}")
        if self._part.hook:
            await anyio.sleep(self._part.hook)
            self._journal.append(f"{self._name} stopped")
        if self._part.hook_error is not None:
            raise self._part.hook_error

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise ValueError("as told")

    @on(CrashLater)
    async def crash_later(self, message: CrashLater) -> None:
        await anyio.sleep(1)
        raise ValueError("as told")

    @on(Hang)
    async def hang(self, message: Hang) -> None:
        await anyio.sleep_forever()


class Stage:
    """Three actors under one supervisor, and what happens to them."""

    def __init__(self, parts: dict[str, Part], strategy: Strategy, max_restarts: int = 3) -> None:
        self.journal: list[str] = []
        self.exits: list[str] = []
        children = {
            name: Child(Player, name, part, self.journal).named(name).policy(backoff=part.backoff)
            for name, part in {"a": Part(), "b": Part(), "c": Part(), **parts}.items()
        }
        events = Events()
        events.subscribe(self._note)
        self._children = children
        root = Supervisor("root", *children.values(), strategy=strategy, max_restarts=max_restarts)
        self.system = System(root, events=events)

    def ref(self, name: str) -> Ref[Order]:
        return self.system.ref(self._children[name])

    def forget(self) -> None:
        """Let everything that was written down up to now be forgotten."""
        self.journal.clear()
        self.exits.clear()

    def _note(self, event: object) -> None:
        if isinstance(event, Exited):
            self.exits.append(f"{event.path.removeprefix('root/')} {event.reason.kind}")


@asynccontextmanager
async def nobody_left() -> AsyncGenerator[None]:
    before = tasks()
    yield
    await settle()
    assert tasks() == before


def tasks() -> int:
    if trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


# ---------------------------------------------------------------------- moments


@dataclass(frozen=True)
class Moment:
    """Something that is under way, and what an end at that moment comes to."""

    bring: Callable[[Stage], Awaitable[None]]
    journal: list[str]
    """What is written down from then on."""
    exits: list[str]
    parts: Callable[[], dict[str, Part]] = dict[str, Part]
    strategy: Strategy = "one_for_one"
    seconds: float = 0.0
    """How long the end takes."""


def told(**orders: Order) -> Callable[[Stage], Awaitable[None]]:
    """Tell actors something, and let all that follows happen but what takes time."""

    async def tell(stage: Stage) -> None:
        for name, order in orders.items():
            stage.ref(name).tell(order)
        await settle()
        stage.forget()

    return tell


ALL_STOP: Final = [f"{name} stopping: shutdown" for name in "cba"]
ALL_SHUT_DOWN: Final = ["c shutdown", "b shutdown", "a shutdown", "root shutdown"]

MOMENTS: Final = {
    "a child that crashed runs its hook": Moment(
        told(b=Crash()),
        ["c stopping: shutdown", "b stopped", "a stopping: shutdown"],
        ["c shutdown", "b crash", "a shutdown", "root shutdown"],
        lambda: {"b": Part(hook=2.0)},
        seconds=2.0,
    ),
    "a child that crashed starts": Moment(
        told(b=Crash()),
        ["c stopping: shutdown", "b start cancelled", "a stopping: shutdown"],
        ["c shutdown", "b shutdown", "a shutdown", "root shutdown"],
        lambda: {"b": Part(starts=[0.0, 9.0])},
    ),
    "a child waits for its backoff": Moment(
        told(b=Crash()),
        ["c stopping: shutdown", "a stopping: shutdown"],
        ["c shutdown", "a shutdown", "root shutdown"],
        lambda: {"b": Part(backoff=Backoff(min=9.0))},
    ),
    "a group waits for a backoff": Moment(
        told(b=Crash()),
        [],
        ["root shutdown"],
        lambda: {"b": Part(backoff=Backoff(min=9.0))},
        "one_for_all",
    ),
    "a group stops to restart": Moment(
        told(a=Crash()),
        ["c stopped", "b stopping: shutdown"],
        ["c shutdown", "b shutdown", "root shutdown"],
        lambda: {"c": Part(hook=2.0)},
        "one_for_all",
        seconds=2.0,
    ),
    "a group starts again": Moment(
        told(a=Crash()),
        ["b start cancelled", "a stopping: shutdown"],
        ["b shutdown", "a shutdown", "root shutdown"],
        lambda: {"b": Part(starts=[0.0, 9.0])},
        "rest_for_one",
    ),
    "a child is to crash while another one stops": Moment(
        told(b=CrashLater()),
        ["c stopping: shutdown", "b stopping: crash", "c stopped", "a stopping: shutdown"],
        ["b crash", "c shutdown", "a shutdown", "root shutdown"],
        lambda: {"c": Part(hook=2.0)},
        seconds=2.0,
    ),
    "a child is to crash while it is stopped itself": Moment(
        told(b=CrashLater()),
        ["c stopping: shutdown", "b stopping: crash", "a stopping: shutdown"],
        ["c shutdown", "b crash", "a shutdown", "root shutdown"],
        seconds=1.0,
    ),
    "a handler hangs": Moment(
        told(b=Hang()),
        ["c stopping: shutdown", "b stopping: killed", "a stopping: shutdown"],
        ["c shutdown", "b killed", "a shutdown", "root shutdown"],
        seconds=5.0,
    ),
    "a hook is to raise": Moment(
        told(),
        ALL_STOP,
        ["c shutdown", "b crash", "a shutdown", "root shutdown"],
        lambda: {"b": Part(hook_error=OSError("stumbled"))},
    ),
    "a hook is to hang": Moment(
        told(),
        ALL_STOP,
        ["c shutdown", "b killed", "a shutdown", "root shutdown"],
        lambda: {"b": Part(hook=9.0)},
        seconds=5.0,
    ),
    "hooks take their time": Moment(
        told(),
        ["c stopping: shutdown", "c stopped", *ALL_STOP[1:], "a stopped"],
        ALL_SHUT_DOWN,
        lambda: {"a": Part(hook=2.0), "c": Part(hook=2.0)},
        seconds=4.0,
    ),
}


# ---------------------------------------------------------------------- ends

End: TypeAlias = Callable[[anyio.CancelScope], Awaitable[None]]


async def finish(scope: anyio.CancelScope) -> None:
    """Let the block end."""


async def cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()
    await anyio.sleep_forever()


async def cancel_natively(scope: anyio.CancelScope) -> None:
    host = asyncio.current_task()
    assert host is not None
    host.cancel()
    await anyio.sleep_forever()


async def finish_and_be_cancelled(scope: anyio.CancelScope) -> None:
    """Let the block end, and the cancellation come while all stops."""
    scope.deadline = anyio.current_time() + 1


async def finish_and_be_cancelled_natively(scope: anyio.CancelScope) -> None:
    host = asyncio.current_task()
    assert host is not None
    asyncio.get_running_loop().call_later(1, host.cancel)


ENDS: Final = [
    finish,
    cancel,
    pytest.param(cancel_natively, marks=pytest.mark.asyncio_only),
    finish_and_be_cancelled,
    pytest.param(finish_and_be_cancelled_natively, marks=pytest.mark.asyncio_only),
]


async def play(stage: Stage, moment: Moment, end: End) -> float:
    """Come to a moment and to the end, and give how many seconds the end took."""
    began = 0.0
    with anyio.CancelScope() as scope:
        try:
            async with stage.system:
                await moment.bring(stage)
                began = anyio.current_time()
                await end(scope)
        except asyncio.CancelledError:
            host = asyncio.current_task()
            assert host is not None
            if not host.cancelling() or scope.cancel_called:
                raise
            host.uncancel()
    return anyio.current_time() - began


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
async def test_an_end_at_any_moment_is_an_ordered_stop(moment: Moment, end: End) -> None:
    stage = Stage(moment.parts(), moment.strategy)

    async with nobody_left():
        seconds = await play(stage, moment, end)

    assert stage.journal == moment.journal
    assert stage.exits == moment.exits
    assert seconds == pytest.approx(moment.seconds)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("names", ["b", "ab", "bc", "abc"])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_crashes_and_an_end_at_once_are_an_ordered_stop(
    strategy: Strategy, names: str, end: End
) -> None:
    """Which of the two comes first, and what follows in between, is up to the event loop."""
    stage = Stage({}, strategy)

    async def crash(stage: Stage) -> None:
        for name in names:
            stage.ref(name).tell(Crash())

    async with nobody_left():
        seconds = await play(stage, Moment(crash, [], []), end)

    assert seconds == 0
    assert alive(stage.journal) == []
    last = [line for line in stage.journal[-3:] if line.endswith("shutdown")]
    assert last == sorted(last, reverse=True)


def alive(journal: list[str]) -> list[str]:
    """Give those that started more often than they stopped."""
    starts = [line.split()[0] for line in journal if line.endswith("started")]
    stops = [line.split()[0] for line in journal if "stopping" in line]
    return [name for name in "abc" if starts.count(name) != stops.count(name)]


# ---------------------------------------------------------------------- the first start


@pytest.mark.parametrize("natively", [False, pytest.param(True, marks=pytest.mark.asyncio_only)])
async def test_an_end_during_the_first_start_cancels_it_and_stops_what_has_started(
    natively: bool,
) -> None:
    stage = Stage({"b": Part(starts=[9.0])}, "one_for_one")
    scope = anyio.CancelScope()

    async with nobody_left(), anyio.create_task_group() as group:
        hosts: list[asyncio.Task[object] | None] = []

        async def host() -> None:
            hosts.append(None if trio.lowlevel.in_trio_task() else asyncio.current_task())
            with scope:
                try:
                    async with stage.system:
                        pytest.fail("it started")
                except asyncio.CancelledError:
                    if scope.cancel_called:
                        raise

        group.start_soon(host)
        await settle()
        if natively:
            [task] = hosts
            assert task is not None
            task.cancel()
        else:
            scope.cancel()

    assert stage.journal == ["a started", "b start cancelled", "a stopping: shutdown"]
    assert stage.exits == ["b shutdown", "a shutdown", "root shutdown"]


# ---------------------------------------------------------------------- no end at all


@pytest.mark.parametrize(
    ("strategy", "lives"),
    [("one_for_one", [2, 2, 1]), ("rest_for_one", None), ("one_for_all", [2, 2, 2])],
)
async def test_two_siblings_that_crash_at_once_both_come_back(
    strategy: Strategy, lives: list[int] | None
) -> None:
    stage = Stage({}, strategy)
    async with nobody_left(), stage.system:
        for name in "ab":
            stage.ref(name).tell(Crash())
        await settle()

        children = stage.system.tree().children
        assert {child.state for child in children} == {"running"}
        assert lives is None or [child.incarnation for child in children] == lives


# ---------------------------------------------------------------------- giving up


@pytest.mark.parametrize("end", ENDS)
async def test_an_end_while_the_root_gives_up_does_not_hide_that_it_did(end: End) -> None:
    stage = Stage({"c": Part(hook=2.0)}, "one_for_one", max_restarts=0)
    moment = Moment(told(a=Crash()), [], [])

    async with nobody_left():
        with pytest.raises(RestartLimitReached, match="root/a"):
            await play(stage, moment, end)

    assert stage.journal == ["c stopped", "b stopping: shutdown"]
    assert stage.exits == ["c shutdown", "b shutdown", "root crash"]
