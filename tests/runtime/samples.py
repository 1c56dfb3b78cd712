"""Actors that obey any order, and what tests need to watch them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from herdwick.runtime import (
    Actor,
    Ask,
    Child,
    Event,
    Exit,
    Exited,
    Message,
    Ref,
    Rejected,
    Supervisable,
    Supervisor,
    System,
    on,
)


class Door:
    """What a test opens and shuts, and actors pass."""

    def __init__(self, *, is_open: bool = False) -> None:
        self._opened = anyio.Event()
        if is_open:
            self.open()

    def open(self) -> None:
        self._opened.set()

    def shut(self) -> None:
        self._opened = anyio.Event()

    async def passed(self) -> None:
        await self._opened.wait()


class Note(Message):
    """Write this down."""

    text: str


class Notes(Ask[list[str]]):
    """What was written down?"""


class Incarnation(Ask[int]):
    """Which life is this?"""


class Crash(Message):
    """Raise an error."""

    text: str = "boom"


class Refuse(Ask[int]):
    """Answer with a rejection."""


class Leave(Message):
    """Raise SystemExit."""


class Quit(Message):
    """Stop yourself."""

    detail: str | None = None


class Hang(Message):
    """Wait until cancelled."""


class Wait(Message):
    """Wait until the door opens."""

    door: Door


class Help(Message):
    """Start a helper task: one that hangs, fails, or exits the program."""

    crash: str | None = None
    leave: bool = False


Order = Note | Notes | Incarnation | Crash | Refuse | Leave | Quit | Hang | Wait | Help


class Diary(Actor[Order]):
    """Writes down what it is told, for itself; and its life, in a journal that outlives it."""

    def __init__(self, journal: list[str] | None = None, name: str = "diary") -> None:
        self.journal: list[str] = [] if journal is None else journal
        self.name = name
        self._notes: list[str] = []

    async def on_start(self) -> None:
        self.journal.append(f"{self.name} started")

    async def on_stop(self, reason: Exit) -> None:
        self.journal.append(f"{self.name} stopped: {reason.kind}")

    @on(Note)
    async def note(self, message: Note) -> None:
        self._notes.append(message.text)

    @on(Notes)
    async def notes(self, message: Notes) -> list[str]:
        return self._notes

    @on(Incarnation)
    async def incarnation(self, message: Incarnation) -> int:
        return self.ctx.incarnation

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise ValueError(message.text)

    @on(Refuse)
    async def refuse(self, message: Refuse) -> int:
        raise Rejected("not today")

    @on(Leave)
    async def leave(self, message: Leave) -> None:
        raise SystemExit(3)

    @on(Quit)
    async def quit(self, message: Quit) -> None:
        self.ctx.stop(message.detail)

    @on(Hang)
    async def hang(self, message: Hang) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.journal.append(f"{self.name} was cancelled")

    @on(Wait)
    async def wait(self, message: Wait) -> None:
        await message.door.passed()

    @on(Help)
    async def help(self, message: Help) -> None:
        self.ctx.start_soon(self._help, message)

    async def _help(self, order: Help) -> None:
        if order.crash is not None:
            raise ValueError(order.crash)
        if order.leave:
            raise SystemExit(3)
        try:
            await anyio.sleep_forever()
        finally:
            self.journal.append(f"{self.name}'s helper was cancelled")


class BadStart(Diary):
    """Does not start."""

    async def on_start(self) -> None:
        raise OSError(f"{self.name} has no disk")


class SlowStart(Diary):
    """Starts when its door is open."""

    def __init__(self, door: Door, journal: list[str] | None = None, name: str = "slow") -> None:
        super().__init__(journal, name)
        self._door = door

    async def on_start(self) -> None:
        try:
            await self._door.passed()
        except BaseException:
            self.journal.append(f"{self.name}'s start was cancelled")
            raise
        await super().on_start()


class Events(list[Event]):
    """The events of a system, in their order."""

    def __init__(self, system: System | None = None) -> None:
        super().__init__()
        if system is not None:
            self.watch(system)

    def watch(self, system: System) -> None:
        system.events.subscribe(self.append)

    def kinds(self) -> list[str]:
        """Give the exits alone, as `root/diary 1 normal`."""
        exits = [event for event in self if isinstance(event, Exited)]
        return [f"{exit.path} {exit.incarnation} {exit.reason.kind}" for exit in exits]

    @property
    def last_exit(self) -> Exited:
        return [event for event in self if isinstance(event, Exited)][-1]


async def settle() -> None:
    """Wait until nothing is left to do for anybody else."""
    for _ in range(4):
        await anyio.lowlevel.checkpoint()  # callbacks that are due are no tasks yet
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def running(*children: Supervisable) -> AsyncGenerator[System]:
    """Run children under a root that restarts them often."""
    async with System(Supervisor("root", *children, max_restarts=1000)) as system:
        yield system


@asynccontextmanager
async def one(child: Child[Order]) -> AsyncGenerator[tuple[Ref[Order], Events]]:
    """Run one child, and watch it."""
    async with running(child) as system:
        yield system.ref(child), Events(system)


def task_named(name: str) -> "asyncio.Task[object]":
    """Find the asyncio task of an actor."""
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == name]
    return task
