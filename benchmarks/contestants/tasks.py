"""A crowd that is no more than tasks in the backend's own task group."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias

import anyio.lowlevel
import trio

from .crowd import Add, Crowd, Get


class TaskCounter(Protocol):
    """An actor whose task ends when it is told None, and says so in `ended`."""

    ended: bool

    def tell(self, message: Add | None, /) -> None: ...
    async def ask(self, message: Get, /) -> int: ...
    async def run(self) -> None: ...


Make: TypeAlias = Callable[[int], TaskCounter]
Spawn: TypeAlias = Callable[[TaskCounter], object]


@asynccontextmanager
async def open_tasks(on_asyncio: Make, on_trio: Make) -> AsyncGenerator[Crowd[TaskCounter]]:
    """Run a crowd of one sort of counters on asyncio, and of another sort on trio."""
    if trio.lowlevel.in_trio_run():
        async with trio.open_nursery() as nursery:
            yield _crowd(on_trio, lambda counter: nursery.start_soon(counter.run))
    else:
        async with asyncio.TaskGroup() as group:
            yield _crowd(on_asyncio, lambda counter: group.create_task(counter.run()))


def _crowd(make: Make, spawn: Spawn) -> Crowd[TaskCounter]:
    counters: set[TaskCounter] = set()

    async def start(number: int) -> TaskCounter:
        counter = make(number)
        counters.add(counter)
        spawn(counter)
        return counter

    async def end(counter: TaskCounter) -> None:
        counter.tell(None)
        while not counter.ended:
            await anyio.lowlevel.checkpoint()
        counters.remove(counter)

    async def stop() -> None:
        for counter in counters:
            counter.tell(None)
        while counters:
            counters.difference_update([counter for counter in counters if counter.ended])
            await anyio.lowlevel.checkpoint()  # after it, the loop has let go of those that ended

    return Crowd(start, end, stop, lambda: len(counters))
