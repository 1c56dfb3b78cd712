"""The policies for slow members are values, checked when they are made."""

from operator import attrgetter

import msgspec
import pytest

from herdwick.actors import CatchUp, Conflate, Disconnect


class Price(msgspec.Struct):
    symbol: str


def test_they_are_equal_where_they_say_the_same() -> None:
    key = attrgetter("symbol")

    assert Disconnect() == Disconnect()
    assert CatchUp() == CatchUp(patience=30)
    assert Conflate(key) == Conflate(key, 0.0, 30)
    assert Conflate(key) != Conflate(key, interval=1)


def test_a_key_knows_the_payloads_by_their_type() -> None:
    slow = Conflate[Price](attrgetter("symbol"), interval=0.5)

    assert slow.key(Price("ABC")) == "ABC"


@pytest.mark.parametrize("patience", [0.0, -1.0, float("nan")])
def test_a_patience_is_more_than_nothing(patience: float) -> None:
    with pytest.raises(ValueError, match="it must be more than 0 seconds"):
        CatchUp(patience)
    with pytest.raises(ValueError, match="it must be more than 0 seconds"):
        Conflate(str, patience=patience)


@pytest.mark.parametrize("interval", [-1.0, float("inf"), float("nan")])
def test_an_interval_is_finite_and_not_negative(interval: float) -> None:
    with pytest.raises(ValueError, match="it must be 0 seconds or more"):
        Conflate(str, interval=interval)


def test_a_key_is_a_function() -> None:
    with pytest.raises(TypeError, match="it must be a function of the payload"):
        Conflate("symbol")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
