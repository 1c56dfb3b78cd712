"""How the prefix of a group and the paths of its routes are joined."""

import pytest

from herdwick.routing import (
    InvalidPattern,
    ParamTypes,
    Prefix,
    Table,
    UnknownParameterType,
)


@pytest.mark.parametrize("prefix", ["/api", "/api/"])
def test_a_prefix_and_a_path_are_joined_with_one_slash(prefix: str) -> None:
    assert Prefix(prefix) / "/rooms/{room_id}" == "/api/rooms/{room_id}"


def test_the_root_of_a_group_is_its_prefix() -> None:
    assert Prefix("/api/") / "/" == "/api"


def test_the_prefix_of_the_root_adds_nothing() -> None:
    assert Prefix("/") / "/rooms" == "/rooms"
    assert Prefix("/") / "/" == "/"
    assert str(Prefix("/")) == "/"


def test_groups_nest() -> None:
    inner = Prefix("/api").group("/v{version:int}")

    assert str(inner) == "/api/v{version:int}"
    assert repr(inner) == "Prefix('/api/v{version:int}')"
    assert inner / "/rooms" == "/api/v{version:int}/rooms"


def test_parameters_of_prefix_and_path_are_found_together() -> None:
    table = Table[str]()
    table.add("GET", Prefix("/{tenant}") / "/rooms/{room_id:int}", "endpoint")

    match = table.find("GET", "/acme/rooms/7")

    assert match is not None
    assert match.values == {"tenant": "acme", "room_id": 7}


def test_a_prefix_may_use_own_types() -> None:
    types = ParamTypes()
    types.register("slug", str)

    assert str(Prefix("/{tenant:slug}", types).group("/{room:slug}")) == (
        "/{tenant:slug}/{room:slug}"
    )


@pytest.mark.parametrize("text", ["", "api", "/a//b", "/{id", "/{rest:path}", "/a/{rest:path}/"])
def test_a_wrong_prefix_is_refused_when_the_group_is_made(text: str) -> None:
    with pytest.raises(InvalidPattern):
        Prefix(text)


def test_an_unknown_type_in_a_prefix_is_refused() -> None:
    with pytest.raises(UnknownParameterType):
        Prefix("/{tenant:slug}")


@pytest.mark.parametrize("path", ["", "rooms"])
def test_a_path_without_a_slash_is_refused(path: str) -> None:
    with pytest.raises(InvalidPattern, match="in a group too"):
        str(Prefix("/api") / path)


def test_a_name_used_by_the_prefix_and_the_path_is_refused() -> None:
    prefix = Prefix("/{id}")

    with pytest.raises(InvalidPattern, match="rename one"):
        prefix.group("/{id:int}")
    with pytest.raises(InvalidPattern, match="rename one"):
        Table[str]().add("GET", prefix / "/{id:int}", "endpoint")
