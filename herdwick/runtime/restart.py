"""Restart decisions: pure functions of a spec, an exit, a log and a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .exit import Exit

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
"""permanent: always comes back; transient: after an abnormal exit; temporary: never."""

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
"""Who is started again with a child that ended: nobody, those after it, or all (OTP)."""


def wants_restart(restart: Restart, reason: Exit) -> bool:
    """Tell whether a child comes back after it ended so (OTP: supervisor, restart types)."""
    return restart == "permanent" or (restart == "transient" and reason.abnormal)


def restart_group(strategy: Strategy, crashed: int, children: int) -> range:
    """Give the places, in their order, of those that restart with a child (OTP: strategies)."""
    if strategy == "one_for_one":
        return range(crashed, crashed + 1)
    return range(crashed if strategy == "rest_for_one" else 0, children)


@dataclass(frozen=True, slots=True)
class RestartLimit:
    """At most `restarts` within any `period` seconds (OTP: intensity and period)."""

    restarts: int = 3
    period: float = 5.0

    def __post_init__(self) -> None:
        if self.restarts < 0:
            raise ValueError(f"max_restarts is {self.restarts}; it must be 0 or more")
        if not self.period > 0:
            raise ValueError(f"period is {self.period:g}; it must be more than 0 seconds")

    def charged(self, log: Sequence[float], now: float) -> tuple[float, ...]:
        """Give the log with one more restart, now, without those that are out of its period.

        A restart exactly `period` seconds ago still counts.
        """
        return (*(moment for moment in log if moment >= now - self.period), now)

    def exceeded(self, log: Sequence[float]) -> bool:
        """Tell whether a log, charged just now, holds more than is allowed."""
        return len(log) > self.restarts
