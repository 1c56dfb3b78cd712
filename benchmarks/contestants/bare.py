"""The floor: a deque and one parked task; no supervision, no bounds, no timeouts."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

from .crowd import Add, Get
from .tasks import open_tasks


class Spot(Protocol):
    """Where one task parks until it is woken."""

    async def wait(self) -> None: ...
    def wake(self) -> None: ...


class AsyncioSpot:
    __slots__ = ("_future",)

    async def wait(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._future

    def wake(self) -> None:
        self._future.set_result(None)


class TrioSpot:
    __slots__ = ("_task",)

    async def wait(self) -> None:
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(_stay)

    def wake(self) -> None:
        trio.lowlevel.reschedule(self._task)


def _stay(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class Question:
    __slots__ = ("answer", "asker", "message")

    def __init__(self, message: Get, asker: Spot) -> None:
        self.message = message
        self.asker = asker
        self.answer = 0


class Counter:
    __slots__ = ("_idle", "_mailbox", "_new_spot", "_number", "_spot", "ended")

    def __init__(self, new_spot: Callable[[], Spot], number: int) -> None:
        self.ended = False
        self._number = number
        self._mailbox: deque[Add | Question | None] = deque()
        self._new_spot = new_spot
        self._spot = new_spot()
        self._idle = False

    def tell(self, message: Add | Question | None) -> None:
        self._mailbox.append(message)
        if self._idle:
            self._idle = False
            self._spot.wake()

    async def ask(self, message: Get) -> int:
        question = Question(message, self._new_spot())
        self.tell(question)
        await question.asker.wait()
        return question.answer

    async def run(self) -> None:
        while True:
            while self._mailbox:
                message = self._mailbox.popleft()
                if isinstance(message, Add):
                    await self._add(message)
                elif isinstance(message, Question):
                    message.answer = await self._get(message.message)
                    message.asker.wake()
                else:
                    self.ended = True
                    return
            self._idle = True
            await self._spot.wait()

    async def _add(self, message: Add) -> None:
        self._number += 1

    async def _get(self, message: Get) -> int:
        return self._number


open_crowd = partial(open_tasks, partial(Counter, AsyncioSpot), partial(Counter, TrioSpot))
