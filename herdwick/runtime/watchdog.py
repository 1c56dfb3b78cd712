"""The watchdog: finds the handler that blocks the event loop, and all others with it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Final, Literal, Self, TypeAlias

import trio

from .events import Blocked, Event, Events
from .helper import Helper
from .life import Life

News: TypeAlias = Literal["answer", "end"]

logger: Final = logging.getLogger("herdwick.runtime")

LOOK_EVERY: Final = 0.1
"""Seconds between two questions to the loop."""

DEBUGGERS: Final = frozenset({"bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy", "ipdb", "pudb"})

WAITING: Final = ("selectors", "asyncio.runners", "asyncio.windows_events", "trio._core._io")
"""Modules whose frame is the innermost one while a loop waits for its next event.

No actor's code is outward of that.
"""


class Watchdog:
    """Looks at an event loop from a thread, inside of its block, and tells what blocks it.

    A loop that has not had its turn for `warn_after` seconds is stuck in some handler's call that
    does not await: the log gets its stack and the actor, once for each block. After `alarm_after`
    seconds it gets an error, and the subscribers get a `Blocked` as soon as the loop runs again.
    While the process itself stands still, or a debugger holds it, nothing is told.

    It measures real time, so it has no place in tests whose clock jumps. It costs the loop one
    callback each 0.1 s.

    Args:
        events: Who is told: `app.events`, or those of a `System`.
        warn_after: Seconds.
        alarm_after: Seconds.

    Raises:
        ValueError: One is not more than 0, or the alarm comes before the warning.
    """

    def __init__(
        self, events: Events, *, warn_after: float = 0.25, alarm_after: float = 5.0
    ) -> None:
        if not 0 < warn_after <= alarm_after:
            raise ValueError(
                f"warn_after is {warn_after:g} and alarm_after {alarm_after:g}; they must be more "
                f"than 0 seconds, and the alarm not the first"
            )
        self._events = events
        self._warn_after = warn_after
        self._alarm_after = alarm_after
        self._news: SimpleQueue[News] = SimpleQueue()
        self._loop_thread = 0
        self._call: Callable[[Callable[[], object]], object]
        self._thread = threading.Thread(target=self._watch, name="herdwick watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Look at the running loop from now on; once."""
        self._loop_thread = threading.get_ident()
        if trio.lowlevel.in_trio_task():
            self._call = trio.lowlevel.current_trio_token().run_sync_soon
        else:
            self._call = asyncio.get_running_loop().call_soon_threadsafe
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Look no more; the thread ends by itself, for to wait for it would block the loop."""
        self._news.put("end")

    # ------------------------------------------------------------------ its thread

    def _watch(self) -> None:
        while self._next(LOOK_EVERY) is None:
            asked, used = time.monotonic(), time.process_time()
            try:
                self._call(partial(self._news.put, "answer"))
            except RuntimeError:  # the loop is over
                return
            news = self._next(self._warn_after)
            waited, worked = time.monotonic() - asked, time.process_time() - used
            if news is None and stood_still(waited, worked, self._warn_after):
                news = self._next(self._warn_after)
            if news is None:
                news = self._follow(asked)
            if news == "end":
                return

    def _next(self, timeout: float | None) -> News | None:
        try:
            return self._news.get(timeout=timeout)
        except Empty:
            return None

    def _follow(self, asked: float) -> News:
        """Follow one block to its end."""
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage]  # documented
        if frame is None or not blocks(frame):
            return self._news.get()
        path, stack = actor_in(frame), "".join(traceback.format_stack(frame))
        del frame
        self._tell(logging.WARNING, "blocked", path, self._warn_after, stack)
        news = self._next(max(0.0, asked + self._alarm_after - time.monotonic()))
        alarmed = news is None
        if alarmed:
            self._tell(logging.ERROR, "blocked_long", path, self._alarm_after, stack)
            news = self._news.get()
        duration = time.monotonic() - asked
        told = {"kind": "unblocked", "actor": path, "duration": duration}
        logger.info("the event loop runs again after %.2f s", duration, extra=told)
        if alarmed:
            self._emit(Blocked(path or "", duration, stack))
        return news or "end"

    def _tell(self, level: int, kind: str, path: str | None, seconds: float, stack: str) -> None:
        told = {"kind": kind, "actor": path, "duration": seconds, "stack": stack}
        who = path or "what is no actor"
        text = "%s has blocked the event loop for %g s: nobody else is served meanwhile"
        logger.log(level, text, who, seconds, extra=told)

    def _emit(self, event: Event) -> None:
        try:
            self._call(partial(self._events.emit, event))
        except RuntimeError:  # the loop is over
            return


def stood_still(waited: float, worked: float, patience: float) -> bool:
    """Tell whether a wait was so long because the process was suspended, or got no processor.

    A handler in C that keeps the interpreter to itself makes a wait longer too, but works.

    Args:
        waited: Seconds that it took.
        worked: Seconds of processor time that the process has had in it.
        patience: Seconds that it was to take.
    """
    late = waited - patience
    return late > patience / 2 and worked < late / 2


def blocks(frame: FrameType) -> bool:
    """Tell whether a frame is more than the loop's own wait, or a debugger's."""
    # An actor waits there for the pipes of a program that it runs, as loops do for their sockets.
    waits = str(frame.f_globals.get("__name__", "")).startswith(WAITING)
    if waits and actor_in(frame) is None:
        return False
    modules = (str(each.f_globals.get("__name__", "")) for each in _outwards(frame))
    return not any(name.partition(".")[0] in DEBUGGERS for name in modules)


def actor_in(frame: FrameType) -> str | None:
    """Find the path of the actor whose code runs; None where it is no actor's."""
    for each in _outwards(frame):
        owner = each.f_locals.get("self") if each.f_code in _MAINS else None
        if isinstance(owner, Life):
            return owner.slot.path
        if isinstance(owner, Helper):
            return owner.path
    return None


_MAINS: Final = frozenset({Life._main.__code__, Helper.main.__code__})  # pyright: ignore[reportPrivateUsage]  # where an actor's code begins


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
