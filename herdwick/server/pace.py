"""When the outboxes of one loop are written."""

from typing import Final

QUIET_TURNS: Final = 2
LONGEST_WAIT: Final = 0.002
"""Seconds that a message may wait for others that it can be written with: 8 broadcasts in a row
reach each of a crowd of 1,000 in 1 or 2 writes."""


class Pace:
    """When to write the outboxes of one loop, all at once: as soon as nothing more comes for them.

    That is two turns of the loop after the last message: one turn would come before the rest of
    the same burst was handled, and write a frame each. Where there is no end of messages, the first
    waits `LONGEST_WAIT`, or twice as long as the last writing has taken: the more there is to
    write, the more is written at once.
    """

    __slots__ = ("_quiet", "_took", "_until")

    def __init__(self) -> None:
        self._quiet = 0
        self._until = 0.0
        self._took = 0.0

    def begin(self, now: float) -> None:
        """Take note of the first message."""
        self._quiet = 0
        self._until = now + max(LONGEST_WAIT, 2 * self._took)

    def more(self) -> None:
        """Take note of another one."""
        self._quiet = 0

    def is_time(self, now: float) -> bool:
        """Tell, once a turn, whether to write now."""
        self._quiet += 1
        return self._quiet >= QUIET_TURNS or now >= self._until

    def wrote(self, seconds: float) -> None:
        """Take note of how long the writing has taken."""
        self._took = seconds
