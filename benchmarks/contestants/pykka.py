"""Pykka: a thread per actor, whose askers block."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pykka

from .crowd import Add, Crowd, Get


class Counting(pykka.ThreadingActor):
    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def on_receive(self, message: Add | Get) -> int | None:
        if isinstance(message, Get):
            return self._number
        self._number += 1
        return None


class Counter:
    def __init__(self, actor: pykka.ActorRef[Counting]) -> None:
        self.actor = actor
        self.tell = actor.tell

    async def ask(self, message: Get) -> int:
        number: int = self.actor.ask(message, block=True)
        return number


async def start(number: int) -> Counter:
    return Counter(Counting.start(number))


async def end(counter: Counter) -> None:
    counter.actor.stop()


async def stop() -> None:
    pykka.ActorRegistry.stop_all()


@asynccontextmanager
async def open_crowd() -> AsyncGenerator[Crowd[Counter]]:
    yield Crowd(start, end, stop, lambda: len(pykka.ActorRegistry.get_all()))
