"""What was published on a topic, and where: positions, the log, and the store that keeps logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from herdwick.runtime import Clock

from .transport import Shared

if TYPE_CHECKING:
    from .presence import PresenceDiff
    from .transport import Data
    from .wire import Wire

GapReason: TypeAlias = Literal["history", "epoch", "slow", "conflated"]
"""history: the log reaches back no further; epoch: it began anew; slow: the member did not read in
time; conflated: only the newest of each key was kept."""

KEY_WINDOW: Final = 300.0
"""Seconds for which a publication with the same key counts as the same one."""

EPOCH_TTL: Final = 86_400.0
"""Seconds after its last publication for which a log without any keeps its epoch."""


class InvalidPosition(ValueError):
    """A text that is no position."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:80]!a} is no position; give back one that a member was given")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log of one topic; to those who resume from it, it is opaque."""

    epoch: str
    """Which log it is a place in: one that begins anew has another epoch."""
    offset: int
    """The number of the publication that stands there; they are counted from 1, without gaps."""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a position as `str` writes it.

        Raises:
            InvalidPosition: It is none.
        """
        epoch, _, offset = text.rpartition(":")
        if not (epoch and len(text) <= 100 and offset.isascii() and offset.isdigit()):
            raise InvalidPosition(text)
        return cls(epoch, int(offset))


@dataclass(frozen=True, slots=True)
class History:
    """How much of what was published a topic keeps, for those who come back or are behind."""

    size: int = 100
    """Publications; the oldest goes first."""

    ttl: float = 3600.0
    """Seconds that each is kept."""

    replay: int = 0
    """How many of the last ones somebody gets who joins for the first time."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}; it must be 1 or more, or leave the history out")
        if not self.ttl > 0:
            raise ValueError(f"ttl is {self.ttl:g}; it must be more than 0 seconds")
        if not 0 <= self.replay <= self.size:
            raise ValueError(f"replay is {self.replay}; it must be from 0 to size, {self.size}")


class Publication:
    """What is broadcast to a topic: one shared object for all of its members.

    It is encoded once for each encoding and framed once for each variant of the wire, when the
    first member needs it.
    """

    __slots__ = (
        "_encoded",
        "conflation",
        "exclude",
        "for_all",
        "frames",
        "key",
        "payload",
        "position",
        "seq",
    )

    def __init__(
        self,
        payload: object,
        *,
        exclude: frozenset[str] = frozenset(),
        key: str | None = None,
        conflation: Hashable = None,
    ) -> None:
        self.payload = payload
        self.exclude = exclude
        """The ids of those whom it is not for."""
        self.key = key
        """What tells it from others, for those who may publish it twice."""
        self.conflation = conflation
        """What a newer one with the same takes the place of."""
        self.position: Position | None = None
        """Where it stands in the log; None where it is not recorded."""
        self.seq = 0
        """Its number among all that this topic has offered to its members, recorded or not."""
        self._encoded: dict[str, Data] = {}
        self.for_all = not exclude
        """Whether each member hears of it in the same way."""
        self.frames: dict[str, Shared | None] = {}
        """What `frame` has given already, by the variant of the wire."""

    def encode(self, wire: Wire) -> Data:
        """Give the payload as this wire encodes it.

        Raises:
            Exception: What the wire's encoder raises.
        """
        encoded = self._encoded.get(wire.encoding)
        if encoded is None:
            encoded = self._encoded[wire.encoding] = wire.encode(self.payload)
        return encoded

    def frame(self, topic: str, wire: Wire) -> Shared | None:
        """Give the message that tells a member of it; None where this wire tells nothing of it."""
        try:
            return self.frames[wire.variant]
        except KeyError:
            return self._keep(wire, wire.publication(topic, self.encode(wire), self.position))

    def _keep(self, wire: Wire, data: Data | None) -> Shared | None:
        frame = self.frames[wire.variant] = None if data is None else Shared(data)
        return frame


class Announcement(Publication):
    """Who has come and who has gone, in the order of what is published, and never recorded."""

    __slots__ = ("diff",)

    def __init__(self, diff: PresenceDiff) -> None:
        super().__init__(None)
        self.for_all = False  # whoever is behind hears of it too
        self.diff = diff

    def frame(self, topic: str, wire: Wire) -> Shared | None:
        """Give the message that tells a member of it; None where this wire has none."""
        try:
            return self.frames[wire.variant]
        except KeyError:
            return self._keep(wire, wire.presence(topic, self.diff))


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a log has after a position."""

    publications: Sequence[Publication]
    """In order; what is left of them where there is a gap."""

    position: Position
    """Where the last of them stands: the log's own position."""

    gap: Literal["history", "epoch"] | None = None
    """Why some are missing; None where all that followed is there."""


class Log(Protocol):
    """The recorded publications of one topic.

    They have one order, the same for everybody who opens the log; the offsets in it have no gaps.
    A store may be far away: then each call waits for it. The one in memory never does, so that
    what is published is in the log before the publisher's first suspension.
    """

    @property
    def position(self) -> Position:
        """Where the newest publication stands that was delivered here; offset 0 before any."""
        ...

    async def append(self, publication: Publication) -> Position:
        """Append a publication, and give its position; it is delivered to all who opened the log.

        One whose key is known gets the position that the first one has, and is not delivered.
        Cancelling it may leave it in the log or out.
        """
        ...

    async def since(self, position: Position) -> Recovery:
        """Give what follows a position of this log."""
        ...

    async def newest(self, count: int) -> Recovery:
        """Give the last `count` publications, or as many as there are."""
        ...

    def close(self) -> None:
        """Deliver nothing more; the store keeps the log for its time."""
        ...


