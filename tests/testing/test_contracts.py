"""The contract of stores: ours keeps it, and those that break it are found out."""

from __future__ import annotations

import unittest
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property

import anyio
import anyio.lowlevel
import msgspec
import pytest

from herdwick.actors import (
    History,
    MemoryStore,
    Position,
    Publication,
    Recovery,
    Store,
)
from herdwick.testing import VIRTUAL_BACKENDS, Backend, StoreContract, virtual_backend

Deliver = Callable[[Publication], None]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """Virtual time: what is waited for in vain takes no time."""
    return virtual_backend(request.param)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Timed(StoreContract):
    """The contract of a store with such a clock."""

    patience = 0.5

    @cached_property
    def clock(self) -> Clock:
        return Clock()

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


class TestMemoryStore(Timed):
    """The store that is used where no other is given."""

    @asynccontextmanager
    async def open_store(self) -> AsyncGenerator[Store]:
        yield MemoryStore(self.clock)


class Shelf:
    """What a distant store keeps of one topic."""

    def __init__(self, history: History, now: Callable[[], float]) -> None:
        self.epoch = "e"
        self.history = history
        self.offset = 0
        self.kept: deque[tuple[float, Publication]] = deque()
        self.keys: dict[str, Position] = {}
        self.readers: list[DistantLog] = []
        self.now = now

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def tidy(self) -> None:
        """Drop what is too much, or too old."""
        while len(self.kept) > self.history.size:
            self.kept.popleft()
        while self.kept and self.kept[0][0] < self.now() - self.history.ttl:
            self.kept.popleft()


class DistantLog:
    """A log of which each call waits, and that delivers copies, a moment later."""

    def __init__(self, shelf: Shelf, deliver: Deliver) -> None:
        self.shelf = shelf
        self.deliver = deliver
        self.position = shelf.position
        self.closed = False
        shelf.readers.append(self)

    async def append(self, publication: Publication) -> Position:
        await anyio.lowlevel.checkpoint()
        position = self.record(publication)
        await anyio.lowlevel.checkpoint()
        return position

    def record(self, publication: Publication) -> Position:
        """What the store does in one step."""
        key = publication.key
        if key is not None and key in self.shelf.keys:
            return self.shelf.keys[key]
        position = self.take(publication)
        if key is not None:
            self.shelf.keys[key] = position
        return position

    def take(self, publication: Publication) -> Position:
        """Give it the next place."""
        shelf = self.shelf
        shelf.offset += 1
        copy = self.copy(publication)
        copy.position = shelf.position
        shelf.kept.append((shelf.now(), copy))
        shelf.tidy()
        self.spread(copy)
        return shelf.position

    def copy(self, publication: Publication) -> Publication:
        """Make what arrives elsewhere."""
        payload = msgspec.json.decode(msgspec.json.encode(publication.payload))
        return Publication(payload, exclude=publication.exclude, key=publication.key)

    def spread(self, publication: Publication) -> None:
        for reader in list(self.shelf.readers):
            reader.hear(publication)

    def hear(self, publication: Publication) -> None:
        """Have one delivered, unless it is closed."""
        if not self.closed and publication.position is not None:
            self.position = publication.position
            self.deliver(publication)

    async def since(self, position: Position) -> Recovery:
        await anyio.lowlevel.checkpoint()
        shelf = self.shelf
        shelf.tidy()
        if position.epoch != shelf.epoch or position.offset > shelf.offset:
            return Recovery((), shelf.position, "epoch")
        missing = shelf.offset - position.offset
        recovery = await self.newest(missing)
        found = len(recovery.publications)
        return recovery if found == missing else replace(recovery, gap="history")

    async def newest(self, count: int) -> Recovery:
        await anyio.lowlevel.checkpoint()
        self.shelf.tidy()
        kept = [publication for _, publication in self.shelf.kept]
        return Recovery(kept[max(0, len(kept) - count) :], self.shelf.position)

    def close(self) -> None:
        self.closed = True
        if self in self.shelf.readers:
            self.shelf.readers.remove(self)


class DistantStore:
    """Keeps logs as a store on another machine might."""

    def __init__(self, now: Callable[[], float], log: type[DistantLog] = DistantLog) -> None:
        self.now = now
        self.log = log
        self.shelves: dict[str, Shelf] = {}

    def open(self, topic: str, history: History, deliver: Deliver) -> DistantLog:
        if topic not in self.shelves:
            self.shelves[topic] = Shelf(history, self.now)
        return self.log(self.shelves[topic], deliver)


