"""What the text of a route may say, and what a request's path may hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herdwick.routing import (
    BadPath,
    Fixed,
    InvalidPattern,
    Parameter,
    ParamTypes,
    Pattern,
    RoutingError,
    Table,
    UnknownParameterType,
)


def read(text: str) -> Pattern:
    return Pattern.read(text, ParamTypes())


def only_parameter(text: str) -> Parameter:
    (parameter,) = read(text).parameters
    return parameter


def find_value(path: str, raw_path: str) -> object:
    table = Table[str]()
    table.add("GET", path, "endpoint")
    match = table.find("GET", raw_path)
    assert match is not None
    return match.values["value"]


def test_a_pattern_keeps_its_text_and_the_names_in_order() -> None:
    pattern = read("/rooms/{room_id}/users/{user_id:int}/")

    assert str(pattern) == "/rooms/{room_id}/users/{user_id:int}/"
    assert pattern.names == ("room_id", "user_id")


def test_the_root_has_no_segments() -> None:
    assert read("/").segments == ()


def test_a_parameter_without_a_type_is_text() -> None:
    assert only_parameter("/{name}").type.name == "str"


@pytest.mark.parametrize("text", ["/{user_id:int}", "/{int:user_id}"])
def test_a_type_is_read_on_either_side_of_the_colon(text: str) -> None:
    parameter = only_parameter(text)

    assert parameter.name == "user_id"
    assert parameter.type.name == "int"


def test_where_both_sides_are_types_the_name_comes_first() -> None:
    parameter = only_parameter("/{uuid:str}")

    assert parameter.name == "uuid"
    assert parameter.type.name == "str"


def test_a_path_parameter_may_be_named_path() -> None:
    assert only_parameter("/files/{path:path}").type.takes_rest


def test_fixed_text_may_stand_around_a_parameter() -> None:
    parameter = only_parameter("/caf%C3%A9-{id:int}.json")

    assert (parameter.prefix, parameter.name, parameter.suffix) == ("café-", "id", ".json")


@pytest.mark.parametrize("text", ["/café/my room", "/caf%C3%A9/my%20room", "/caf%c3%a9/my room"])
def test_fixed_text_is_kept_decoded(text: str) -> None:
    assert read(text).segments == (Fixed("café"), Fixed("my room"))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "must begin with '/'"),
        ("chat", "must begin with '/'"),
        ("{name}", "must begin with '/'"),
        ("//", "one '/' at a time"),
        ("/a//b", "one '/' at a time"),
        ("/{name", "close each '{'"),
        ("/name}", "close each '{'"),
        ("/}name{", "close each '{'"),
        ("/{{name}}", "close each '{'"),
        ("/{na/me}", "close each '{'"),
        ("/{a}{b}", "put a '/' between them"),
        ("/{a}-{b}", "put a '/' between them"),
        ("/{}", "lacks a name"),
        ("/{:int}", "lacks a name"),
        ("/{id:}", "lacks a name"),
        ("/{ id }", "is not an identifier"),
        ("/{1st}", "is not an identifier"),
        ("/{room-id}", "is not an identifier"),
        ("/{name?}", "is not an identifier"),
        ("/{id:int:int}", "is not an identifier"),
        ("/{class}", "is a keyword"),
        ("/{id}/x/{id:int}", "rename one"),
        ("/{rest:path}/edit", "move it last"),
        ("/{a:path}/{b:path}", "move it last"),
        ("/v-{rest:path}", "remove the text around it"),
        ("/{rest:path}.json", "remove the text around it"),
        ("/search?q=1", "remove the '?'"),
        ("/page#top", "remove the '#'"),
        ("/files/*", "{name:path}"),
        ("/cats/<cat_id>", "not <name>"),
        ("/cats/:cat_id", "write {cat_id}"),
        ("/a/../b", "clients resolve '..'"),
        ("/a/%2E", "clients resolve '.'"),
        ("/50%", "correct the encoding"),
        ("/%FF", "correct the encoding"),
        ("/a\x00", "correct the encoding"),
        ("/{id}%0A", "correct the encoding"),
    ],
)
def test_a_wrong_pattern_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(InvalidPattern) as caught:
        read(text)

    assert caught.value.pattern == text
    assert repr(text) in str(caught.value)
    assert advice in caught.value.problem


def test_an_unknown_type_is_refused_naming_the_route_the_type_and_the_known_ones() -> None:
    with pytest.raises(UnknownParameterType) as caught:
        read("/users/{user_id:integer}")

    assert "'/users/{user_id:integer}'" in str(caught.value)
    assert "'integer'" in str(caught.value)
    assert "int, uuid, float, str, path" in str(caught.value)
    assert caught.value.known == ParamTypes().names


@given(st.text(alphabet="/{}:%a1é *", max_size=20))
@settings(deadline=None)
def test_any_text_is_a_pattern_or_refused_by_a_routing_error(text: str) -> None:
    try:
        pattern = read("/" + text)
    except RoutingError:
        return

    assert str(pattern) == "/" + text


def test_percent_encoded_spaces_and_letters_are_decoded() -> None:
    assert find_value("/{value}", "/my%20caf%C3%A9%20%F0%9F%90%91") == "my café 🐑"


def test_values_are_decoded_only_once() -> None:
    assert find_value("/{value}", "/100%2525") == "100%25"


def test_a_plus_is_a_plus() -> None:
    assert find_value("/{value}", "/a+b") == "a+b"


def test_an_encoded_slash_does_not_split_a_segment() -> None:
    assert find_value("/{value}/end", "/a%2Fb%2fc/end") == "a/b/c"


def test_an_encoded_slash_does_not_make_two_fixed_segments() -> None:
    table = Table[str]()
    table.add("GET", "/a/b", "endpoint")

    assert table.find("GET", "/a%2Fb") is None


@pytest.mark.parametrize(
    "raw_path",
    [
        "/%",
        "/%4",
        "/%zz",
        "/a/%-1",
        "/%C3",  # half a character
        "/%FF",
        "/%C0%AF",  # a slash, overlong
        "/%ED%A0%80",  # a surrogate
        "/%00",
        "/a%0d%0ab",
        "/%7F",
        "/%C2%85",  # a control character beyond ASCII
        "/\x00",
        "/a\tb",
        "/café",
    ],
)
@pytest.mark.parametrize("pattern", ["/{value}", "/{rest:path}", "/elsewhere"])
def test_a_malformed_path_is_bad_whatever_the_routes(pattern: str, raw_path: str) -> None:
    table = Table[str]()
    table.add("GET", pattern, "endpoint")

    with pytest.raises(BadPath) as caught:
        table.find("GET", raw_path)
    with pytest.raises(BadPath):
        table.methods(raw_path)

    assert caught.value.raw_path == raw_path
    assert str(caught.value).isprintable()


def test_a_bad_path_is_quoted_shortened() -> None:
    error = BadPath("/" + "é\n" * 1000, "it is wrong")

    assert len(str(error)) < 500
    assert str(error).isascii()
    assert str(error).isprintable()
