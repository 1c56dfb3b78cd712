"""What happens to actors, as facts that logs, metrics and tests subscribe to."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

from .errors import RestartLimitReached, StartFailed
from .exit import Exit

logger: Final = logging.getLogger("herdwick.runtime")


@dataclass(frozen=True, slots=True)
class Started:
    """An incarnation is ready."""

    path: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Exited:
    """An incarnation has ended."""

    path: str
    incarnation: int
    reason: Exit
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Restarted:
    """A new incarnation follows one that has ended."""

    path: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class GaveUp:
    """A child failed more often than its budget allows, and stays down."""

    path: str
    restarts: int
    period: float | None
    """Seconds within which they were counted; None where only those in a row are."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """An actor was cancelled and goes on all the same; nobody can end it, and nobody follows it."""

    path: str
    incarnation: int
    stack: str
    """Where its task stands, the innermost call last."""


Fate: TypeAlias = Literal["stopped", "full", "evicted", "dropped", "crashed"]
"""stopped: nobody is there; full: it was not taken; evicted: a later one took its place; dropped:
a restart did not keep it; crashed: the actor failed while it handled it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was told reached nobody."""

    path: str
    message: object
    why: Fate


@dataclass(frozen=True, slots=True)
class Blocked:
    """The event loop stood still for long; told by a `Watchdog` when it ran again."""

    path: str
    """The actor that did not await; "" where it was none."""

    duration: float
    """Seconds."""

    stack: str
    """Where it stood, the innermost call last."""


Event: TypeAlias = Started | Exited | Restarted | GaveUp | Stuck | DeadLetter | Blocked
"""All that a system tells its subscribers."""


class Events:
    """The stream of one system's events.

    It can be subscribed to before the system starts. Subscribers are called in the runtime's own
    turn, so they must not block; an error in one is logged and does no harm.
    """

    def __init__(self) -> None:
        self._subscribers: list[tuple[Callable[[Event], None], type[Event] | None]] = []
        self._routine_wanted = False
        """Whether somebody wants to hear of starts and normal exits."""

    def subscribe(
        self, call: Callable[[Event], None], only: type[Event] | None = None
    ) -> Callable[[], None]:
        """Call `call` with each event from now on, or those of one kind; what this returns ends it.

        Where nobody wants the starts and the normal exits, they cost nothing.
        """
        subscriber = (partial(call), only)  # told apart from the same function subscribed once more
        self._subscribers.append(subscriber)
        self._count_wishes()

        def end() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)
                self._count_wishes()

        return end

    def emit(self, event: Event) -> None:
        """Log what an operator wants to see, and tell all subscribers."""
        log(event)
        self._tell(event)

    def started(self, path: str, incarnation: int) -> None:
        """Tell that an incarnation is ready."""
        if self._routine_wanted:  # there are many of them, and mostly nobody listens
            self._tell(Started(path, incarnation))

    def exited(
        self, path: str, incarnation: int, reason: Exit, error: BaseException | None
    ) -> None:
        """Tell that an incarnation has ended."""
        if self._routine_wanted or reason.abnormal:
            self.emit(Exited(path, incarnation, reason, error))

    def _tell(self, event: Event) -> None:
        for call, only in list(self._subscribers):
            if only is not None and not isinstance(event, only):
                continue
            try:
                call(event)
            except Exception:
                told = {"kind": "subscriber_failed", "actor": event.path}
                logger.exception("a subscriber failed on %s", event, extra=told)

    def _count_wishes(self) -> None:
        quiet = (GaveUp, Restarted, Stuck, DeadLetter, Blocked)
        self._routine_wanted = any(only not in quiet for _, only in self._subscribers)


def log(event: Event) -> None:
    """Log what an operator wants to see: crashes with their traceback, and what followed."""
    told: dict[str, object]
    match event:
        case Exited(path, _, Exit(kind="crash") as reason, error):
            known = isinstance(error, StartFailed | RestartLimitReached)  # its cause is logged
            told = {"kind": "crashed", "actor": path, "reason": reason.error}
            cause = None if known else error
            logger.error("%s crashed: %s", path, reason.error, exc_info=cause, extra=told)
        case Exited(path, _, Exit(kind="killed"), _):
            told = {"kind": "killed", "actor": path}
            logger.warning("%s did not stop within its grace and was killed", path, extra=told)
        case Restarted(path, incarnation):
            told = {"kind": "restarted", "actor": path, "incarnation": incarnation}
            logger.warning("%s restarted, incarnation %d", path, incarnation, extra=told)
        case GaveUp(path, restarts, period):
            told = {"kind": "gave_up", "actor": path}
            within = "in a row" if period is None else f"in {period:g} s"
            text = "%s failed more than %d times %s; its supervisor gives up on it"
            logger.error(text, path, restarts, within, extra=told)
        case Stuck(path, _, stack):
            told = {"kind": "stuck", "actor": path, "stack": stack}
            text = "%s was cancelled and does not end; something in it swallows the cancellation"
            logger.critical(text, path, extra=told)
        case _:
            pass
