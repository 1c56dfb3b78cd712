"""What happens to actors, as facts that logs, metrics and tests subscribe to."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from .errors import RestartLimitReached, StartFailed
from .exit import Exit

logger: Final = logging.getLogger("herdwick.runtime")


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
    period: float


Event: TypeAlias = Exited | Restarted | GaveUp


class Events:
    """The stream of one system's events; subscribers are called in the actor's own task."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = [log]

    def subscribe(self, call: Callable[[Event], None]) -> Callable[[], None]:
        """Call `call` with each event from now on; what this returns ends it."""
        self._subscribers.append(call)
        return lambda: self._subscribers.remove(call)

    def emit(self, event: Event) -> None:
        """Tell all subscribers; an error in one is logged and does no harm."""
        for call in list(self._subscribers):
            try:
                call(event)
            except Exception:
                logger.exception("a subscriber failed on %s", event)

    def exited(
        self, path: str, incarnation: int, reason: Exit, error: BaseException | None
    ) -> None:
        """Tell that an incarnation has ended."""
        self.emit(Exited(path, incarnation, reason, error))


def log(event: Event) -> None:
    """Log what an operator wants to see: crashes with their traceback, and what followed."""
    match event:
        case Exited(path, _, Exit(kind="crash") as reason, error):
            known = isinstance(error, StartFailed | RestartLimitReached)  # its cause is logged
            logger.error("%s crashed: %s", path, reason.error, exc_info=None if known else error)
        case Exited(path, _, Exit(kind="killed"), _):
            logger.warning("%s did not stop within its grace and was killed", path)
        case Restarted(path, incarnation):
            logger.warning("%s restarted, incarnation %d", path, incarnation)
        case GaveUp(path, restarts, period):
            text = "%s failed more than %d times in %g s; its supervisor gives up on it"
            logger.error(text, path, restarts, period)
        case _:
            pass
