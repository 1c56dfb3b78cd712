"""Timers: order, taking back, errors, and a heap that does not grow."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from herdwick.runtime import Once, Timers
from tests.runtime.samples import settle


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def ticking(clock: Callable[[], float]) -> AsyncGenerator[Timers]:
    timers = Timers(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(timers.run)
        await settle()
        yield timers
        tasks.cancel_scope.cancel()


def wake(timers: Timers) -> None:
    """Let the timers look at the clock again."""
    timers.call_later(-1, lambda: None)


async def test_calls_are_made_in_the_order_in_which_they_fall_due() -> None:
    clock, calls = Hands(), list[str]()
    async with ticking(clock) as timers:
        timers.call_later(3, lambda: calls.append("third"))
        timers.call_later(1, lambda: calls.append("first"))
        timers.call_later(1, lambda: calls.append("second"))
        timers.call_later(9, lambda: calls.append("not yet"))

        clock.now += 3
        wake(timers)
        await settle()

        assert calls == ["first", "second", "third"]


async def test_an_earlier_call_overtakes_the_one_that_is_waited_for() -> None:
    clock, fired = anyio.current_time, Once()
    async with ticking(clock) as timers:
        timers.call_later(3600, lambda: None)
        await settle()

        timers.call_later(0.001, fired.happen)

        with anyio.fail_after(5):
            await fired.wait()


async def test_what_was_taken_back_is_not_called() -> None:
    clock, calls = Hands(), list[str]()
    async with ticking(clock) as timers:
        late = timers.call_later(2, lambda: calls.append("late"))
        timers.call_later(1, late.cancel)
        clock.now += 5
        wake(timers)
        await settle()

        assert (calls, late.pending) == ([], False)
        late.cancel()


async def test_an_error_in_a_call_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, calls = Hands(), list[str]()

    def fail() -> None:
        raise ValueError("boom")

    async with ticking(clock) as timers:
        timers.call_later(0, fail)
        timers.call_later(0, lambda: calls.append("next"))
        await settle()

    assert calls == ["next"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_call_that_sets_itself_again_at_once_lets_others_run() -> None:
    clock, calls = Hands(), list[str]()
    async with ticking(clock) as timers:

        def again() -> None:
            calls.append("again")
            if len(calls) < 1000:
                timers.call_later(0, again)

        timers.call_later(0, again)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()

        assert 1 < len(calls) < 1000


def test_timers_that_were_taken_back_do_not_pile_up() -> None:
    timers = Timers(Hands())
    kept = [timers.call_later(30, lambda: None) for _ in range(500)]

    for _ in range(100_000):
        timers.call_later(30, lambda: None).cancel()

    assert len(timers) < 3000
    assert all(timer.pending for timer in kept)
