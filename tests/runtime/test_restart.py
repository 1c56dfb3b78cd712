"""Restart decisions, against OTP's table and a naive model of the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.runtime import KILLED, NORMAL, SHUTDOWN, Exit, Restart, RestartLimit, wants_restart
from herdwick.runtime.exit import crash

CRASH = crash(ValueError("boom"))


@pytest.mark.parametrize(
    ("restart", "reason", "comes_back"),
    [
        ("permanent", NORMAL, True),
        ("permanent", SHUTDOWN, True),
        ("permanent", CRASH, True),
        ("permanent", KILLED, True),
        ("transient", NORMAL, False),
        ("transient", SHUTDOWN, False),
        ("transient", CRASH, True),
        ("transient", KILLED, True),
        ("temporary", NORMAL, False),
        ("temporary", SHUTDOWN, False),
        ("temporary", CRASH, False),
        ("temporary", KILLED, False),
    ],
)
def test_who_comes_back_after_what(restart: Restart, reason: Exit, comes_back: bool) -> None:
    assert wants_restart(restart, reason) is comes_back


def gives_up(limit: RestartLimit, moments: list[float]) -> int | None:
    """Give the index of the restart at which a supervisor gives up."""
    log: tuple[float, ...] = ()
    for index, moment in enumerate(moments):
        log = limit.charged(log, moment)
        if limit.exceeded(log):
            return index
    return None


def test_the_restart_after_the_last_allowed_one_is_too_many() -> None:
    assert gives_up(RestartLimit(3, 5.0), [0.0, 0.1, 0.2, 0.3]) == 3


def test_with_a_budget_of_none_the_first_restart_is_too_many() -> None:
    assert gives_up(RestartLimit(0, 5.0), [0.0]) == 0


def test_a_restart_exactly_one_period_ago_still_counts() -> None:
    assert gives_up(RestartLimit(1, 5.0), [10.0, 15.0]) == 1


def test_a_restart_a_little_longer_ago_does_not() -> None:
    assert gives_up(RestartLimit(1, 5.0), [10.0, 15.001]) is None


def test_the_window_slides() -> None:
    assert gives_up(RestartLimit(2, 5.0), [0.0, 4.0, 6.0, 8.0]) == 3


@given(
    restarts=st.integers(0, 4),
    period=st.integers(1, 10),
    pauses=st.lists(st.integers(0, 6), max_size=30),
)
def test_the_budget_equals_a_naive_count(restarts: int, period: int, pauses: list[int]) -> None:
    moments = [float(sum(pauses[: index + 1])) for index in range(len(pauses))]
    naive = (
        index
        for index, now in enumerate(moments)
        if sum(now - period <= moment for moment in moments[: index + 1]) > restarts
    )

    assert gives_up(RestartLimit(restarts, float(period)), moments) == next(naive, None)


@given(pauses=st.lists(st.floats(0, 3), max_size=100))
def test_the_log_stays_as_short_as_its_period(pauses: list[float]) -> None:
    limit, log, now = RestartLimit(1000, 5.0), tuple[float, ...](), 0.0
    for pause in pauses:
        now += pause
        log = limit.charged(log, now)

        assert all(now - 5.0 <= moment <= now for moment in log)


@pytest.mark.parametrize(
    ("restarts", "period", "complaint"),
    [
        (-1, 5.0, "max_restarts is -1"),
        (3, 0.0, "period is 0;"),
        (3, -2.5, "period is -2.5"),
        (3, float("nan"), "period is nan"),
    ],
)
def test_a_senseless_limit_is_refused_by_field_and_value(
    restarts: int, period: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        RestartLimit(restarts, period)
