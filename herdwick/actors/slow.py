"""What follows when a member reads more slowly than its topic publishes."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close its connection with 1013: the client comes back, and resumes where there is history.

    It is due once more waits for the client than its outbox may hold.
    """


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Let it fall behind, and read on from the topic's log, which all share, when it can.

    Nothing waits for it meanwhile but its position. What is not recorded passes it by, and what
    the log has dropped by then is a gap: told where the protocol has a word for it; a plain route
    closes with 1013.
    """

    patience: float = PATIENCE
    """Seconds that it may take to read what its outbox holds; then it is closed with 1013."""

    def __post_init__(self) -> None:
        _check_patience(self.patience)


@dataclass(frozen=True)  # with slots, `Conflate[Price](…)` fails before 3.12
class Conflate(Generic[T]):
    """Keep only the newest publication of each key for it, until it can read on.

    With an interval everybody gets at most the newest of each key every so often.
    """

    key: Callable[[T], Hashable]
    """Gives the key of a payload; called once for each, by the one who publishes."""

    interval: float = 0.0
    """Seconds; 0: only who is behind misses anything."""

    patience: float = PATIENCE
    """Seconds that it may take to read what its outbox holds; then it is closed with 1013."""

    def __post_init__(self) -> None:
        if not callable(self.key):
            raise TypeError(f"key is {self.key!r}; it must be a function of the payload")
        if not 0 <= self.interval < float("inf"):
            raise ValueError(f"interval is {self.interval:g}; it must be 0 seconds or more")
        _check_patience(self.patience)


Slow: TypeAlias = Disconnect | CatchUp | Conflate[Any]
"""A policy for slow members."""


def _check_patience(patience: float) -> None:
    if not patience > 0:
        raise ValueError(f"patience is {patience:g}; it must be more than 0 seconds")
