"""Limits: what is no limit is told where it is written, and what there is stands in the manual."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from herdwick import Application, Limits, Rate, WebSocket
from herdwick.websocket import RouteLimits

MANUAL = Path(__file__).parents[2] / "docs/how-to/limits.md"


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("inbox_messages", -1),
        ("message_bytes", -5),
        ("outbox_bytes", 0),
        ("ping_interval", -3),
        ("ping_timeout", 0.0),
        ("send_timeout", float("nan")),
        ("connections", 0),
        ("connections_per_user", -1),
    ],
)
def test_a_limit_that_is_not_more_than_0_is_told_with_its_name(limit: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{limit} is {value}; it must be more than 0"):
        Limits(**{limit: value})


@pytest.mark.parametrize(
    ("limit", "value", "problem"),
    [
        ("close_timeout", None, "close_timeout is None; it must be a number"),
        ("head_timeout", "10", "head_timeout is '10'; it must be a number"),
        ("connections", True, "connections is True; it must be a number"),
        ("topics", 1.5, "topics is 1.5; it must be a whole number"),
        ("connections_per_address", 2.5, "connections_per_address is 2.5; it must be a whole"),
        ("message_rate", 100, r"message_rate is 100; it must be a Rate, such as Rate\(100\)"),
        ("joins", (20, 1), r"joins is \(20, 1\); it must be a Rate"),
    ],
)
def test_a_limit_of_another_kind_is_told_with_its_name(
    limit: str, value: Any, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Limits(**{limit: value})


def test_pings_can_be_turned_off() -> None:
    limits = Limits(ping_interval=None, ping_timeout=None)

    assert (limits.ping_interval, limits.ping_timeout) == (None, None)


def test_a_wait_can_be_for_ever() -> None:
    assert Limits(send_timeout=float("inf")).send_timeout == float("inf")


def test_every_rate_can_be_turned_off() -> None:
    rates: Any = {field.name: None for field in fields(Limits) if "Rate" in str(field.type)}

    limits = Limits(**rates)

    assert len(rates) == 6
    assert all(getattr(limits, name) is None for name in rates)


# ------------------------------------------------------------------ routes


def test_the_limits_of_a_route_are_limits_with_the_same_types() -> None:
    types = {field.name: field.type for field in fields(Limits)}

    assert RouteLimits.__annotations__.items() <= types.items()


async def handler(websocket: WebSocket) -> None:
    await websocket.accept()


def test_a_route_refuses_what_is_no_limit_at_all() -> None:
    app = Application()

    with pytest.raises(ValueError, match="message_bytes is 0; it must be more than 0"):
        app.ws("/", message_bytes=0)(handler)


@pytest.mark.parametrize("name", ["connections", "head_bytes", "handshakes", "topic"])
def test_a_route_refuses_what_is_no_limit_of_a_route_and_says_which_are(name: str) -> None:
    options: Any = {name: 1}

    with pytest.raises(TypeError, match=f"'{name}' is no limit of a route, which are: inbox_"):
        Application().ws("/", **options)


# ------------------------------------------------------------------ the manual


def written(default: object) -> str:
    """Give a default as the manual writes it."""
    match default:
        case None:
            return "off"
        case Rate(count=count, per=60.0):
            return f"{count} a minute"
        case Rate(count=count, burst=burst):
            return f"{count}/s" if burst is None else f"{count}/s, burst {burst}"
        case float():
            return f"{default:g} s"
        case int() if default >= 1024 * 1024:
            return f"{default // 1024 // 1024} MiB"
        case int() if default > 1024:
            return f"{default // 1024} KiB"
        case _:
            return str(default)


def test_the_manual_names_every_limit_with_its_default() -> None:
    _, _, text = MANUAL.read_text().partition("\n## All of them\n")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text.partition("\n## ")[0], re.MULTILINE)

    assert len(rows) == len(dict(rows))
    assert dict(rows) == {
        **{field.name: written(field.default) for field in fields(Limits)},
        "connections": "10,000 at most",
    }


def test_the_manual_says_which_limits_a_route_may_have() -> None:
    [told] = re.findall(r"\nA route may have (.+?)\n\n", MANUAL.read_text(), re.DOTALL)

    assert set(re.findall(r"`(\w+)`", told)) == set(RouteLimits.__annotations__)
