"""What measures a piece of work: its time, and what it leaves behind."""

import asyncio
import gc
import logging
import os
import sys
import time
from typing import Self

import trio


class Stopwatch:
    """The CPU time of this process, all its threads together, within a `with` block."""

    def __enter__(self) -> Self:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self._cpu
        self.wall = time.perf_counter() - self._wall

    def each(self, count: int) -> float:
        """Give the µs of CPU time that each of `count` operations took."""
        return self.cpu / count * 1e6


class Warnings(logging.Handler):
    """What was logged as a warning or worse: an actor that had to be killed, say."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self.texts.append(record.getMessage())


class Holdings:
    """What this process holds now."""

    def __init__(self) -> None:
        gc.collect()
        self.tasks = _living_tasks()
        """Of the event loop that runs."""
        self.blocks = sys.getallocatedblocks()
        """Pieces of memory that Python objects take; exact, where `kib` is what it costs."""
        self.kib = _resident_kib()
        """Resident memory."""


def _living_tasks() -> int:
    if trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def _resident_kib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