class TestDistantStore(Timed):
    """One whose every call waits."""

    shared = True

    @cached_property
    def store(self) -> DistantStore:
        return DistantStore(self.clock)

    @asynccontextmanager
    async def open_store(self) -> AsyncGenerator[Store]:
        yield self.store


class TestUntimedStore(StoreContract):
    """One whose clock nobody can set: what needs it is skipped."""

    @asynccontextmanager
    async def open_store(self) -> AsyncGenerator[Store]:
        yield DistantStore(lambda: 0.0)

    async def test_it_keeps_a_publication_no_longer_than_its_ttl(self) -> None:
        with pytest.raises(unittest.SkipTest, match="TestUntimedStore does not override"):
            await super().test_it_keeps_a_publication_no_longer_than_its_ttl()

    async def test_a_key_is_known_for_its_window(self) -> None:
        with pytest.raises(unittest.SkipTest):
            await super().test_a_key_is_known_for_its_window()


async def test_a_contract_without_a_store_says_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="StoreContract must override open_store"):
        await StoreContract().test_payloads_survive()


# ---------------------------------------------------------------- stores that are broken


class CountsFromZero(DistantLog):
    def record(self, publication: Publication) -> Position:
        position = super().record(publication)
        return replace(position, offset=position.offset - 1)


class TakesThePlaceFirst(DistantLog):
    """Cancelled in between it leaves a hole."""

    async def append(self, publication: Publication) -> Position:
        self.shelf.offset += 1
        await anyio.lowlevel.checkpoint()
        self.shelf.offset -= 1
        return self.record(publication)


class LooksForTheKeyFirst(DistantLog):
    """Another one with the same key comes in between."""

    async def append(self, publication: Publication) -> Position:
        known = self.shelf.keys.get(publication.key or "")
        await anyio.lowlevel.checkpoint()
        if known is not None:
            return known
        position = self.take(publication)
        if publication.key is not None:
            self.shelf.keys[publication.key] = position
        return position


class DeliversAKnownKey(DistantLog):
    def record(self, publication: Publication) -> Position:
        if publication.key in self.shelf.keys:
            self.spread(self.copy(publication))
            publication.position = self.shelf.keys[publication.key or ""]
            self.hear(publication)
        return super().record(publication)


class ForgetsKeysWithTheirPublications(DistantLog):
    def record(self, publication: Publication) -> Position:
        kept = {each.key for _, each in self.shelf.kept}
        self.shelf.keys = {k: p for k, p in self.shelf.keys.items() if k in kept}
        return super().record(publication)


class DeliversTwice(DistantLog):
    def hear(self, publication: Publication) -> None:
        super().hear(publication)
        if publication.position is not None and publication.position.offset == 2:
            super().hear(publication)


class DeliversOnlyToItself(DistantLog):
    def spread(self, publication: Publication) -> None:
        self.hear(publication)


class DeliversInAnOrderOfItsOwn(DistantLog):
    """Its own at once, those of others later."""

    def spread(self, publication: Publication) -> None:
        self.hear(publication)
        self.shelf.readers.sort(key=lambda reader: reader is self)
        for reader in self.shelf.readers:
            if isinstance(reader, DeliversInAnOrderOfItsOwn) and reader is not self:
                reader.late.append(publication)
                if len(reader.late) == 2:
                    while reader.late:
                        reader.hear(reader.late.pop())

    def __init__(self, shelf: Shelf, deliver: Deliver) -> None:
        super().__init__(shelf, deliver)
        self.late: list[Publication] = []


class DeliversAfterClose(DistantLog):
    def close(self) -> None:
        return


class ClosesForAll(DistantLog):
    def close(self) -> None:
        for reader in list(self.shelf.readers):
            DistantLog.close(reader)


class BeginsANewEpoch(DistantLog):
    def close(self) -> None:
        super().close()
        self.shelf.epoch += "e"


class HidesAGap(DistantLog):
    async def since(self, position: Position) -> Recovery:
        recovery = await super().since(position)
        return replace(recovery, gap=None) if recovery.gap == "history" else recovery


class SeesAGapTooSoon(DistantLog):
    async def since(self, position: Position) -> Recovery:
        recovery = await super().since(position)
        oldest = self.shelf.kept[0][1].position if self.shelf.kept else None
        ends = oldest is not None and position.offset < oldest.offset
        return replace(recovery, gap="history") if ends and recovery.gap is None else recovery


