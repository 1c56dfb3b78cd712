"""Logs: positions, what is kept and for how long, keys, and epochs."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.actors import (
    History,
    InvalidPosition,
    MemoryLog,
    MemoryStore,
    Position,
    Publication,
    Recovery,
)
from tests.actors.wire import TextWire

DAY = 86_400.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(
    history: History | None = None, deliver: Callable[[Publication], None] | None = None
) -> tuple[MemoryLog, MemoryStore, Clock]:
    clock = Clock()
    store = MemoryStore(clock)
    log = store.open("chat", History() if history is None else history, deliver or _ignore)
    return log, store, clock


def _ignore(publication: Publication) -> None:
    """Hear nothing."""


async def append(log: MemoryLog, *payloads: object) -> list[Position]:
    return [await log.append(Publication(payload)) for payload in payloads]


def payloads(recovery: Recovery) -> list[object]:
    return [publication.payload for publication in recovery.publications]


# ------------------------------------------------------------------ positions


@given(st.text("0123456789abcdef:", min_size=1, max_size=50), st.integers(0, 10**40))
def test_a_position_is_read_as_it_is_written(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)

    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "a", ":1", "a:", "a:-1", "a:+1", "a:1.5", "a:x", "a:١", "a: 1", "a" * 100 + ":1"]
)
def test_what_is_no_position_is_told_with_what_to_do(text: str) -> None:
    with pytest.raises(InvalidPosition, match="give back one that a member was given") as caught:
        Position.parse(text)

    assert len(str(caught.value)) < 200


# ------------------------------------------------------------------ what is kept


async def test_publications_are_counted_from_one_without_gaps_and_delivered_in_order() -> None:
    delivered: list[Publication] = []
    log, _, _ = opened(deliver=delivered.append)

    assert log.position.offset == 0
    positions = await append(log, "a", "b", "c")

    assert [position.offset for position in positions] == [1, 2, 3]
    assert len({position.epoch for position in positions}) == 1
    assert [each.position for each in delivered] == positions
    assert log.position == positions[-1]


async def test_what_follows_a_position_is_given_and_nothing_before_it() -> None:
    log, _, _ = opened()
    start = log.position
    positions = await append(log, "a", "b", "c")

    assert payloads(await log.since(start)) == ["a", "b", "c"]
    assert payloads(await log.since(positions[1])) == ["c"]
    last = await log.since(positions[2])
    assert (payloads(last), last.position, last.gap) == ([], positions[2], None)


async def test_the_last_ones_are_given_or_as_many_as_there_are() -> None:
    log, _, _ = opened()
    await append(log, "a", "b", "c")

    assert payloads(await log.newest(2)) == ["b", "c"]
    assert payloads(await log.newest(9)) == ["a", "b", "c"]
    assert payloads(await log.newest(0)) == []


async def test_beyond_its_size_the_oldest_goes_and_leaves_a_gap() -> None:
    log, _, _ = opened(History(size=2))
    start = log.position
    positions = await append(log, "a", "b", "c")

    recovery = await log.since(start)
    assert (payloads(recovery), recovery.gap) == (["b", "c"], "history")
    assert (await log.since(positions[0])).gap is None


async def test_after_its_time_a_publication_is_gone_and_the_position_stays() -> None:
    log, _, clock = opened(History(ttl=60))
    start = log.position
    await append(log, "old")
    clock.now = 50
    (position,) = await append(log, "new")
    clock.now = 61

    recovery = await log.since(start)
    assert (payloads(recovery), recovery.gap, recovery.position) == (["new"], "history", position)
    clock.now = 200
    assert payloads(await log.newest(5)) == []
    assert log.position == position
    assert (await log.since(position)).gap is None


@pytest.mark.parametrize("strange", [Position("other", 1), Position("", 10**6)])
async def test_a_position_of_another_epoch_is_a_gap_of_everything(strange: Position) -> None:
    log, _, _ = opened()
    (position,) = await append(log, "a")

    recovery = await log.since(strange)

    assert (payloads(recovery), recovery.gap, recovery.position) == ([], "epoch", position)


async def test_a_position_that_is_yet_to_come_is_none_of_this_epoch() -> None:
    log, _, _ = opened()
    (position,) = await append(log, "a")

    assert (await log.since(Position(position.epoch, 2))).gap == "epoch"


# ------------------------------------------------------------------ keys


async def test_the_same_key_is_recorded_and_delivered_once_within_five_minutes() -> None:
    delivered: list[Publication] = []
    log, _, clock = opened(deliver=delivered.append)

    first = await log.append(Publication("a", key="k"))
    clock.now = 299
    again = await log.append(Publication("a", key="k"))
    other = await log.append(Publication("b", key="l"))
    clock.now = 301
    late = await log.append(Publication("a", key="k"))

    assert first == again
    assert [each.offset for each in (first, other, late)] == [1, 2, 3]
    assert len(delivered) == 3


async def test_a_key_is_known_though_its_publication_is_kept_no_more() -> None:
    log, _, _ = opened(History(size=1))

    first = await log.append(Publication("a", key="k"))
    await append(log, "b", "c")

    assert await log.append(Publication("a", key="k")) == first


# ------------------------------------------------------------------ the store


async def test_a_log_outlives_those_who_open_it() -> None:
    delivered: list[Publication] = []
    log, store, _ = opened(deliver=delivered.append)
    (position,) = await append(log, "a")
    log.close()
    log.close()
    again = store.open("chat", History(), _ignore)

    await append(again, "b")

    assert payloads(await again.since(position)) == ["b"]
    assert [each.payload for each in delivered] == ["a"]


async def test_all_who_have_it_open_get_what_any_of_them_appends() -> None:
    mine: list[Publication] = []
    yours: list[Publication] = []
    log, store, _ = opened(deliver=mine.append)
    other = store.open("chat", History(), yours.append)

    await append(log, "a")
    await append(other, "b")

    assert [each.payload for each in mine] == [each.payload for each in yours] == ["a", "b"]


async def test_logs_of_other_topics_are_others() -> None:
    log, store, _ = opened()
    other = store.open("other", History(), _ignore)

    await append(log, "a")

    assert other.position.offset == 0
    assert other.position.epoch != log.position.epoch
    assert len(store) == 2


async def test_the_epoch_is_kept_for_a_day_after_the_last_publication() -> None:
    log, store, clock = opened(History(ttl=60))
    (position,) = await append(log, "a")
    log.close()
    clock.now = DAY - 1
    store.tidy()
    assert len(store) == 1
    assert store.open("chat", History(), _ignore).position == position

    clock.now = DAY + 1
    store.tidy()
    assert len(store) == 1  # somebody has it open


async def test_a_log_of_which_nobody_was_told_a_position_is_forgotten_at_once() -> None:
    log, store, _ = opened(History(ttl=60))
    told = store.open("told", History(), _ignore)
    assert (await told.newest(0)).position.offset == 0
    store.tidy()
    assert len(store) == 2
    told.close()
    log.close()

    store.tidy()

    assert len(store) == 1
    assert store.open("told", History(), _ignore).position == told.position


async def test_after_that_day_a_log_that_nobody_has_open_begins_anew() -> None:
    log, store, clock = opened(History(ttl=60))
    (position,) = await append(log, "a")
    log.close()
    clock.now = DAY + 1
    store.tidy()

    assert len(store) == 0
    again = store.open("chat", History(), _ignore)
    assert (await again.since(position)).gap == "epoch"


# ------------------------------------------------------------------ one publication for all


def test_it_is_encoded_once_for_each_encoding_and_framed_once_for_each_variant() -> None:
    publication = Publication("hello")
    wires = [TextWire(), TextWire(), TextWire(variant="loud")]

    frames = [publication.frame("chat", wire) for wire in wires]

    told = [None if frame is None else frame.data for frame in frames]
    assert told == ["chat: hello", "chat: hello", "chat: HELLO"]
    assert frames[0] is frames[1]
    assert [wire.encoded for wire in wires] == [["hello"], [], []]
