"""One cell of the benchmark: what is measured, and whether it was done right.

    python -m benchmarks.cell herdwick trio ask 1000

measures one of them, for a profiler say. A wrong answer, a message that is lost, an actor, a task
or memory that is left over end it with `Wrong`.
"""

import gc
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import anyio
import anyio.lowlevel

from .contestants import ADD, GET, C, Counter, Crowd, OpenCrowd, contestant
from .instruments import Holdings, Stopwatch, Warnings

Figures: TypeAlias = dict[str, float]
"""µs of CPU time for each message or actor, but where the name says otherwise."""

Workload: TypeAlias = Callable[[OpenCrowd[Counter], int], Awaitable[Figures]]

THREADS: Final = "threads"
"""The backend of what has no event loop of its own."""

BURST: Final = 900
"""Tells in a row; a mailbox holds 1,000 by default."""

STARTERS: Final = 100
"""Tasks that start actors at the same time."""

BLOCKS_OF_A_TIMER: Final = 5
"""What may be left of an actor for some seconds, while its system runs on: a timer taken back."""

SLACK: Final = 10_000
"""Blocks of memory that may be left of any crowd: our timers' heap and trio's each keep up to 1,000
that were taken back."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A contestant on a backend with a workload, of so many messages or actors."""

    contestant: str
    backend: str
    workload: str
    size: int

    def run(self) -> Figures:
        """Measure it, in this process, which should be a fresh one.

        Raises:
            Wrong: It did not do what was measured.
        """
        gc.collect()  # what the imports have left; the crowds see to theirs
        warnings = Warnings()
        figures = self._run()
        _check("warnings", warnings.texts[:3], [])
        return figures

    def _run(self) -> Figures:
        work = partial(WORKLOADS[self.workload], contestant(self.contestant), self.size)
        if self.backend == "uvloop":
            return anyio.run(work, backend_options={"use_uvloop": True})
        return anyio.run(work, backend="trio" if self.backend == "trio" else "asyncio")


class Wrong(Exception):
    """What was measured did not do what it should."""


async def tell(open_crowd: OpenCrowd[C], messages: int) -> Figures:
    """Tell one actor bursts of messages, and wait after each until it has handled them."""
    async with open_crowd() as crowd:
        counter = await crowd.start(0)
        with Stopwatch() as watch:
            for told in range(0, messages, BURST):
                for _ in range(min(BURST, messages - told)):
                    counter.tell(ADD)
                await counter.ask(GET)
        _check("told and counted", await counter.ask(GET), messages)
        await crowd.stop()
    return {"tell": watch.each(messages)}


async def ask(open_crowd: OpenCrowd[C], questions: int) -> Figures:
    """Ask one actor, which does nothing else, one question after another."""
    async with open_crowd() as crowd:
        counter = await crowd.start(7)
        with Stopwatch() as watch:
            answers = [await counter.ask(GET) for _ in range(questions)]
        _check("answers", set(answers), {7})
        await crowd.stop()
    return {"ask": watch.each(questions)}


async def come_and_go(open_crowd: OpenCrowd[C], actors: int) -> Figures:
    """Start an actor, ask it, and stop it before the next one comes; nothing may pile up."""
    await _rehearse(open_crowd)
    async with open_crowd() as crowd:
        before = Holdings()
        with Stopwatch() as watch:
            for number in range(actors):
                await _visit(crowd, number)
        _check("actors that still run", crowd.count(), 0)
        _check_given_back(before, Holdings(), 0.1 * actors)
    return {"life": watch.each(actors)}


async def _visit(crowd: Crowd[C], number: int) -> None:
    counter = await crowd.start(number)
    _check("answer", await counter.ask(GET), number)
    await crowd.end(counter)


async def live(open_crowd: OpenCrowd[C], actors: int, *, starters: int) -> Figures:
    """Start a crowd, ask each actor once, and stop them all; nothing may be left."""
    await _rehearse(open_crowd)
    before = Holdings()
    async with open_crowd() as crowd:
        empty = Holdings()
        with Stopwatch() as starting:
            counters = await _start(crowd, actors, starters)
        started = Holdings()
        with Stopwatch() as asking:
            answers = [await counter.ask(GET) for counter in counters]
        asked = Holdings()
        _check("actors that run", crowd.count(), actors)
        _check("answers", answers == list(range(actors)), True)
        with Stopwatch() as stopping:
            await crowd.stop()
        _check("actors that still run", crowd.count(), 0)
        del counters, answers
        _check_given_back(empty, Holdings(), BLOCKS_OF_A_TIMER * actors)
    del crowd
    after = Holdings()
    _check("tasks", after.tasks, before.tasks)
    _check_given_back(before, after, 0.1 * actors)
    return {
        "start": starting.each(actors),
        "ask each": asking.each(actors),
        "stop": stopping.each(actors),
        "KiB started": (started.kib - empty.kib) / actors,
        "KiB asked": (asked.kib - empty.kib) / actors,
        "seconds": starting.wall + asking.wall + stopping.wall,
    }


async def _rehearse(open_crowd: OpenCrowd[C]) -> None:
    """Let everything be made that is made once, and belongs to no actor."""
    async with open_crowd() as crowd:
        counter = await crowd.start(0)
        await counter.ask(GET)
        await crowd.stop()


async def _start(crowd: Crowd[C], actors: int, starters: int) -> list[C]:
    """Start actors that count from 0, 1, 2, …, and let the last take its first step too."""
    counters: dict[int, C] = {}

    async def start(numbers: Iterable[int]) -> None:
        for number in numbers:
            counters[number] = await crowd.start(number)

    if starters == 1:
        await start(range(actors))
    else:
        async with anyio.create_task_group() as tasks:
            for first in range(starters):
                tasks.start_soon(start, range(first, actors, starters))
    await anyio.lowlevel.checkpoint()
    return [counters[number] for number in range(actors)]


def _check(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise Wrong(f"{what}: {actual}, not {expected}")


def _check_given_back(before: Holdings, after: Holdings, blocks: float) -> None:
    """Raise `Wrong` where more is left than some blocks of memory: entries of a registry, say."""
    left = after.blocks - before.blocks
    if left > SLACK + blocks:
        raise Wrong(f"{left} blocks of memory were not given back")


WORKLOADS: Final[Mapping[str, Workload]] = {
    "tell": tell,
    "ask": ask,
    "come and go": come_and_go,
    "one by one": partial(live, starters=1),
    "at once": partial(live, starters=STARTERS),
}


if __name__ == "__main__":
    chosen, backend, workload, size = sys.argv[1:]
    print(json.dumps(Cell(chosen, backend, workload, int(size)).run(), indent=1))
