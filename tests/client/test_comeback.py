"""The decisions about coming back, without a clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.client.comeback import refuses_for_good, retry_after, stays_away, wait_before


@given(attempt=st.integers(1, 10**9), chance=st.floats(0, 1))
def test_a_wait_is_never_over_30_seconds(attempt: int, chance: float) -> None:
    assert 0 <= wait_before(attempt, chance) <= 30


def test_the_longest_wait_doubles_up_to_30_seconds() -> None:
    longest = [wait_before(attempt, 1.0) for attempt in range(1, 8)]

    assert longest == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("code", [1000, 4403, 4500, 4999])
def test_these_codes_keep_a_client_away(code: int) -> None:
    assert stays_away(code)


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1012, 3000, 4000, 4401, 4404, 4499])
def test_these_codes_do_not(code: int) -> None:
    assert not stays_away(code)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_these_statuses_pass(status: int) -> None:
    assert not refuses_for_good(status)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 426])
def test_these_statuses_stay(status: int) -> None:
    assert refuses_for_good(status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("12", 12),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", 0),
        ("-3", 0),
        ("²", 0),
        ("", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float) -> None:
    assert retry_after(value, 40.0) == seconds
