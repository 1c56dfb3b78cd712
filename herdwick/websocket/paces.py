"""How fast a client of herdwick.v1 may do what costs: told first, closed when it goes on."""

from collections.abc import Container
from dataclasses import replace
from math import ceil

from herdwick.actors import Bucket, Rate

from .limits import Limits


class TooFast(Exception):
    """More of something than there may be in this time."""

    def __init__(self, what: str, retry_after: float, again_and_again: bool) -> None:
        super().__init__(f"too many {what} in too short a time; slow down")
        self.retry_after = retry_after
        """Seconds until there may be one more."""
        self.again_and_again = again_and_again
        """Whether as many were refused already as may be."""


class Pace:
    """A rate with another one of its size behind it: that of the refusals."""

    __slots__ = ("_let", "_rate", "_refused", "_what")

    def __init__(self, what: str, rate: Rate) -> None:
        self._what = what
        self._rate = rate
        self._let = Bucket(rate)
        self._refused: Bucket | None = None
        """Made for the first refusal: most never see one."""

    def check(self, now: float) -> None:
        """Count one.

        Raises:
            TooFast: It is one too many.
        """
        if not self._let.take(now):
            if self._refused is None:
                self._refused = Bucket(self._rate)
            raise TooFast(self._what, self._let.wait, not self._refused.take(now))


class Paces:
    """Those of one connection; each is made when it is needed."""

    __slots__ = ("_joins", "_limits", "_pushes", "_refreshes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._joins: Pace | None = None
        self._pushes: dict[str, Pace] = {}
        """By topic."""
        self._refreshes: Pace | None = None

    def __len__(self) -> int:
        return len(self._pushes)

    def check_join(self, now: float) -> None:
        """Count a join.

        Raises:
            TooFast: It is one too many.
        """
        rate = self._limits.joins
        if rate is None:
            return
        if self._joins is None:
            # Who comes back joins at once all that it was a member of.
            burst = max(ceil(rate.most), self._limits.topics)
            self._joins = Pace("joins", replace(rate, burst=burst))
        self._joins.check(now)

    def check_refresh(self, now: float) -> None:
        """Count a token that is shown, before it is judged.

        Raises:
            TooFast: It is one too many.
        """
        rate = self._limits.refreshes
        if rate is None:
            return
        if self._refreshes is None:
            self._refreshes = Pace("tokens", rate)
        self._refreshes.check(now)

    def check_push(self, topic: str, members: Container[str], now: float) -> None:
        """Count a push to a topic; `members` holds the topics that it is a member of.

        Raises:
            TooFast: It is one too many.
        """
        rate = self._limits.publishes
        if rate is None:
            return
        pace = self._pushes.get(topic)
        if pace is None:
            self._forget(members)
            pace = self._pushes[topic] = Pace("pushes", rate)
        pace.check(now)

    def _forget(self, members: Container[str]) -> None:
        """Forget topics that were left, once there are many of them.

        Not at once: or a client would leave and join to push on.
        """
        if len(self._pushes) >= 2 * self._limits.topics:
            self._pushes = {name: pace for name, pace in self._pushes.items() if name in members}
