"""How often something may happen: the rate as a value, and the bucket that counts by it."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen: `Rate(100)` a second, `Rate(5, per=60)` a minute.

    Raises:
        ValueError: A part of it is not more than 0, or `burst` is less than 1.
    """

    count: float
    """How often in `per` seconds, however long it goes on."""

    per: float = 1.0
    """Seconds."""

    burst: int | None = None
    """How often at once, after a rest; None: as often as `count`."""

    def __post_init__(self) -> None:
        for name in ("count", "per"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < inf):
                raise ValueError(f"{name} of a rate is {value!r}; it must be a number more than 0")
        if self.burst is not None and not _is_count(self.burst):
            raise ValueError(f"burst of a rate is {self.burst!r}; it must be 1 or more, or None")

    @property
    def most(self) -> float:
        """How often at once: at least once."""
        return max(1, self.count) if self.burst is None else self.burst


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1


class Bucket:
    """What is left of a rate, which comes back evenly (a token bucket); no clock but `now`."""

    __slots__ = ("_left", "_most", "_per_second", "_seen_at")

    def __init__(self, rate: Rate) -> None:
        self._most = self._left = rate.most
        self._per_second = rate.count / rate.per
        self._seen_at = -inf

    def take(self, now: float) -> bool:
        """Take one, and tell whether there was one; where there was none, nothing is taken."""
        left = min(self._most, self._left + (now - self._seen_at) * self._per_second)
        self._seen_at = now
        self._left = left - 1 if left >= 1 else left
        return left >= 1

    @property
    def wait(self) -> float:
        """Seconds, from the last `take` on, until there is one to take."""
        return max(0.0, (1 - self._left) / self._per_second)
