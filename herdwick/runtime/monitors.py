"""Monitors: who wants to know when an actor ends, and what he is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final, Never

import msgspec

from .exit import Exit
from .mailbox import Mailbox, Signal

logger: Final = logging.getLogger("herdwick.runtime")

if TYPE_CHECKING:
    from .ref import Ref

    AnyRef = Ref[Never]
else:  # msgspec reads the annotation, and refs import this module
    AnyRef = object


class Down(msgspec.Struct, frozen=True):
    """An actor that was monitored has ended (OTP: the message DOWN).

    It arrives after everything that the actor had sent to the one who monitors, even where his
    mailbox is full. A restart produces one too: monitor the ref again to watch the next life.
    """

    ref: AnyRef
    reason: Exit
    """`noproc` where it had ended before the monitor was set."""
    tag: Hashable = None


class Monitor:
    """One watch over one incarnation; it tells of the end once, unless it is cancelled before."""

    __slots__ = ("_deliver", "ref", "tag", "watched")

    def __init__(self, ref: AnyRef, deliver: Callable[[Down], None], tag: Hashable = None) -> None:
        self.ref = ref
        self.tag = tag
        self._deliver: Callable[[Down], None] | None = deliver
        self.watched: dict[Monitor, None] | None = None
        """Where the incarnation keeps it; None where there is none that lives."""

    def cancel(self) -> None:
        """Tell nobody."""
        self._deliver = None
        if self.watched is not None:
            self.watched.pop(self, None)

    def fire(self, reason: Exit) -> None:
        """Tell of the end; the second time, nothing happens."""
        deliver, self._deliver = self._deliver, None
        if deliver is None:
            return
        try:
            deliver(Down(self.ref, reason, self.tag))
        except Exception:  # or the end of the actor would stop half-way: nobody restarts it
            told = {"kind": "monitor_failed", "actor": self.ref.path}
            logger.exception("who watches %s failed on its end", self.ref.path, extra=told)


def watch(ref: AnyRef, deliver: Callable[[Down], None], tag: Hashable = None) -> Monitor:
    """Call `deliver` once with the `Down` of the actor's incarnation, in the runtime's own turn.

    For actors there is `ctx.monitor`. Where nobody lives there now, it is called at once, with
    the reason `noproc`. It must not block; an error in it is logged and does no harm.
    """
    monitor = Monitor(ref, deliver, tag)
    ref.watch(monitor)
    return monitor


class Monitors:
    """The monitors that one incarnation of an actor has set."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._set: dict[tuple[AnyRef, Hashable], Monitor] = {}

    def __len__(self) -> int:
        return len(self._set)

    def add(self, ref: AnyRef, tag: Hashable) -> None:
        """Watch an actor; once is enough for the same ref and tag."""
        if (ref, tag) not in self._set:
            monitor = Monitor(ref, self._down, tag)
            self._set[ref, tag] = monitor
            ref.watch(monitor)

    def drop(self, ref: AnyRef) -> None:
        """Watch an actor no more, and take back what the mailbox holds of it."""
        for key in [key for key in self._set if key[0] == ref]:
            self._set.pop(key).cancel()
        self._mailbox.take_back(lambda signal: signal.origin == ref)

    def clear(self) -> None:
        """Watch nobody any more."""
        for monitor in self._set.values():
            monitor.cancel()
        self._set.clear()

    def _down(self, down: Down) -> None:
        del self._set[down.ref, down.tag]
        self._mailbox.put_signal(Signal(down, down.ref))
