"""Dead letters: messages that were told to somebody and reached nobody."""

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Final

from .backend import Clock
from .events import DeadLetter, Events, Fate

logger: Final = logging.getLogger("herdwick.runtime")

MOST_PATHS: Final = 1000
"""Actors that are counted one by one."""

REASONS: Final[dict[Fate, str]] = {
    "stopped": "it has stopped",
    "full": "its mailbox is full",
    "evicted": "later ones filled its mailbox",
    "dropped": "it restarted, and its policy drops what waits",
}


@dataclass(slots=True)
class Allowance:
    """At most `most` lines in a log within `period` seconds; what is left out is counted."""

    most: int = 10
    period: float = 10.0
    suppressed: int = 0
    """Lines left out since the last one that was let through."""
    _since: float = float("-inf")
    _lines: int = 0

    def take(self, now: float) -> bool:
        """Tell whether one more line may be written, now."""
        if now - self._since >= self.period:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > self.most:
            self.suppressed += 1
        return self._lines <= self.most


class DeadLetters:
    """The dead letters of one system: told as events, counted, and logged with an allowance.

    The log names the kind of a message and never what is in it. Of a message whose handler has
    crashed it says nothing: the crash stands there.
    """

    def __init__(self, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self._allowance = Allowance()
        self._counted: Counter[str] = Counter()
        self.total = 0
        """How many there were."""

    def add(self, path: str, message: object, why: Fate) -> None:
        """Make it visible that a message reached nobody."""
        self.total += 1
        self._events.emit(DeadLetter(path, message, why))
        if why != "crashed":
            self._log(path, message, why)

    def sum_up(self) -> None:
        """Log, at the end, how many there were and to whom."""
        if self._counted:
            often = ", ".join(f"{count} to {path}" for path, count in self._counted.most_common(5))
            others = len(self._counted) - 5
            more = f" and {others} others" if others > 0 else ""
            logger.warning("%d dead letters in all: %s%s", self._counted.total(), often, more)

    def _log(self, path: str, message: object, why: Fate) -> None:
        known = path in self._counted or len(self._counted) < MOST_PATHS
        self._counted[path if known else "others"] += 1
        if self._allowance.take(self._clock()):
            text = "dead letter: %s got no %s, for %s%s"
            logger.warning(text, path, type(message).__name__, REASONS[why], self._omitted())

    def _omitted(self) -> str:
        omitted, self._allowance.suppressed = self._allowance.suppressed, 0
        return f" ({omitted} more went unlogged before it)" if omitted else ""
