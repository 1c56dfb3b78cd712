"""How fast a client joins and pushes, without a clock."""

from contextlib import suppress

import pytest

from herdwick import Limits, Rate
from herdwick.websocket.paces import Pace, Paces, TooFast


def outcomes(pace: Pace, times: int, now: float) -> list[str]:
    """Tell what becomes of so many tries: let, told or closed."""
    found: list[str] = []
    for _ in range(times):
        try:
            pace.check(now)
            found.append("let")
        except TooFast as error:
            found.append("closed" if error.again_and_again else "told")
    return found


def test_who_is_too_fast_is_told_and_closed_after_as_many_again() -> None:
    pace = Pace("pushes", Rate(4, burst=2))

    assert outcomes(pace, 6, now=0.0) == ["let", "let", "told", "told", "closed", "closed"]


def test_who_is_a_little_too_fast_is_told_for_ever() -> None:
    pace = Pace("pushes", Rate(4, burst=2))

    found = [outcomes(pace, 1, now=number / 8)[0] for number in range(1000)]

    assert "closed" not in found
    assert 495 <= found.count("let") <= 505


def test_who_is_too_fast_is_told_when_there_may_be_one_more() -> None:
    pace = Pace("joins", Rate(4, burst=1))
    pace.check(0.0)

    with pytest.raises(TooFast, match="too many joins") as caught:
        pace.check(0.125)

    assert caught.value.retry_after == 0.125


def test_as_many_joins_at_once_as_topics_are_never_too_many() -> None:
    paces = Paces(Limits(topics=50, joins=Rate(2)))
    for _ in range(50):
        paces.check_join(0.0)

    with pytest.raises(TooFast):
        paces.check_join(0.0)


def test_each_topic_has_a_pace_of_its_own() -> None:
    paces = Paces(Limits(publishes=Rate(1)))
    paces.check_push("a", {"a", "b"}, 0.0)
    paces.check_push("b", {"a", "b"}, 0.0)

    with pytest.raises(TooFast, match="too many pushes"):
        paces.check_push("a", {"a", "b"}, 0.0)


def test_leaving_a_topic_and_joining_it_again_allows_no_more_pushes() -> None:
    paces = Paces(Limits(publishes=Rate(1)))
    paces.check_push("a", {"a"}, 0.0)
    paces.check_push("b", {"b"}, 0.0)

    with pytest.raises(TooFast):
        paces.check_push("a", {"a"}, 0.0)


def test_topics_that_were_left_are_forgotten_before_there_are_many() -> None:
    paces = Paces(Limits(topics=10))
    most = 0

    for number in range(1000):
        paces.check_push(f"topic {number}", {f"topic {number}"}, float(number))
        most = max(most, len(paces))

    assert most == 20


def test_without_a_rate_nothing_is_counted() -> None:
    paces = Paces(Limits(joins=None, publishes=None))

    with suppress(TooFast):
        for _ in range(10_000):
            paces.check_join(0.0)
            paces.check_push("a", {"a"}, 0.0)
        return
    pytest.fail("it was counted")
