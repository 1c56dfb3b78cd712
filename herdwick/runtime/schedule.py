"""The timers of one incarnation of an actor: messages to itself, later."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

from .mailbox import Mailbox, Signal
from .timers import Timer, Timers


@dataclass(slots=True, eq=False)
class _Entry:
    message: object
    due: float
    period: float | None
    timer: Timer | None = None
    queued: Signal | None = None


class Schedule:
    """What an actor has told itself to be told later.

    A message that falls due stands in the mailbox in order, exempt from its bound: a full mailbox
    loses no timeout. An interval never has more than one message there: an actor that is behind
    misses ticks, it does not get them all at once.
    """

    def __init__(self, timers: Timers, mailbox: Mailbox) -> None:
        self._timers = timers
        self._mailbox = mailbox
        self._entries: dict[Hashable, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def once(self, delay: float, message: object, key: Hashable) -> None:
        """Put `message` into the mailbox in `delay` seconds."""
        if not delay >= 0:
            raise ValueError(f"delay is {delay:g}; it must be 0 seconds or more")
        self._set(_Entry(message, self._timers.now + delay, None), key)

    def every(self, period: float, message: object, key: Hashable) -> None:
        """Put `message` into the mailbox each `period` seconds, without drift."""
        if not 0 < period < float("inf"):
            raise ValueError(f"period is {period:g}; it must be more than 0 seconds")
        self._set(_Entry(message, self._timers.now + period, period), key)

    def cancel(self, key: Hashable) -> None:
        """Take a timer back, and what the mailbox holds of it."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.timer is not None:
            entry.timer.cancel()
        self._mailbox.take_back(lambda signal: signal.origin == ("timer", key))

    def clear(self) -> None:
        """Take all timers back."""
        for entry in self._entries.values():
            if entry.timer is not None:
                entry.timer.cancel()
        self._entries.clear()

    def _set(self, entry: _Entry, key: Hashable) -> None:
        if key is None:
            key = entry  # nobody can name it, and it is in nobody's way
        else:
            self.cancel(key)
        self._entries[key] = entry
        self._wind(entry, key)

    def _wind(self, entry: _Entry, key: Hashable) -> None:
        entry.timer = self._timers.call_at(entry.due, partial(self._fire, entry, key))

    def _fire(self, entry: _Entry, key: Hashable) -> None:
        if entry.queued is None or not entry.queued.waits:
            entry.queued = Signal(entry.message, ("timer", key))
            self._mailbox.put_signal(entry.queued)
        if entry.period is None:
            del self._entries[key]
            return
        missed = max(0.0, self._timers.now - entry.due) // entry.period
        entry.due += entry.period * (missed + 1)
        self._wind(entry, key)
