"""Restart decisions: pure functions of a spec, an exit, a log and a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .exit import Exit

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]


def wants_restart(restart: Restart, reason: Exit) -> bool:
    """Tell whether a child comes back after it ended so (OTP: supervisor, restart types)."""
    return restart == "permanent" or (restart == "transient" and reason.abnormal)


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

    def charged(self, log: Sequence[float], now: float) -> list[float]:
        """Give the log with one more restart, now, without those that are out of its period.

        A restart exactly `period` seconds ago still counts.
        """
        return [moment for moment in log if moment >= now - self.period] + [now]

    def exceeded(self, log: Sequence[float]) -> bool:
        """Tell whether a log, charged just now, holds more than is allowed."""
        return len(log) > self.restarts
