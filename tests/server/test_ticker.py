"""Deadlines: the wheel, and the task that keeps it."""

import math
from dataclasses import dataclass, field

import anyio
import pytest

from herdwick.runtime import current_clock
from herdwick.server.ticker import Ticker, Wheel


@dataclass(eq=False)
class Item:
    """Notes when it was ticked."""

    ticks: list[float] = field(default_factory=list[float])
    ticked: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        self.ticked.set()
        if self.error is not None:
            raise self.error


def test_what_is_due_comes_out_in_the_order_of_its_grain() -> None:
    wheel = Wheel[Item](grain=1.0)
    late, early, later = Item(), Item(), Item()
    wheel.put(late, 2.0)
    wheel.put(early, 0.5)
    wheel.put(later, 9.0)

    assert wheel.next == 1.0
    assert wheel.due(2.0) == [early, late]
    assert wheel.due(2.0) == []
    assert len(wheel) == 1


def test_an_item_is_never_due_before_its_deadline() -> None:
    wheel = Wheel[Item](grain=1.0)
    wheel.put(Item(), 1.5)

    assert wheel.due(1.9) == []
    assert len(wheel.due(2.0)) == 1


def test_a_deadline_moves_earlier_and_not_later() -> None:
    wheel = Wheel[Item](grain=1.0)
    item = Item()
    wheel.put(item, 5.0)

    wheel.put(item, 9.0)
    assert wheel.next == 5.0
    wheel.put(item, 3.0)

    assert wheel.next == 3.0
    assert wheel.due(10.0) == [item]


def test_what_is_removed_is_not_kept() -> None:
    wheel = Wheel[Item](grain=1.0)
    item = Item()
    wheel.put(item, 5.0)

    wheel.remove(item)
    wheel.remove(item)

    assert wheel.next == math.inf
    assert len(wheel) == 0


async def test_a_deadline_is_kept_though_it_comes_while_the_ticker_waits() -> None:
    clock = current_clock()
    ticker, late, early = Ticker(clock), Item(), Item()
    ticker.watch(late, clock() + 3600)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker.run)
        await anyio.wait_all_tasks_blocked()

        ticker.watch(early, clock())
        await early.ticked.wait()

        tasks.cancel_scope.cancel()
    assert len(early.ticks) == 1
    assert late.ticks == []


async def test_a_tick_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clock = current_clock()
    ticker, broken, sound = Ticker(clock), Item(error=ValueError("a bug")), Item()
    ticker.watch(broken, clock() - 1)
    ticker.watch(sound, clock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker.run)

        await sound.ticked.wait()

        tasks.cancel_scope.cancel()
    assert "a bug in one connection's deadline" in caplog.text


async def test_what_is_forgotten_is_not_ticked() -> None:
    clock = current_clock()
    ticker, gone, there = Ticker(clock), Item(), Item()
    ticker.watch(gone, clock())
    ticker.watch(there, clock())

    ticker.forget(gone)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker.run)
        await there.ticked.wait()
        tasks.cancel_scope.cancel()
    assert gone.ticks == []
