"""Which connections make room for others, where descriptors run short."""

import logging
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol

from herdwick.websocket import descriptor_limit

logger: Final = logging.getLogger("herdwick.server")


class Waits(Protocol):
    """A connection whose next request has not come whole, or that has had its last answer."""

    def drop(self) -> None:
        """End at once."""
        ...


class Lobby:
    """Whose end costs nobody an answer, in the order in which they began to wait.

    There may be as many TCP connections as 0.9 of the descriptors; more than `connections` has of
    them by default, so that who does not become a WebSocket shuts nobody out who does.
    """

    def __init__(self) -> None:
        limit = descriptor_limit()
        self._most = None if limit is None else max(1, limit * 9 // 10)
        # A plain dict would look for its oldest behind all that have left.
        self._waiting: OrderedDict[Waits, None] = OrderedDict()

    def enter(self, item: Waits) -> None:
        """Take note of one that waits; who does already keeps its place."""
        self._waiting[item] = None

    def leave(self, item: Waits) -> None:
        """Take note that it does no more."""
        self._waiting.pop(item, None)

    @contextmanager
    def waiting(self, item: Waits) -> Generator[None]:
        """Have it wait inside of the block."""
        self.enter(item)
        try:
            yield
        finally:
            self.leave(item)

    def has_room(self, present: int) -> bool:
        """Tell whether one more may come where so many are; who waits longest makes room for it."""
        if self._most is None or present < self._most:
            return True
        text = "there are %d TCP connections, which is what descriptors are enough for: %s is ended"
        ended = "the oldest without a whole request" if self._waiting else "the new one"
        logger.info(text, present, ended, extra={"kind": "crowded"})
        if not self._waiting:
            return False
        self._waiting.popitem(last=False)[0].drop()
        return True
