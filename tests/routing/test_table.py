"""Which of several routes a path finds, and at what cost."""

from typing import cast
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herdwick.routing import (
    DuplicateRoute,
    Fixed,
    InvalidPattern,
    ParamTypes,
    Pattern,
    Table,
)

# Not "." and "..", which clients resolve before they send a path.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(
    lambda text: text not in (".", "..")
)


def table_of(*patterns: str) -> Table[str]:
    """A table of GET routes, each with its own text as its endpoint."""
    table = Table[str]()
    for pattern in patterns:
        table.add("GET", pattern, pattern)
    return table


def found(table: Table[str], raw_path: str) -> tuple[str, dict[str, object]] | None:
    match = table.find("GET", raw_path)
    return None if match is None else (match.endpoint, dict(match.values))


def test_a_match_carries_endpoint_values_and_pattern() -> None:
    table = Table[str]()
    pattern = table.add("WEBSOCKET", "/chat/{room}/{user_id:int}", "endpoint")

    match = table.find("WEBSOCKET", "/chat/blue/7")

    assert match is not None
    assert match.endpoint == "endpoint"
    assert match.values == {"room": "blue", "user_id": 7}
    assert match.pattern is pattern


@pytest.mark.parametrize("raw_path", ["/", "/chat", "/chat/a/b", "/chats/a", "/Chat/a", "/chat//"])
def test_a_mismatch_is_none(raw_path: str) -> None:
    assert found(table_of("/chat/{room}"), raw_path) is None


def test_an_empty_table_finds_nothing() -> None:
    assert Table[str]().find("GET", "/") is None


@pytest.mark.parametrize("raw_path", ["*", "example.org:443", "chat"])
def test_a_target_that_is_no_path_finds_nothing(raw_path: str) -> None:
    table = table_of("/", "/{rest:path}")

    assert table.find("GET", raw_path) is None
    assert table.methods(raw_path) == frozenset()


def test_the_empty_path_is_the_root() -> None:
    assert found(table_of("/"), "") == ("/", {})


@pytest.mark.parametrize("pattern", ["/chat", "/chat/"])
@pytest.mark.parametrize("raw_path", ["/chat", "/chat/"])
def test_one_slash_at_the_end_means_nothing(pattern: str, raw_path: str) -> None:
    assert found(table_of(pattern), raw_path) == (pattern, {})


@pytest.mark.parametrize("raw_path", ["//", "/chat//", "//chat", "/chat/%2F"])
def test_more_slashes_are_no_match(raw_path: str) -> None:
    assert found(table_of("/", "/chat"), raw_path) is None


@pytest.mark.parametrize("raw_path", ["/a/", "/a//", "/a//b"])
def test_a_parameter_is_never_empty(raw_path: str) -> None:
    assert found(table_of("/a/{value}", "/a/{value}/b", "/a/x{value}y"), raw_path) is None


