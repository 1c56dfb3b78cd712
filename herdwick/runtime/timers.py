"""Calls in the future: one heap and one task for a whole system."""

import heapq
import logging
from collections.abc import Callable
from itertools import count
from typing import Final

import anyio

from .backend import Clock, Waiter

logger: Final = logging.getLogger("herdwick.runtime")

LEAST_ENTRIES: Final = 1000


class Timer:
    """One call in the future."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Take the call back; nothing happens where it was made already."""
        self.call = None

    def fire(self) -> None:
        """Make the call, unless it was taken back."""
        call, self.call = self.call, None
        if call is not None:
            call()

    @property
    def pending(self) -> bool:
        """Whether the call is still to be made."""
        return self.call is not None


class Timers:
    """The timers of one system; they can be set and cancelled from callbacks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._earlier = Waiter()
        self._most = LEAST_ENTRIES
        """Entries at which those that were taken back are thrown out."""

    @property
    def now(self) -> float:
        """The moment, in seconds of the system's clock."""
        return self._clock()

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call `call` in `delay` seconds, in a task of the system."""
        return self.call_at(self._clock() + delay, call)

    def call_at(self, moment: float, call: Callable[[], None]) -> Timer:
        """Call `call` at a moment of the system's clock, in a task of the system."""
        timer = Timer(call)
        entry = (moment, next(self._order), timer)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._earlier.wake()
        if len(self._heap) > self._most:
            self._tidy()
        return timer

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def calls(self) -> list[Callable[[], None]]:
        """What is still to be called, in no order."""
        return [timer.call for _, _, timer in self._heap if timer.call is not None]

    async def run(self) -> None:
        """Make the calls as they fall due, until cancelled."""
        while True:
            self._fire_due(self._clock())
            with anyio.move_on_after(self._delay(self._clock())):
                await self._earlier.wait()

    def _fire_due(self, now: float) -> None:
        # Those that are set by these calls wait for the next turn, however soon they are due.
        for timer in self._take_due(now):
            try:
                timer.fire()
            except Exception:
                logger.exception("a timer's call failed", extra={"kind": "timer_failed"})

    def _take_due(self, now: float) -> list[Timer]:
        due: list[Timer] = []
        if not self._heap or self._heap[0][0] > now:
            # What was taken back stays at the head: or each question, whose timer is soon taken
            # back, would be the earliest again and wake the task.
            return due
        while self._heap and (self._heap[0][0] <= now or not self._heap[0][2].pending):
            due.append(heapq.heappop(self._heap)[2])
        return due

    def _tidy(self) -> None:
        """Throw out what was taken back, and let twice of what is left come together."""
        self._heap = [entry for entry in self._heap if entry[2].pending]
        heapq.heapify(self._heap)
        self._most = max(LEAST_ENTRIES, 2 * len(self._heap))

    def _delay(self, now: float) -> float:
        return max(0.0, self._heap[0][0] - now) if self._heap else float("inf")
