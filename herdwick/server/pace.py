"""When the outboxes of one loop are written."""

import logging
from typing import Final, Protocol

from herdwick.runtime import Clock

from .contain import BUG

logger: Final = logging.getLogger("herdwick.server")

QUIET_TURNS: Final = 2
LONGEST_WAIT: Final = 0.002
"""Seconds that a message may wait for others that it can be written with: 8 broadcasts in a row
reach each of a crowd of 1,000 in 1 or 2 writes."""


class Flushes(Protocol):
    """What has an outbox."""

    def flush(self) -> None:
        """Write what it holds."""
        ...

    def drop(self) -> None:
        """End at once."""
        ...


class Pace:
    """The outboxes of one loop that hold something, and when to write them, all at once.

    That is as soon as nothing more comes for them: two turns of the loop after the last message.
    One turn would come before the rest of the same burst was handled, and write a frame each. Where
    there is no end of messages, the first waits `LONGEST_WAIT`, or twice as long as the last
    writing has taken: the more there is to write, the more is written at once.
    """

    __slots__ = ("_clock", "_quiet", "_took", "_until", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[Flushes] = []
        self._quiet = 0
        self._until = 0.0
        self._took = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, carrier: Flushes) -> bool:
        """Have an outbox written that holds something now; tell whether it is the first."""
        first = not self._waiting
        if first:
            self._until = self._clock() + max(LONGEST_WAIT, 2 * self._took)
        self._waiting.append(carrier)
        self._quiet = 0
        return first

    def more(self) -> None:
        """Take note of another message, in one of these."""
        self._quiet = 0

    def is_time(self) -> bool:
        """Tell, once a turn, whether to write now."""
        self._quiet += 1
        return self._quiet >= QUIET_TURNS or self._clock() >= self._until

    def write(self) -> None:
        """Write all of them; a bug in one ends no other."""
        waiting, self._waiting = self._waiting, []
        started = self._clock()
        for carrier in waiting:
            try:
                carrier.flush()
            except Exception:
                logger.exception(BUG, extra={"kind": "bug"})
                carrier.drop()
        self._took = self._clock() - started