class Store(Protocol):
    """Where logs are kept, beyond the time in which anybody has them open."""

    def open(self, topic: str, history: History, deliver: Callable[[Publication], None]) -> Log:
        """Open the log of a topic, and have each publication delivered, once and in order."""
        ...


class MemoryStore:
    """Keeps logs in memory, as long as it lives itself.

    A publication is kept for its history's size and time; after that, for a day, the epoch.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: dict[str, _Ring] = {}

    def __len__(self) -> int:
        return len(self._rings)

    def open(
        self, topic: str, history: History, deliver: Callable[[Publication], None]
    ) -> MemoryLog:
        """Open the log of a topic; the history is that of the first who does."""
        ring = self._rings.get(topic)
        if ring is None:
            ring = self._rings[topic] = _Ring(history, self._clock)
        return MemoryLog(ring, deliver)

    def tidy(self) -> None:
        """Drop what is too old; to be called now and then."""
        for _ in self.tidying():
            pass

    def tidying(self) -> Iterator[None]:
        """Drop what is too old, one log a step: with many, others may have their turns between."""
        for topic, ring in list(self._rings.items()):
            ring.tidy()
            if ring.forgotten and self._rings.get(topic) is ring:
                del self._rings[topic]
            yield


class MemoryLog:
    """A log in memory, as one who has opened it sees it; nothing in it suspends."""

    __slots__ = ("_deliver", "_ring")

    def __init__(self, ring: _Ring, deliver: Callable[[Publication], None]) -> None:
        self._ring = ring
        self._deliver = deliver
        ring.readers.append(deliver)

    @property
    def position(self) -> Position:
        """Where the newest publication stands."""
        return self._ring.tell()

    async def append(self, publication: Publication) -> Position:
        """Append a publication, deliver it, and give its position."""
        return self._ring.append(publication)

    async def since(self, position: Position) -> Recovery:
        """Give what follows a position."""
        return self._ring.since(position)

    async def newest(self, count: int) -> Recovery:
        """Give the last `count` publications."""
        return Recovery(self._ring.last(count), self._ring.tell())

    def close(self) -> None:
        """Deliver nothing more."""
        if self._deliver in self._ring.readers:
            self._ring.readers.remove(self._deliver)
        self._deliver = _deliver_nothing  # cuts the cycle: nothing waits for the collector


def _deliver_nothing(publication: Publication) -> None:
    """Deliver to nobody."""


class _Ring:
    """What all who have a log open share: the last publications, and the last keys."""

    __slots__ = (
        "_clock",
        "_epoch",
        "_history",
        "_kept",
        "_keys",
        "_offset",
        "_told",
        "_touched",
        "readers",
    )

    def __init__(self, history: History, clock: Clock) -> None:
        self.readers: list[Callable[[Publication], None]] = []
        self._history = history
        self._clock = clock
        self._epoch = token_hex(6)
        self._offset = 0
        self._kept: deque[tuple[float, Publication]] = deque()
        self._keys: dict[str, tuple[float, Position]] = {}
        self._touched = clock()
        self._told = False
        """Whether anybody knows a position of it, and may come back with that."""

    @property
    def forgotten(self) -> bool:
        """Whether nobody can have any use for it.

        Of one that was opened for joins which were refused nobody knows, and strangers decide how
        many of these there are.
        """
        unused = not self.readers and not self._kept and not self._keys
        return unused and (not self._told or self._clock() - self._touched > EPOCH_TTL)

    def tell(self) -> Position:
        """Give the position to somebody who may keep it."""
        self._told = True
        return Position(self._epoch, self._offset)

    def append(self, publication: Publication) -> Position:
        self._touched = now = self._clock()
        self.tidy()
        known = None if publication.key is None else self._keys.get(publication.key)
        if known is not None:
            return known[1]
        self._offset += 1
        publication.position = position = self.tell()
        self._kept.append((now, publication))
        if len(self._kept) > self._history.size:
            self._kept.popleft()
        if publication.key is not None:
            self._keys[publication.key] = now, position
        for deliver in list(self.readers):
            deliver(publication)
        return position

    def since(self, position: Position) -> Recovery:
        self.tidy()
        if position.epoch != self._epoch or position.offset > self._offset:
            return Recovery((), self.tell(), "epoch")
        missing = self._offset - position.offset
        kept = self.last(missing)
        return Recovery(kept, self.tell(), None if len(kept) == missing else "history")

    def last(self, count: int) -> list[Publication]:
        self.tidy()
        start = max(0, len(self._kept) - count)
        return [publication for _, publication in islice(self._kept, start, None)]

    def tidy(self) -> None:
        """Drop what is too old."""
        now = self._clock()
        while self._kept and self._kept[0][0] < now - self._history.ttl:
            self._kept.popleft()
        while self._keys:
            key, (moment, _) = next(iter(self._keys.items()))  # the oldest stands first
            if moment >= now - KEY_WINDOW:
                break
            del self._keys[key]
