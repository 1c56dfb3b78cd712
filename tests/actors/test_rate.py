"""Rates, and the buckets that count by them: no clock, only moments."""

from typing import Any

import pytest

from herdwick import Rate
from herdwick.actors import Bucket


def taken(bucket: Bucket, times: int, now: float) -> int:
    """Tell how many of so many tries get one."""
    return sum(bucket.take(now) for _ in range(times))


def test_after_a_rest_there_is_the_burst_and_then_what_comes_back_evenly() -> None:
    bucket = Bucket(Rate(4, burst=8))

    assert taken(bucket, 10, now=100.0) == 8
    assert taken(bucket, 10, now=100.0) == 0
    assert taken(bucket, 10, now=100.25) == 1
    assert taken(bucket, 10, now=101.25) == 4
    assert taken(bucket, 10, now=1000.0) == 8


def test_without_a_burst_there_is_at_once_what_comes_in_the_period() -> None:
    bucket = Bucket(Rate(5, per=60.0))

    assert taken(bucket, 10, now=0.0) == 5
    assert taken(bucket, 10, now=11.0) == 0
    assert taken(bucket, 10, now=12.5) == 1


def test_a_rate_of_less_than_one_lets_one_pass_after_a_rest() -> None:
    bucket = Bucket(Rate(0.5))

    assert taken(bucket, 3, now=0.0) == 1
    assert taken(bucket, 3, now=2.0) == 1


def test_what_is_refused_is_not_charged() -> None:
    bucket = Bucket(Rate(1, burst=1))
    assert bucket.take(0.0)

    assert taken(bucket, 1000, now=0.5) == 0

    assert bucket.take(1.0)


def test_a_bucket_tells_how_long_to_wait_for_the_next_one() -> None:
    bucket = Bucket(Rate(4, burst=1))

    assert bucket.take(0.0)
    assert bucket.wait == 0.25
    assert not bucket.take(0.125)
    assert bucket.wait == 0.125


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"count": 0}, "count of a rate is 0; it must be a number more than 0"),
        ({"count": -1.5}, "count of a rate is -1.5"),
        ({"count": float("nan")}, "count of a rate is nan"),
        ({"count": float("inf")}, "count of a rate is inf"),
        ({"count": "10"}, "count of a rate is '10'"),
        ({"count": 1, "per": 0}, "per of a rate is 0; it must be a number more than 0"),
        ({"count": 1, "burst": 0}, "burst of a rate is 0; it must be 1 or more, or None"),
        ({"count": 1, "burst": 1.5}, "burst of a rate is 1.5"),
    ],
)
def test_what_is_no_rate_is_told_where_it_is_written(given: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Rate(**given)
