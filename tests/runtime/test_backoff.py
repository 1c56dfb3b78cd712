"""Backoff: how long to wait before a restart, and when to stop trying."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.runtime import Backoff


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    shortest = draw(st.floats(0, 1e6))
    return Backoff(
        min=shortest,
        max=draw(st.floats(shortest, 1e9)),
        factor=draw(st.floats(1, 1e6)),
        jitter=draw(st.floats(0, 1)),
    )


ATTEMPTS = st.integers(0, 10**6)
RANDOM = st.floats(0, 1, exclude_max=True)


def test_the_waits_grow_by_the_factor_up_to_the_longest() -> None:
    backoff = Backoff(min=0.1, max=1.0, factor=2.0, jitter=0.0)

    assert [backoff.delay(attempt, 0.5) for attempt in range(5)] == [0.1, 0.2, 0.4, 0.8, 1.0]


def test_chance_takes_off_no_more_than_the_jitter() -> None:
    backoff = Backoff(min=10.0, max=10.0, jitter=0.2)

    assert backoff.delay(0, 0.0) == 10.0
    assert backoff.delay(0, 0.5) == 9.0
    assert backoff.delay(0, 0.999) == pytest.approx(8.002)


@given(backoffs(), ATTEMPTS, RANDOM)
def test_a_wait_is_neither_negative_nor_longer_than_the_longest(
    backoff: Backoff, attempt: int, random: float
) -> None:
    assert 0 <= backoff.delay(attempt, random) <= backoff.max


@given(backoffs(), ATTEMPTS, ATTEMPTS)
def test_without_chance_a_later_wait_is_no_shorter(backoff: Backoff, one: int, other: int) -> None:
    earlier, later = sorted([one, other])

    assert backoff.delay(earlier, 0.0) <= backoff.delay(later, 0.0)


@pytest.mark.parametrize("factor", [1.0, 2, 2.0, 1e300])
def test_a_million_attempts_overflow_nothing(factor: float) -> None:
    backoff = Backoff(min=0.5, max=30.0, factor=factor)

    assert backoff.delay(10**6, 0.0) == (0.5 if factor == 1 else 30.0)


def test_without_a_shortest_wait_there_is_none_however_often_it_failed() -> None:
    backoff = Backoff(min=0.0, max=30.0)

    assert {backoff.delay(attempt, 0.0) for attempt in (0, 1, 5000, 10**6)} == {0.0}


def test_a_long_life_forgets_the_attempts_and_the_edge_belongs_to_it() -> None:
    backoff = Backoff(reset_after=60.0)

    assert backoff.attempts_after(7, 59.999) == 7
    assert backoff.attempts_after(7, 60.0) == 0
    assert backoff.attempts_after(7, 61.0) == 0


@pytest.mark.parametrize(
    ("most", "attempts", "gives_up"),
    [(None, 10**6, False), (0, 0, True), (1, 0, False), (1, 1, True), (3, 2, False), (3, 4, True)],
)
def test_attempts_end_after_as_many_as_are_allowed(
    most: int | None, attempts: int, gives_up: bool
) -> None:
    assert Backoff(max_attempts=most).exhausted(attempts) is gives_up


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (lambda: Backoff(min=-0.1), "min is -0.1; it must be 0 seconds or more"),
        (lambda: Backoff(min=float("nan")), "min is nan"),
        (lambda: Backoff(min=float("inf"), max=float("inf")), "min is inf"),
        (lambda: Backoff(min=5, max=1), "max is 1; it must be at least min, 5, and finite"),
        (lambda: Backoff(max=float("nan")), "max is nan"),
        (lambda: Backoff(max=float("inf")), "max is inf"),
        (lambda: Backoff(factor=0.5), "factor is 0.5; it must be 1 or more"),
        (lambda: Backoff(factor=float("nan")), "factor is nan"),
        (lambda: Backoff(jitter=1.5), "jitter is 1.5; it must be from 0 to 1"),
        (lambda: Backoff(jitter=-0.1), "jitter is -0.1"),
        (lambda: Backoff(jitter=float("nan")), "jitter is nan"),
        (lambda: Backoff(reset_after=-1), "reset_after is -1; it must be 0 seconds or more"),
        (lambda: Backoff(reset_after=float("nan")), "reset_after is nan"),
        (lambda: Backoff(max_attempts=-1), "max_attempts is -1; it must be 0 or more"),
    ],
)
def test_a_senseless_backoff_is_refused_by_field_and_value(
    bad: Callable[[], Backoff], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        bad()