@pytest.mark.parametrize(
    ("raw_path", "pattern"),
    [
        ("/users/me", "/users/me"),
        ("/users/7", "/users/{id:int}"),
        ("/users/7.5", "/users/{ratio:float}"),
        ("/users/12345678-1234-1234-1234-123456789012", "/users/{key:uuid}"),
        ("/users/v7", "/users/v{name}"),
        ("/users/v7.json", "/users/v{name}.json"),
        ("/users/ann.json", "/users/{name}.json"),
        ("/users/ann", "/users/{name}"),
        ("/users/ann/bob", "/users/{rest:path}"),
        ("/users/", "/users/{rest:path}"),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_the_most_specific_segment_wins_in_whatever_order_routes_are_added(
    raw_path: str, pattern: str, backwards: bool
) -> None:
    patterns = [
        "/users/{rest:path}",
        "/users/{name}",
        "/users/{name}.json",
        "/users/v{name}",
        "/users/v{name}.json",
        "/users/{ratio:float}",
        "/users/{key:uuid}",
        "/users/{id:int}",
        "/users/me",
    ]

    table = table_of(*(reversed(patterns) if backwards else patterns))

    match = found(table, raw_path)
    assert match is not None
    assert match[0] == pattern


def test_with_as_much_fixed_text_the_longer_prefix_wins() -> None:
    assert found(table_of("/a{x}b", "/ab{x}"), "/ab1b") == ("/ab{x}", {"x": "1b"})


@pytest.mark.parametrize(
    ("raw_path", "expected"),
    [
        ("/a/1/c", ("/a/{x}/c", {"x": "1"})),
        ("/a/b/c", ("/a/{x}/c", {"x": "b"})),
        ("/a/b/d", ("/{y}/b/d", {"y": "a"})),
        ("/z/b/d", ("/{y}/b/d", {"y": "z"})),
        ("/a/1/d", None),
    ],
)
def test_a_candidate_that_leads_nowhere_gives_way(
    raw_path: str, expected: tuple[str, dict[str, object]] | None
) -> None:
    assert found(table_of("/a/{x}/c", "/{y}/b/d"), raw_path) == expected


def test_a_typed_candidate_that_leads_nowhere_gives_way_to_text() -> None:
    table = table_of("/{id:int}/edit", "/{name}/view", "/{rest:path}")

    assert found(table, "/7/edit") == ("/{id:int}/edit", {"id": 7})
    assert found(table, "/7/view") == ("/{name}/view", {"name": "7"})
    assert found(table, "/7/drop") == ("/{rest:path}", {"rest": "7/drop"})


@pytest.mark.parametrize(
    ("raw_path", "rest"),
    [
        ("/files/", ""),
        ("/files/a", "a"),
        ("/files/a/b.txt", "a/b.txt"),
        ("/files/a/", "a/"),
        ("/files//a", "/a"),
        ("/files/my%20a/%C3%A9", "my a/é"),
        ("/files/a%2Fb/%252F", "a/b/%2F"),
        ("/files/../a", "../a"),
    ],
)
def test_a_path_parameter_takes_the_rest_decoded_once(raw_path: str, rest: str) -> None:
    assert found(table_of("/files/{rest:path}"), raw_path) == (
        "/files/{rest:path}",
        {"rest": rest},
    )


def test_a_path_parameter_needs_the_slash_before_it() -> None:
    assert found(table_of("/files/{rest:path}"), "/files") is None


def test_a_path_parameter_at_the_root_takes_everything() -> None:
    table = table_of("/{rest:path}")

    assert found(table, "/") == ("/{rest:path}", {"rest": ""})
    assert found(table, "/a/b") == ("/{rest:path}", {"rest": "a/b"})


def test_text_around_a_parameter_must_match_and_is_not_part_of_the_value() -> None:
    table = table_of("/file-{id:int}.json")

    assert found(table, "/file-7.json") == ("/file-{id:int}.json", {"id": 7})
    assert found(table, "/file%2D7%2Ejson") == ("/file-{id:int}.json", {"id": 7})
    for raw_path in ("/file-.json", "/file-x.json", "/file-7.xml", "/7.json", "/file-7.json.json"):
        assert found(table, raw_path) is None


def test_prefix_and_suffix_never_share_characters() -> None:
    assert found(table_of("/aba{x}aba"), "/ababa") is None


@pytest.mark.parametrize("pattern", ["/café/a b", "/caf%C3%A9/a%20b"])
def test_fixed_text_is_compared_decoded(pattern: str) -> None:
    assert found(table_of(pattern), "/caf%c3%a9/%61%20b") == (pattern, {})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/users/{id}", "/users/{name}"),
        ("/users/{id}", "/users/{name:str}"),
        ("/users/{id:int}", "/users/{int:user_id}"),
        ("/users/v{id}.json", "/users/v{name}%2Ejson"),
        ("/files/{rest:path}", "/files/{tail:path}"),
        ("/chat", "/chat"),
        ("/chat", "/chat/"),
        ("/café", "/caf%C3%A9"),
        ("/", "/"),
    ],
)
def test_a_duplicate_is_refused_naming_both_routes(first: str, second: str) -> None:
    table = table_of(first)

    with pytest.raises(DuplicateRoute) as caught:
        table.add("GET", second, "second")

    assert f"GET {second!r}" in str(caught.value)
    assert f"GET {first!r}" in str(caught.value)
    assert (caught.value.pattern, caught.value.existing) == (second, first)


def test_routes_that_differ_in_method_type_or_text_are_no_duplicates() -> None:
    table = table_of("/{id}", "/{id:int}", "/v{id}", "/{id}.json", "/{id:path}", "/Chat", "/chat")

    table.add("POST", "/{name}", "post")

    match = table.find("POST", "/x")
    assert match is not None
    assert match.values == {"name": "x"}


def test_a_refused_route_leaves_the_table_as_it_was() -> None:
    table = table_of("/a/{x}")

    with pytest.raises(InvalidPattern):
        table.add("GET", "/a/b/{x", "broken")
    with pytest.raises(DuplicateRoute):
        table.add("GET", "/a/{y}", "duplicate")

    assert found(table, "/a/b") == ("/a/{x}", {"x": "b"})


def test_methods_are_those_for_which_find_finds_a_route() -> None:
    table = table_of("/users/me")
    table.add("PATCH", "/users/{name}", "patch")
    table.add("DELETE", "/users/{id:int}", "delete")
    table.add("OPTIONS", "/{rest:path}", "options")
    table.add("WEBSOCKET", "/users", "socket")

    assert table.methods("/users/me") == {"GET", "PATCH", "OPTIONS"}
    assert table.methods("/users/7") == {"PATCH", "DELETE", "OPTIONS"}
    assert table.methods("/users") == {"WEBSOCKET", "OPTIONS"}
    assert Table[str]().methods("/users") == frozenset()


def test_a_less_specific_route_serves_where_a_specific_one_lacks_the_method() -> None:
    table = table_of("/users/me")
    table.add("PATCH", "/users/{name}", "patch")

    match = table.find("PATCH", "/users/me")

    assert match is not None
    assert match.values == {"name": "me"}


