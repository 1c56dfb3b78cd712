"""Contracts: what the author of a store lets his own store be tested against."""

from __future__ import annotations

import unittest
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import ClassVar, Final

import anyio
import anyio.lowlevel
import msgspec

from herdwick.actors import KEY_WINDOW, History, Log, Position, Publication, Recovery, Store
from herdwick.runtime import Waiters

from .clock import settle

HISTORY: Final = History(size=1000, ttl=1000.0)

CROWD: Final = 8
EACH: Final = 10
STEPS: Final = 12
"""Turns after which an append is cancelled: 0, 1, 2, …"""

JSON: Final = r"""[
    null, true, 0, -9007199254740991, 1.5, 1e300, "", "Grüße, 世界 🐑 \u0000 \"quoted\" \\",
    [], {}, ["a", 1, null, [[]]],
    {"a": {"b": [1, 2.5, {"c": null}]}, "": "", "position": "e:1", "ключ": false}
]"""


class Reader:
    """One who has a log open, and what was delivered to him."""

    def __init__(self, patience: float) -> None:
        self.log: Log
        self.publications: list[Publication] = []
        self._patience = patience
        self._come = Waiters()

    @property
    def payloads(self) -> list[object]:
        """What was delivered, in order."""
        return [publication.payload for publication in self.publications]

    @property
    def offsets(self) -> list[int]:
        """Where it stands."""
        return offsets(self.publications)

    def deliver(self, publication: Publication) -> None:
        """Take one."""
        self.publications.append(publication)
        self._come.wake_all()

    async def has(self, count: int) -> None:
        """Wait until so many were delivered."""
        with anyio.move_on_after(self._patience):
            while len(self.publications) < count:
                await self._come.wait()
        have = len(self.publications)
        assert have >= count, f"{have} of {count} were delivered within {self._patience:g} s"


