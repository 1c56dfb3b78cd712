"""SIGINT and SIGTERM: the first asks to stop, the second ends the process."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread, current_thread, main_thread
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

import trio

from herdwick.runtime import Once

if sys.platform == "win32":
    STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

NOTICE: Final = 1.0
"""Seconds that a loop has to take the order before it is told to be blocked."""


class StopSignals:
    """The order to stop, as it comes from outside of the process.

    Inside its block the first signal lets `asked` happen in the loop that was attached. Another
    one ends the process at once with 128 + its number, and so does the deadline after the first,
    with 1: whatever blocks or ignores its cancellation cannot hold the process.

    Plain handlers, not those of an event loop: a loop that is blocked hears nothing, and two
    presses of Ctrl-C shall end that too. Off the main thread no signals are received.
    """

    def __init__(self, signals: Sequence[signal.Signals], deadline: float) -> None:
        self.asked = Once()
        """Somebody has asked to stop."""
        self.first: signal.Signals | None = None
        """The signal that asked."""
        self._signals = signals if current_thread() is main_thread() else ()
        self._deadline = deadline
        self._tell: Callable[[], object] | None = None
        self._before: dict[signal.Signals, object] = {}
        # Its `put` may interrupt another one, as a signal handler does; an Event's `set` may not.
        self._news: SimpleQueue[str] = SimpleQueue()

    def __enter__(self) -> Self:
        """Take the signals over."""
        Thread(target=self._watch, name="herdwick deadline", daemon=True).start()
        for number in self._signals:
            self._before[number] = signal.signal(number, self._receive) or signal.SIG_DFL
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what it gave
        self._news.put("left")

    def attach(self) -> None:
        """Tell the running loop from now on, also of what has come before."""
        if trio.lowlevel.in_trio_task():
            call_soon = trio.lowlevel.current_trio_token().run_sync_soon
            self._tell = partial(call_soon, self.asked.happen)
        else:
            loop = asyncio.get_running_loop()
            self._tell = partial(loop.call_soon_threadsafe, self.asked.happen)
        if self.first is not None:
            self._tell()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.first is not None:
            end_process(128 + number, "the second signal ends it at once")
        self.first = signal.Signals(number)
        self._news.put("asked")
        if self._tell is not None:
            with suppress(RuntimeError):  # the loop is over already
                self._tell()

    def _watch(self) -> None:
        if self._news.get() == "left":
            return
        notice = min(NOTICE, self._deadline)
        with suppress(Empty):
            self._news.get(timeout=notice)
            return
        if not self.asked and self.first is not None:
            say(f"{self.first.name}: the event loop is blocked; a second one ends it at once")
        with suppress(Empty):
            self._news.get(timeout=self._deadline - notice)
            return
        end_process(1, f"it did not stop within {self._deadline:g} s and is ended")


def end_process(code: int, why: str) -> NoReturn:
    """End the process now: no cleaning up, no waiting, whatever its threads and tasks do."""
    say(why)
    os._exit(code)


def say(text: str) -> None:
    """Write a line to stderr, past all logging and its locks, unless that would block."""
    with suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"herdwick: {text}\n".encode())