def test_values_of_one_match_are_not_those_of_another() -> None:
    table = table_of("/{x}")
    first = table.find("GET", "/a")
    second = table.find("GET", "/a")

    assert first is not None
    assert second is not None
    assert first.values == second.values == {"x": "a"}
    assert first.values is not second.values


def test_nobody_changes_the_values_of_a_route_that_has_none() -> None:
    match = table_of("/a").find("GET", "/a")

    assert match is not None
    with pytest.raises(TypeError):
        cast("dict[str, object]", match.values)["x"] = "changed"


@given(TEXT, TEXT)
@settings(deadline=None)
def test_any_text_comes_back_from_a_path_as_it_was_encoded(first: str, second: str) -> None:
    table = table_of("/{a}/x/{b}")

    raw_path = f"/{quote(first, safe='')}/x/{quote(second, safe='')}"

    assert found(table, raw_path) == ("/{a}/x/{b}", {"a": first, "b": second})


@given(TEXT)
@settings(deadline=None)
def test_any_encoded_text_can_be_a_fixed_segment(text: str) -> None:
    encoded = quote(text, safe="")

    assert found(table_of(f"/a/{encoded}"), f"/a/{encoded}") == (f"/a/{encoded}", {})


@given(st.lists(TEXT, min_size=1).map("/".join))
@settings(deadline=None)
def test_any_text_comes_back_from_a_path_parameter(text: str) -> None:
    table = table_of("/files/{rest:path}")

    assert found(table, f"/files/{quote(text)}") == ("/files/{rest:path}", {"rest": text})


SEGMENTS = ("a", "b", "{int}", "{str}", "x{str}")


def pattern_of(parts: list[str], with_rest: bool) -> str:
    named = [
        part.replace("{int}", f"{{p{position}:int}}").replace("{str}", f"{{p{position}}}")
        for position, part in enumerate(parts)
    ]
    return "/" + "/".join([*named, "{rest:path}"] if with_rest else named)


PATTERNS = st.builds(
    pattern_of, st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4), st.booleans()
)


def specificity(pattern: Pattern, segments: list[str]) -> list[int] | None:
    """How one pattern, looked at alone, fits: smaller is more specific, None is not at all."""
    ranks: list[int] = []
    for position, part in enumerate(pattern.segments):
        if position == len(segments):
            return None
        if isinstance(part, Fixed):
            ranks.append(0)
            fits = part.text == segments[position]
        elif part.type.takes_rest:
            return [*ranks, 4]
        else:
            ranks.append(1 if part.prefix else 2 if part.type.name == "int" else 3)
            fits = segments[position].startswith(part.prefix)
            fits = fits and len(segments[position]) > len(part.prefix)
            fits = fits and (part.type.name == "str" or segments[position].isdecimal())
        if not fits:
            return None
    return ranks if len(ranks) == len(segments) else None


@given(
    st.sets(PATTERNS, max_size=30),
    st.lists(st.sampled_from(["a", "b", "1", "x", "xy", "x1"]), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_the_table_agrees_with_trying_every_pattern_by_itself(
    patterns: set[str], segments: list[str]
) -> None:
    table = table_of(*patterns)
    ranked = [
        (ranks, text)
        for text in patterns
        if (ranks := specificity(Pattern.read(text, ParamTypes()), segments)) is not None
    ]

    match = table.find("GET", "/" + "/".join(segments))

    assert (match.endpoint if match else None) == (min(ranked)[1] if ranked else None)


class CountedTypes:
    """Two types that match everything, and how often they were asked."""

    def __init__(self) -> None:
        self.steps = 0
        self.types = ParamTypes()
        self.types.register("one", self._count)
        self.types.register("two", self._count)

    def _count(self, text: str) -> str:
        self.steps += 1
        return text


@given(
    st.sets(st.lists(st.sampled_from(["one", "two"]), min_size=1, max_size=8).map(tuple)),
    st.integers(min_value=0, max_value=500),
)
@settings(deadline=None)
def test_a_search_takes_no_more_steps_than_all_patterns_have_segments(
    shapes: set[tuple[str, ...]], length: int
) -> None:
    counted = CountedTypes()
    table = Table[str](counted.types)
    for shape in shapes:
        parts = [f"{{p{position}:{name}}}" for position, name in enumerate(shape)]
        table.add("GET", "/" + "/".join([*parts, "end"]), "endpoint")

    assert table.find("GET", "/x" * length) is None

    assert counted.steps <= sum(len(shape) for shape in shapes)


def test_a_long_path_costs_no_more_steps_than_a_short_one() -> None:
    counted = CountedTypes()
    table = Table[str](counted.types)
    table.add("GET", "/{a:one}/{b:two}/end", "endpoint")

    assert table.find("GET", "/x" * 3) is None
    short = counted.steps
    assert table.find("GET", "/x" * 10_000) is None

    assert counted.steps == 2 * short
