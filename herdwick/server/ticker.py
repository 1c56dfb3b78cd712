"""One task that keeps the deadlines of all connections of a server."""

import asyncio
import logging
import math
from typing import Final, Generic, Protocol, TypeVar

import anyio

from herdwick.runtime import Clock

logger = logging.getLogger("herdwick.server")

GRAIN: Final = 0.05
"""Seconds by which a deadline may be late: deadlines of one grain are kept together."""


class Ticking(Protocol):
    """What has deadlines."""

    def tick(self, now: float) -> None:
        """Do what is due, and `watch` the next deadline."""
        ...


class Watches(Protocol):
    """Who keeps deadlines."""

    def watch(self, item: Ticking, deadline: float | None) -> None:
        """Tick an item at its deadline. None leaves an earlier deadline as it is."""
        ...

    def forget(self, item: Ticking) -> None:
        """Tick an item no more."""
        ...


T = TypeVar("T", bound=Ticking)


class Wheel(Generic[T]):
    """Items by the grain of time in which they are due; putting and removing take constant time.

    A deadline that moves later leaves its item where it is: it then comes up once too early.
    """

    def __init__(self, grain: float = GRAIN) -> None:
        self._grain = grain
        self._slots: dict[int, dict[T, None]] = {}
        self._slot_of: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def put(self, item: T, deadline: float) -> None:
        """Put an item, or move it to an earlier moment."""
        slot = math.ceil(deadline / self._grain)
        held = self._slot_of.get(item)
        if held is not None:
            if held <= slot:
                return
            self.remove(item)
        self._slots.setdefault(slot, {})[item] = None
        self._slot_of[item] = slot

    def remove(self, item: T) -> None:
        """Remove an item, if it is there."""
        slot = self._slot_of.pop(item, None)
        if slot is not None:
            del self._slots[slot][item]
            if not self._slots[slot]:
                del self._slots[slot]

    @property
    def next(self) -> float:
        """When the first item is due; infinity if there is none."""
        return min(self._slots) * self._grain if self._slots else math.inf

    def due(self, now: float) -> list[T]:
        """Remove and give the items that are due, the oldest first."""
        slots = sorted(slot for slot in self._slots if slot * self._grain <= now)
        items = [item for slot in slots for item in self._slots[slot]]
        for item in items:
            self.remove(item)
        return items


class Ticker:
    """Calls `tick` on what it watches; `run` is its task."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wheel: Wheel[Ticking] = Wheel()
        self._awaited = math.inf
        self._sooner = anyio.Event()

    def watch(self, item: Ticking, deadline: float | None) -> None:
        """Tick an item at its deadline. None leaves an earlier deadline as it is."""
        if deadline is None:
            return
        self._wheel.put(item, deadline)
        if deadline < self._awaited:
            self._sooner.set()

    def forget(self, item: Ticking) -> None:
        """Tick an item no more."""
        self._wheel.remove(item)

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            self._sooner = anyio.Event()
            self._awaited = self._wheel.next
            with anyio.CancelScope(deadline=self._awaited):
                await self._sooner.wait()
            now = self._clock()
            for item in self._wheel.due(now):
                tick(item, now)


class LoopTicker:
    """The same by the timers of an asyncio loop, for servers that are not ours: it has no task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wheel: Wheel[Ticking] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def watch(self, item: Ticking, deadline: float | None) -> None:
        """Tick an item at its deadline. None leaves an earlier deadline as it is."""
        if deadline is not None:
            self._wheel.put(item, deadline)
            if deadline < self._due:
                self._wind(deadline)

    def forget(self, item: Ticking) -> None:
        """Tick an item no more."""
        self._wheel.remove(item)

    def _wind(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = moment, None
        if moment < math.inf:
            self._timer = self._loop.call_at(moment + GRAIN, self._tick)

    def _tick(self) -> None:
        self._due, self._timer = math.inf, None
        now = self._loop.time()
        for item in self._wheel.due(now):
            tick(item, now)
        if self._timer is None:
            self._wind(self._wheel.next)


def tick(item: Ticking, now: float) -> None:
    """Let an item do what is due; a bug in it ends no other."""
    try:
        item.tick(now)
    except Exception:
        text = "a bug in one connection's deadline; the others go on"
        logger.exception(text, extra={"kind": "bug"})
