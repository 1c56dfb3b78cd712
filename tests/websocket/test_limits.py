"""Limits: what is no limit is told where it is written."""

from typing import Any

import pytest

from herdwick import Limits


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("inbox_messages", -1),
        ("message_bytes", -5),
        ("outbox_bytes", 0),
        ("ping_interval", -3),
        ("ping_timeout", 0.0),
        ("send_timeout", float("nan")),
        ("close_timeout", None),
    ],
)
def test_a_limit_that_is_not_more_than_0_is_told_with_its_name(limit: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{limit} is {value}; it must be more than 0"):
        Limits(**{limit: value})


def test_pings_can_be_turned_off() -> None:
    limits = Limits(ping_interval=None, ping_timeout=None)

    assert (limits.ping_interval, limits.ping_timeout) == (None, None)


def test_a_wait_can_be_for_ever() -> None:
    assert Limits(send_timeout=float("inf")).send_timeout == float("inf")
