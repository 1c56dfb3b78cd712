"""What a test has left behind, as far as it can be seen from outside."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import anyio
import anyio.lowlevel
import trio

TURNS: Final = 100
"""Turns of the loop that a task which is about to end gets."""


class Leaked(AssertionError):
    """Something outlives the harness that it belonged to."""

    def __init__(self, leaks: Sequence[str]) -> None:
        super().__init__("\n".join(["the harness has stopped, and this is left:", *leaks]))
        self.leaks = tuple(leaks)


class LooseTasks:
    """The asyncio tasks that somebody has started since and nobody waits for.

    Tasks of a group of anyio's have an owner. trio has none without.
    """

    def __init__(self) -> None:
        self._before = set(loose_tasks())

    async def left(self) -> list[str]:
        """Name those that do not end by themselves now."""
        for _ in range(TURNS):
            if not self._started_since():
                break
            await anyio.lowlevel.checkpoint()
        return [f"a task that nobody waits for: {task!r}" for task in self._started_since()]

    def _started_since(self) -> list["asyncio.Task[object]"]:
        return [task for task in loose_tasks() if task not in self._before]


def loose_tasks() -> Iterable["asyncio.Task[object]"]:
    """Give the asyncio tasks that no task group of anyio's has started."""
    if trio.lowlevel.in_trio_task():
        return []
    owned = {task.id for task in anyio.get_running_tasks() if task.parent_id is not None}
    return [task for task in asyncio.all_tasks() if id(task) not in owned and not _drives(task)]


def _drives(task: "asyncio.Task[object]") -> bool:
    """Tell whether it is the task by which anyio's pytest plugin runs a fixture or a test."""
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")