class StoreContract:
    """What a topic relies on in its store, as tests: derive from it where your own tests are.

        class TestRedisStore(StoreContract):
            @asynccontextmanager
            async def open_store(self):
                async with connected("redis://localhost") as store:
                    yield store

    They are `async def` and run under anyio's plugin for pytest: with `anyio_mode = "auto"`, or
    the mark `anyio` on the class. Each makes a store of its own, or several, and topics that no
    other test uses. What a store cannot do, because it has no clock to set, is skipped.
    """

    patience: ClassVar[float] = 5.0
    """Seconds that a delivery may take."""

    pause: ClassVar[float] = 0.0
    """Seconds after which what has not come is not to come: for a store that is far away."""

    shared: ClassVar[bool] = False
    """Whether two stores that `open_store` makes hold the same logs, as two nodes see them."""

    _topics: ClassVar[int] = 0

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Make a store, for the time of an `async with`; every test calls it: override it."""
        raise NotImplementedError(f"{type(self).__name__} must override open_store")

    async def pass_time(self, seconds: float) -> None:
        """Let the store's clock go on; override it where it can be set, or where time is virtual.

        Raises:
            unittest.SkipTest: The store has no such clock; the test is skipped.
        """
        raise unittest.SkipTest(f"{type(self).__name__} does not override pass_time")

    def topic(self) -> str:
        """Give the name of a topic that nobody has used; override it where stores last."""
        StoreContract._topics += 1
        return f"contract:{StoreContract._topics}"

    # ------------------------------------------------------------------ order

    async def test_offsets_count_from_1_without_gaps(self) -> None:
        """The first has offset 1, and each the next one; `append` gives it, delivery has it."""
        async with self._opened() as reader:
            positions = [await append(reader.log, number) for number in range(EACH)]
            await reader.has(EACH)

            assert [position.offset for position in positions] == list(range(1, EACH + 1))
            assert len({position.epoch for position in positions}) == 1
            assert [each.position for each in reader.publications] == positions

    async def test_a_new_log_stands_at_offset_0(self) -> None:
        """Before the first there is a position already, and nothing behind it."""
        async with self._opened() as reader:
            position = reader.log.position
            recovery = await reader.log.since(position)

            assert position.offset == 0
            check(recovery, [], None)
            assert recovery.position == position

    async def test_a_position_survives_as_text(self) -> None:
        """Clients keep positions as text, and give them back."""
        async with self._opened() as reader:
            position = await append(reader.log, "a")

            assert Position.parse(str(position)) == position

    async def test_all_who_open_a_log_see_one_order(self) -> None:
        """Each publication is delivered once to each of them, whoever appends."""
        async with self._opened_by(3) as readers:
            async with anyio.create_task_group() as tasks:
                for number in range(CROWD):
                    log = readers[number % 3].log
                    tasks.start_soon(append_many, log, [(number, each) for each in range(EACH)])
            for reader in readers:
                await reader.has(CROWD * EACH)
            await self._calm()

            for reader in readers:
                assert reader.offsets == list(range(1, CROWD * EACH + 1))
                assert as_tuples(reader) == as_tuples(readers[0])
            for number in range(CROWD):
                own = [each for who, each in as_tuples(readers[0]) if who == number]
                assert own == list(range(EACH)), "one appender's publications changed their order"

    async def test_logs_of_different_topics_do_not_mix(self) -> None:
        """Each has its own offsets, and its own deliveries."""
        async with self.open_store() as store:
            one, other = self._reader(store, self.topic()), self._reader(store, self.topic())
            first = [await append(one.log, number) for number in range(3)]
            await append(other.log, "other")
            await one.has(3)
            await other.has(1)
            await self._calm()

            assert [position.offset for position in first] == [1, 2, 3]
            assert (one.payloads, other.payloads) == ([0, 1, 2], ["other"])
            assert other.offsets == [1]

    async def test_its_position_is_that_of_the_newest_delivered(self) -> None:
        """A join compares it with what it has read: equal means that nothing is missing."""
        async with self._opened() as reader:
            for number in range(3):
                position = await append(reader.log, number)
                await reader.has(number + 1)

                assert reader.log.position == position
                assert (await reader.log.since(position)).position == position

    # ------------------------------------------------------------------ epochs

    async def test_the_epoch_outlasts_a_close(self) -> None:
        """Who opens the log again goes on where the last one stopped."""
        topic = self.topic()
        async with self.open_store() as store:
            reader = self._reader(store, topic)
            first = await append(reader.log, "a")
            await reader.has(1)
            reader.log.close()
            again = self._reader(store, topic)
            second = await append(again.log, "b")
            await again.has(1)

            assert second == Position(first.epoch, 2)
            assert again.payloads == ["b"], "what was before the open is not delivered"
            check(await again.log.since(first), ["b"], None)
            check(await again.log.since(Position(first.epoch, 0)), ["a", "b"], None)

    # ------------------------------------------------------------------ since and newest

    async def test_since_gives_all_that_follows(self) -> None:
        """In order, and each at its offset."""
        async with self._opened() as reader:
            positions = await append_many(reader.log, range(EACH))
            await reader.has(EACH)

            for number, position in enumerate(positions, 1):
                recovery = await reader.log.since(position)
                check(recovery, list(range(number, EACH)), None)
                assert recovery.position == positions[-1]

    async def test_since_tells_that_the_history_is_too_short(self) -> None:
        """It still gives what is left; exactly what it keeps is no gap."""
        async with self._opened(History(size=4)) as reader:
            positions = await append_many(reader.log, range(10))
            await reader.has(10)

            check(await reader.log.since(positions[4]), [6, 7, 8, 9], "history")
            check(await reader.log.since(positions[5]), [6, 7, 8, 9], None)

    async def test_since_a_position_of_another_epoch_is_a_gap(self) -> None:
        """Also where its offset would fit."""
        async with self._opened() as reader:
            position = await append(reader.log, "a")
            await reader.has(1)
            recovery = await reader.log.since(Position(f"not{position.epoch}"[:12], 1))

            assert recovery.gap == "epoch"
            assert recovery.position == position

    async def test_since_a_position_ahead_is_a_gap(self) -> None:
        """The log has lost its tail, then: what it says next is not what followed."""
        async with self._opened() as reader:
            position = await append(reader.log, "a")
            await reader.has(1)
            recovery = await reader.log.since(Position(position.epoch, 2))

            assert recovery.gap == "epoch"
            assert recovery.position == position

    async def test_newest_gives_the_last_ones(self) -> None:
        """As many as asked for, or as there are; none is a number too."""
        async with self._opened(History(size=5)) as reader:
            await append_many(reader.log, range(7))
            await reader.has(7)

            check(await reader.log.newest(0), [], None)
            check(await reader.log.newest(2), [5, 6], None)
            check(await reader.log.newest(50), [2, 3, 4, 5, 6], None)
            assert (await reader.log.newest(1)).position == reader.log.position

    async def test_it_keeps_a_publication_no_longer_than_its_ttl(self) -> None:
        """Not a moment after it, and at least up to it."""
        async with self._opened(History(size=10, ttl=100.0)) as reader:
            old = await append(reader.log, "old")
            await self.pass_time(60)
            await append(reader.log, "new")
            await reader.has(2)
            await self.pass_time(39)
            check(await reader.log.newest(10), ["old", "new"], None)
            await self.pass_time(2)

            check(await reader.log.newest(10), ["new"], None)
            check(await reader.log.since(old), ["new"], None)
            check(await reader.log.since(Position(old.epoch, 0)), ["new"], "history")

    # ------------------------------------------------------------------ keys

    async def test_a_key_is_recorded_once(self) -> None:
        """The second gets the position of the first; the payload of the first counts."""
        async with self._opened() as reader:
            first = await append(reader.log, "a", key="k")
            other = await append(reader.log, "b", key="l")
            again = await append(reader.log, "c", key="k")
            none = [await append(reader.log, "d"), await append(reader.log, "d")]
            await reader.has(4)
            await self._calm()

            assert again == first
            assert [other.offset, *(each.offset for each in none)] == [2, 3, 4]
            assert reader.payloads == ["a", "b", "d", "d"]

    async def test_a_key_appended_by_many_at_once_is_recorded_once(self) -> None:
        """They all get one position, and it is delivered once to each who has it open."""
        async with self._opened_by(2) as readers:
            positions: list[Position] = []

            async def append_with_key(number: int) -> None:
                log = readers[number % 2].log
                positions.append(await append(log, number, key="k"))

            async with anyio.create_task_group() as tasks:
                for number in range(CROWD):
                    tasks.start_soon(append_with_key, number)
            for reader in readers:
                await reader.has(1)
            await self._calm()

            assert positions == [positions[0]] * CROWD
            assert [reader.offsets for reader in readers] == [[1], [1]]

    async def test_a_key_outlasts_its_publication(self) -> None:
        """That the history is short does not let somebody publish twice."""
        async with self._opened(History(size=1)) as reader:
            first = await append(reader.log, "a", key="k")
            await append_many(reader.log, range(3))
            again = await append(reader.log, "a", key="k")
            await reader.has(4)
            await self._calm()

            assert again == first
            assert reader.payloads == ["a", 0, 1, 2]

    async def test_a_key_is_known_for_its_window(self) -> None:
        """For 5 minutes."""
        async with self._opened() as reader:
            first = await append(reader.log, "a", key="k")
            await self.pass_time(KEY_WINDOW - 1)

            assert await append(reader.log, "a", key="k") == first

    # ------------------------------------------------------------------ cancellation

    async def test_a_cancelled_append_is_in_or_out(self) -> None:
        """However far it has come: no offset is lost, nothing comes twice, the log goes on."""
        async with self._opened() as reader:
            certain: list[object] = []
            for steps in range(STEPS):
                if await append_for(steps, partial(append, reader.log, ["cancelled", steps])):
                    certain.append(["cancelled", steps])
                await append(reader.log, ["kept", steps])
                certain.append(["kept", steps])
            await self._check_whole(reader, certain)

    async def test_cancelling_one_append_harms_no_other(self) -> None:
        """Those of others, which are under way at the same time, all come, in order."""
        async with self._opened() as reader:
            kept: list[object] = [["kept", each] for each in range(STEPS)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(append_many, reader.log, kept)
                for steps in range(STEPS):
                    payload = ["cancelled", steps]
                    tasks.start_soon(append_for, steps, partial(append, reader.log, payload))
            await self._check_whole(reader, kept)

    async def test_a_cancelled_key_can_be_tried_again(self) -> None:
        """That is what keys are for: it is recorded once, whatever became of the first try."""
        async with self._opened() as reader:
            for steps in range(STEPS):
                again = partial(append, reader.log, steps, f"key {steps}")
                await append_for(steps, again)
                await again()
            await self._check_whole(reader, list(range(STEPS)))

            assert reader.payloads == [*range(STEPS), "the last"]

    # ------------------------------------------------------------------ contents, close

    async def test_payloads_survive(self) -> None:
        """Whatever JSON can say comes out equal: delivered, and out of the history."""
        payloads = msgspec.json.decode(JSON, type=list[object])
        async with self._opened() as reader:
            await append_many(reader.log, payloads)
            await reader.has(len(payloads))
            kept = await reader.log.newest(100)

            check(kept, payloads, None)
            for each in (*reader.publications, *kept.publications):
                again = msgspec.json.encode(each.payload)
                assert again in map(msgspec.json.encode, payloads), "True is not 1, nor 1.0"

    async def test_who_is_excluded_stays_excluded(self) -> None:
        """On the way to all who have it open, and out of the history."""
        exclude = frozenset({"a", "b"})
        async with self._opened() as reader:
            await reader.log.append(Publication("x", exclude=exclude))
            await reader.has(1)
            [kept] = (await reader.log.newest(1)).publications

            assert [reader.publications[0].exclude, kept.exclude] == [exclude, exclude]

    async def test_after_a_close_nothing_is_delivered(self) -> None:
        """To him alone: others go on; and closing twice is nothing."""
        async with self._opened_by(2) as (reader, other):
            await append(reader.log, 0)
            await reader.has(1)
            reader.log.close()
            reader.log.close()
            await append_many(other.log, [1, 2])
            await other.has(3)
            await self._calm()

            assert reader.payloads == [0]
            assert other.payloads == [0, 1, 2]

    async def test_a_close_stops_what_is_under_way(self) -> None:
        """Also what was appended, and not yet delivered, when it was closed."""
        before = 0
        async with self._opened() as reader:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(append_many, reader.log, range(EACH))
                await anyio.lowlevel.checkpoint()
                reader.log.close()
                tasks.cancel_scope.cancel()
                before = len(reader.publications)
            await self._calm()

            assert len(reader.publications) == before

    # ------------------------------------------------------------------ inside

    @asynccontextmanager
    async def _opened(self, history: History = HISTORY) -> AsyncGenerator[Reader]:
        async with self.open_store() as store:
            yield self._reader(store, self.topic(), history)

    @asynccontextmanager
    async def _opened_by(self, count: int) -> AsyncGenerator[list[Reader]]:
        """Let several open one log: from different stores, where they are shared."""
        topic = self.topic()
        async with self.open_store() as one, self.open_store() as other:
            stores = (one, other if self.shared else one)
            yield [self._reader(stores[number % 2], topic) for number in range(count)]

    def _reader(self, store: Store, topic: str, history: History = HISTORY) -> Reader:
        reader = Reader(self.patience)
        reader.log = store.open(topic, history, reader.deliver)
        return reader

    async def _calm(self) -> None:
        """Let come what is still to come, and should not."""
        await settle()
        if self.pause:
            await anyio.sleep(self.pause)

    async def _check_whole(self, reader: Reader, certain: list[object]) -> None:
        """See to it that all that is certain is there, in order, and nothing is torn."""
        await append(reader.log, "the last")
        await self._calm()
        with anyio.fail_after(self.patience):
            while "the last" not in reader.payloads:
                await anyio.lowlevel.checkpoint()
        count = len(reader.publications)
        assert reader.offsets == list(range(1, count + 1))
        assert [each for each in reader.payloads if each in certain] == certain
        kept = await reader.log.newest(count + 1)
        check(kept, reader.payloads, None)


def offsets(publications: Sequence[Publication]) -> list[int]:
    """Give where they stand; one that has no position stands at -1."""
    return [-1 if each.position is None else each.position.offset for each in publications]


def as_tuples(reader: Reader) -> list[tuple[int, int]]:
    """Give pairs as they were before they became JSON."""
    return [msgspec.convert(payload, tuple[int, int]) for payload in reader.payloads]


def check(recovery: Recovery, payloads: Sequence[object], gap: str | None) -> None:
    """Compare what a log gives: it ends where the log stands, and has no holes."""
    publications = list(recovery.publications)
    last = recovery.position.offset
    assert recovery.gap == gap
    assert [each.payload for each in publications] == list(payloads)
    assert offsets(publications) == list(range(last - len(payloads) + 1, last + 1))


async def append(log: Log, payload: object, key: str | None = None) -> Position:
    """Append one."""
    return await log.append(Publication(payload, key=key))


async def append_many(log: Log, payloads: Iterable[object]) -> list[Position]:
    """Append one after another."""
    return [await append(log, payload) for payload in payloads]


async def append_for(turns: int, append: Callable[[], Awaitable[object]]) -> bool:
    """Append, and cancel it after so many turns; tell whether it was done before."""
    done = False

    async def run() -> None:
        nonlocal done
        with scope:
            await append()
            done = True

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    return done
