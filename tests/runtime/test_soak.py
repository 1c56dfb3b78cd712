"""Whatever happens in whatever order, everybody is answered, and a system stops."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
import trio

from herdwick.runtime import (
    ActorStopped,
    AskError,
    Child,
    Dynamic,
    ForeignCancellation,
    Ref,
    Rejected,
    RestartLimitReached,
    StartFailed,
    Supervisor,
    System,
)
from tests.runtime.samples import Crash, Diary, Hang, Help, Note, Notes, Order, Quit, Refuse

ORDERS = (Crash(), Quit(), Hang(), Help(), Help(crash="helpless"), Note("x"))


class Chaos:
    """A tree, and one who gives it no rest."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        choose = self._random.choice
        self._diaries = [
            Child(Diary)
            .named(f"{number}")
            .policy(restart=choose(["permanent", "transient", "temporary"]), grace=0)
            for number in range(4)
        ]
        self._rooms = Dynamic("rooms", Diary, restart=choose(["permanent", "temporary"]))
        branch = Supervisor("branch", *self._diaries[:2], max_restarts=choose([0, 1, 3]))
        self.tree = Supervisor(
            "root", branch, self._rooms, *self._diaries[2:], max_restarts=choose([1, 5, 50])
        )

    async def reign(self, system: System, tasks: anyio.abc.TaskGroup) -> None:
        refs = [system.ref(diary) for diary in self._diaries]
        for _ in range(self._random.randrange(60)):
            ref = self._random.choice(refs)
            match self._random.randrange(8):
                case 0 | 1:
                    tasks.start_soon(ask, ref)
                case 2:
                    await self._start(system)
                case 3:
                    await anyio.lowlevel.checkpoint()
                case 4:
                    self._cancel_somebody()
                case _:
                    ref.tell(self._random.choice(ORDERS))

    async def _start(self, system: System) -> None:
        try:
            ref = await system.start(self._rooms)
        except (StartFailed, ActorStopped):
            return
        ref.tell(self._random.choice((Crash(), Quit(), Note("x"))))

    def _cancel_somebody(self) -> None:
        if not trio.lowlevel.in_trio_task():
            tasks = {task.get_name(): task for task in asyncio.all_tasks()}
            self._random.choice([tasks[name] for name in sorted(tasks) if "root" in name]).cancel()


async def ask(ref: Ref[Order]) -> None:
    try:
        await ref.ask(Notes(), timeout=0.1)
        await ref.ask(Refuse(), timeout=0.1)
    except (AskError, Rejected):
        pass


@asynccontextmanager
async def nobody_left() -> AsyncGenerator[None]:
    before = set[object]() if trio.lowlevel.in_trio_task() else set[object](asyncio.all_tasks())
    yield
    if not trio.lowlevel.in_trio_task():
        assert set(asyncio.all_tasks()) == before


@pytest.mark.parametrize("seed", range(20))
async def test_a_system_outlives_chaos_and_stops(seed: int) -> None:
    chaos = Chaos(seed)

    async with nobody_left(), anyio.create_task_group() as tasks:
        try:
            async with System(chaos.tree) as system:
                await chaos.reign(system, tasks)
        except (RestartLimitReached, ForeignCancellation):
            pass  # the root may go down, and says so by one bare error
