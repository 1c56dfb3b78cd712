"""Dead letters: messages that were told to somebody and reached nobody."""

import logging
from collections import Counter
from typing import Final

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


class DeadLetters:
    """The dead letters of one system: told as events, counted, and logged.

    The log names the kind of a message and never what is in it. Of a message whose handler has
    crashed it says nothing: the crash stands there.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
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
            told = {"kind": "dead_letters"}
            text = "%d dead letters in all: %s%s"
            logger.warning(text, self._counted.total(), often, more, extra=told)

    def _log(self, path: str, message: object, why: Fate) -> None:
        known = path in self._counted or len(self._counted) < MOST_PATHS
        self._counted[path if known else "others"] += 1
        told = {"kind": "dead_letter", "actor": path, "reason": why}
        kind = type(message).__name__
        logger.warning("dead letter: %s got no %s, for %s", path, kind, REASONS[why], extra=told)
