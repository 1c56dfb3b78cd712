"""Supervised actors, started one by one under a `Dynamic`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from herdwick.runtime import Actor, Dynamic, Ref, Supervisor, System, on

from .crowd import Add, Crowd, Get


class Counting(Actor[Add | Get]):
    """Counts what it is told."""

    def __init__(self, number: int) -> None:
        self._number = number

    @on(Add)
    async def add(self, message: Add) -> None:
        self._number += 1

    @on(Get)
    async def get(self, message: Get) -> int:
        return self._number


@asynccontextmanager
async def open_crowd() -> AsyncGenerator[Crowd[Ref[Add | Get]]]:
    """Run a system whose tree holds nothing but the crowd."""
    counters = Dynamic("counters", Counting)
    async with System(Supervisor("root", counters)) as system:
        yield Crowd(
            start=lambda number: system.start(counters, number),
            end=system.terminate_child,
            stop=lambda: system.terminate_child(counters),
            count=lambda: len(system.which_children(counters)),
        )
