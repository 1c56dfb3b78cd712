"""How long a child waits before it comes back: pure functions of attempts, time and chance."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between restarts that grow from `min` to `max` seconds.

    A child with a backoff is not charged to its supervisor's restarts; `max_attempts` alone
    decides when it has failed for good.
    """

    min: float = 0.1
    """Seconds before the first restart."""

    max: float = 30.0
    """Seconds that no wait exceeds."""

    factor: float = 2.0
    """How much longer each wait is than the one before."""

    jitter: float = 0.2
    """The part of a wait, 0 to 1, that chance may take off, so that many do not come at once."""

    reset_after: float = 60.0
    """Seconds that a child must have run for its attempts to be forgotten."""

    max_attempts: int | None = None
    """Restarts before the supervisor gives up; None for no end."""

    def __post_init__(self) -> None:
        infinite = float("inf")
        if not 0 <= self.min < infinite:
            raise ValueError(f"min is {self.min:g}; it must be 0 seconds or more, and finite")
        if not self.min <= self.max < infinite:
            raise ValueError(
                f"max is {self.max:g}; it must be at least min, {self.min:g}, and finite"
            )
        if not 1 <= self.factor < infinite:
            raise ValueError(f"factor is {self.factor:g}; it must be 1 or more, and finite")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter:g}; it must be from 0 to 1")
        if not self.reset_after >= 0:
            raise ValueError(f"reset_after is {self.reset_after:g}; it must be 0 seconds or more")
        if self.max_attempts is not None and self.max_attempts < 0:
            raise ValueError(f"max_attempts is {self.max_attempts}; it must be 0 or more, or None")

    def delay(self, attempt: int, random: float) -> float:
        """Give the seconds to wait before a restart; attempt 0 is the first.

        Never more than `max`. `random`, from 0 up to 1, shortens the wait, by `jitter` at most.
        """
        return self._whole(attempt) * (1 - self.jitter * random)

    def attempts_after(self, attempts: int, ran: float) -> int:
        """Give what is left of the attempts made so far after a life of `ran` seconds."""
        return 0 if ran >= self.reset_after else attempts

    def exhausted(self, attempts: int) -> bool:
        """Tell whether, after so many attempts, one more is too many."""
        return self.max_attempts is not None and attempts >= self.max_attempts

    def _whole(self, attempt: int) -> float:
        if self.min == 0:
            return 0.0
        try:
            return min(self.max, self.min * float(self.factor) ** attempt)
        except OverflowError:
            return self.max