class BelievesInAnyEpoch(DistantLog):
    async def since(self, position: Position) -> Recovery:
        return await super().since(replace(position, epoch=self.shelf.epoch))


class BelievesInPositionsAhead(DistantLog):
    async def since(self, position: Position) -> Recovery:
        offset = min(position.offset, self.shelf.offset)
        return await super().since(replace(position, offset=offset))


class GivesOneTooFew(DistantLog):
    async def newest(self, count: int) -> Recovery:
        recovery = await super().newest(count)
        return replace(recovery, publications=recovery.publications[1:]) if count > 2 else recovery


class GivesTheWrongOrder(DistantLog):
    async def newest(self, count: int) -> Recovery:
        recovery = await super().newest(count)
        return replace(recovery, publications=list(recovery.publications)[::-1])


class KeepsForEver(DistantLog):
    def __init__(self, shelf: Shelf, deliver: Deliver) -> None:
        shelf.history = replace(shelf.history, ttl=float("inf"))
        super().__init__(shelf, deliver)


class KeepsTooMany(DistantLog):
    def __init__(self, shelf: Shelf, deliver: Deliver) -> None:
        shelf.history = replace(shelf.history, size=1000)
        super().__init__(shelf, deliver)


class TellsANewPositionTooSoon(DistantLog):
    """It counts what was not delivered yet; a join that believes it loses that."""

    def take(self, publication: Publication) -> Position:
        position = super().take(publication)
        self.position = replace(position, offset=position.offset + 1)
        return position


class WritesNumbersOnly(DistantLog):
    def copy(self, publication: Publication) -> Publication:
        copy = super().copy(publication)
        copy.payload = int(copy.payload) if copy.payload is True else copy.payload
        return copy


class ForgetsTheExcluded(DistantLog):
    def copy(self, publication: Publication) -> Publication:
        return Publication(super().copy(publication).payload, key=publication.key)


class MixesTopics(DistantStore):
    def open(self, topic: str, history: History, deliver: Deliver) -> DistantLog:
        return super().open(topic[:8], history, deliver)


BROKEN: dict[type[DistantLog] | type[DistantStore], str] = {
    CountsFromZero: "offsets_count_from_1",
    TakesThePlaceFirst: "cancelled_append_is_in_or_out",
    LooksForTheKeyFirst: "appended_by_many_at_once",
    DeliversAKnownKey: "key_is_recorded_once",
    ForgetsKeysWithTheirPublications: "key_outlasts_its_publication",
    DeliversTwice: "all_who_open_a_log_see_one_order",
    DeliversOnlyToItself: "all_who_open_a_log_see_one_order",
    DeliversInAnOrderOfItsOwn: "all_who_open_a_log_see_one_order",
    DeliversAfterClose: "after_a_close_nothing_is_delivered",
    ClosesForAll: "after_a_close_nothing_is_delivered",
    BeginsANewEpoch: "epoch_outlasts_a_close",
    HidesAGap: "history_is_too_short",
    BelievesInAnyEpoch: "another_epoch_is_a_gap",
    BelievesInPositionsAhead: "position_ahead_is_a_gap",
    GivesOneTooFew: "newest_gives_the_last_ones",
    GivesTheWrongOrder: "since_gives_all_that_follows",
    KeepsForEver: "no_longer_than_its_ttl",
    KeepsTooMany: "history_is_too_short",
    TellsANewPositionTooSoon: "position_is_that_of_the_newest_delivered",
    WritesNumbersOnly: "payloads_survive",
    ForgetsTheExcluded: "who_is_excluded",
    MixesTopics: "do_not_mix",
    SeesAGapTooSoon: "history_is_too_short",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_store_that_breaks_the_contract_is_found(
    broken: type[DistantLog] | type[DistantStore],
) -> None:
    class Contract(Timed):
        patience = 0.1

        @asynccontextmanager
        async def open_store(self) -> AsyncGenerator[Store]:
            if issubclass(broken, DistantStore):
                yield broken(self.clock)
            else:
                yield DistantStore(self.clock, broken)

    failed = [name for name in names_in(Contract) if not await passes(Contract(), name)]

    assert any(BROKEN[broken] in name for name in failed), failed


def names_in(contract: type[StoreContract]) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


async def passes(contract: StoreContract, name: str) -> bool:
    try:
        await getattr(contract, name)()
    except (Exception, ExceptionGroup):
        return False
    return True
