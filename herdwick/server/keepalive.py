"""When to ping a silent peer, and when to give it up."""

from typing import Literal, TypeAlias

from herdwick.actors import Bounds

Due: TypeAlias = Literal["ping", "dead"]
"""What is due: a ping, or the end, since no byte has answered one."""


class Keepalive:
    """The signs of life of one peer: any byte is one, not only a pong."""

    __slots__ = ("_heard_at", "_paused", "_pinged_at", "limits")

    def __init__(self, limits: Bounds) -> None:
        self.limits = limits
        self._heard_at = 0.0
        # When a ping went out that no byte has followed yet.
        self._pinged_at: float | None = None
        # While we do not read, the peer cannot prove that it lives: nothing is counted.
        self._paused = False

    def heard(self, now: float) -> None:
        """Note a byte of the peer, or that we read again."""
        self._heard_at = now
        self._pinged_at = None
        self._paused = False

    def pause(self) -> None:
        """Note that we read nothing from here on, until `heard` says that we do."""
        self._paused = True

    @property
    def deadline(self) -> float | None:
        """When something will be due, if no byte comes before."""
        limits = self.limits
        if self._paused or limits.ping_interval is None:
            return None
        if self._pinged_at is None:
            return self._heard_at + limits.ping_interval
        if limits.ping_timeout is None:
            return self._pinged_at + limits.ping_interval
        return self._pinged_at + limits.ping_timeout

    def due(self, now: float) -> Due | None:
        """Tell what is due, once."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return None
        if self._pinged_at is not None and self.limits.ping_timeout is not None:
            return "dead"
        self._pinged_at = now
        return "ping"
