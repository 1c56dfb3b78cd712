"""What the routing package shows of itself."""

import pytest

import herdwick.routing as routing


def test_every_public_name_exists_and_is_documented() -> None:
    assert list(routing.__all__) == sorted(routing.__all__)
    for name in routing.__all__:
        assert getattr(routing, name).__doc__


@pytest.mark.parametrize(
    "error",
    [
        routing.InvalidPattern("/{", "it is wrong"),
        routing.UnknownParameterType("/{a:b}", "b", ["int"]),
        routing.DuplicateRoute("GET", "/a", "/a"),
        routing.InvalidParameterType("int", "it is taken"),
        routing.BadPath("/%", "it is wrong"),
    ],
)
def test_every_error_is_a_routing_error_and_a_value_error(error: Exception) -> None:
    assert isinstance(error, routing.RoutingError)
    assert isinstance(error, ValueError)
