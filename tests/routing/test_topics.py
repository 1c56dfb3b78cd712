"""The names of topics: what they may hold, and which pattern one belongs to."""

import string
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from herdwick.routing import (
    DuplicateRoute,
    InvalidPattern,
    InvalidTopic,
    ParamTypes,
    TopicPattern,
    TopicTable,
    UnknownParameterType,
    check_topic,
)


def read(text: str) -> TopicPattern:
    return TopicPattern.read(text, ParamTypes())


def table(*texts: str) -> TopicTable[str]:
    """Give a table whose kinds are the texts of their patterns."""
    kinds: TopicTable[str] = TopicTable(ParamTypes())
    for text in texts:
        kinds.add(TopicPattern.read(text, kinds.types), text)
    return kinds


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["a", "chat:42", "a b/c?d#e", "größe:😀", ":", "a::b", "x" * 255])
def test_a_name_is_any_short_text(name: str) -> None:
    check_topic(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        ("x" * 256, "it is over 255 bytes long"),
        ("ü" * 128, "it is over 255 bytes long"),
        ("a\nb", "it has a control character"),
        ("a\x00", "it has a control character"),
        ("a\x7f", "it has a control character"),
        ("a\x9b", "it has a control character"),
        ("a\ud800", "or half of a character"),
    ],
)
def test_a_name_that_no_topic_can_have_says_why(name: str, problem: str) -> None:
    with pytest.raises(InvalidTopic) as caught:
        check_topic(name)

    assert problem in caught.value.problem
    assert caught.value.name == name
    assert caught.value.problem in str(caught.value)


def test_an_error_quotes_little_of_a_name_and_nothing_unescaped() -> None:
    text = str(InvalidTopic("a\nü" * 1000, "it is over 255 bytes long"))

    assert len(text) < 700
    assert text.isascii()
    assert text.isprintable()


# ------------------------------------------------------------------ patterns


def test_a_pattern_keeps_its_text_and_the_names_of_its_parameters() -> None:
    pattern = read("org:{org}:doc:{doc_id:int}")

    assert pattern.text == "org:{org}:doc:{doc_id:int}"
    assert pattern.names == ("org", "doc_id")
    assert len(pattern.segments) == 4


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "it is empty"),
        ("x" * 256, "over 255 bytes"),
        ("a:\n", "control character"),
        (":", "write one ':' at a time"),
        ("a:", "write one ':' at a time"),
        (":a", "write one ':' at a time"),
        ("a::b", "write one ':' at a time"),
        ("a:{b", "close each '{' before the next ':'"),
        ("a:b}", "close each '{' before the next ':'"),
        ("a:{{b}}", "close each '{' before the next ':'"),
        ("a:x{b}", "needs a segment of its own"),
        ("a:{b}x", "needs a segment of its own"),
        ("a:{b}{c}", "needs a segment of its own"),
        ("a:{}", "write {name} or {name:type}"),
        ("a:{:int}", "write {name} or {name:type}"),
        ("a:{b-c}", "write {name} or {name:type}"),
        ("a:{ b }", "write {name} or {name:type}"),
        ("a:{b}:{b}", "rename one"),
        ("a:{b}:{b:int}", "rename one"),
    ],
)
def test_a_wrong_pattern_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(InvalidPattern) as caught:
        read(text)

    assert advice in caught.value.problem
    assert caught.value.pattern == text


@pytest.mark.parametrize("type_name", ["integer", "path"])
def test_a_type_that_topics_do_not_have_is_refused_naming_those_that_there_are(
    type_name: str,
) -> None:
    with pytest.raises(UnknownParameterType) as caught:
        read(f"room:{{a:{type_name}}}")

    assert caught.value.type_name == type_name
    assert caught.value.known == ("int", "uuid", "float", "str")


@given(st.text(alphabet=string.ascii_lowercase + ":{}", max_size=40))
@example("{" * 200 + ":" * 50)
def test_whatever_is_read_is_a_pattern_or_refused(text: str) -> None:
    try:
        pattern = read(text)
    except (InvalidPattern, UnknownParameterType):
        return

    assert len(pattern.segments) >= 1


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("lobby", "lobby", {}),
        ("chat:{room}", "chat:42", {"room": "42"}),
        ("chat:{room}", "chat:a b/c", {"room": "a b/c"}),
        ("game:{number:int}", "game:-7", {"number": -7}),
        ("at:{x:float}", "at:1.5", {"x": 1.5}),
        (
            "doc:{key:uuid}",
            "doc:12345678-1234-5678-1234-567812345678",
            {"key": UUID("12345678-1234-5678-1234-567812345678")},
        ),
        ("org:{org}:doc:{number:int}", "org:acme:doc:7", {"org": "acme", "number": 7}),
    ],
)
def test_the_values_stand_in_the_name(text: str, name: str, values: dict[str, object]) -> None:
    pattern = read(text)

    assert pattern.match(name.split(":")) == values
    assert pattern.name(values) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lobby", "lobby2"),
        ("chat:{room}", "chat"),
        ("chat:{room}", "chat:"),
        ("chat:{room}", "chat:a:b"),
        ("chat:{room}", "char:a"),
        ("game:{number:int}", "game:x"),
        ("game:{number:int}", "game:07"),
        ("game:{number:int}", "game:+7"),
        ("game:{number:int}", "game:-0"),
        ("game:{number:int}", "game:٧"),
        ("at:{x:float}", "at:1.50"),
        ("at:{x:float}", "at:1e3"),
        ("doc:{key:uuid}", "doc:12345678-1234-5678-1234-56781234567A"),
    ],
)
def test_a_room_has_one_name_and_no_other_is_of_its_pattern(text: str, name: str) -> None:
    assert read(text).match(name.split(":")) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("chat:{room}", {"room": "a:b"}),
        ("chat:{room}", {"room": ""}),
        ("chat:{room}", {"room": "a\n"}),
        ("chat:{room}", {"room": "x" * 251}),
        ("game:{number:int}", {"number": "x"}),
        ("game:{number:int}", {"number": 10**30}),
        ("at:{x:float}", {"x": float("nan")}),
    ],
)
def test_a_value_that_cannot_stand_in_a_name_is_refused(
    text: str, values: dict[str, object]
) -> None:
    with pytest.raises(InvalidTopic):
        read(text).name(values)


def any_value(kind: str) -> st.SearchStrategy[object]:
    texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=":"))
    values: dict[str, st.SearchStrategy[object]] = {
        "str": texts.filter(lambda text: 0 < len(text) < 40),
        "int": st.integers(-(10**19), 10**19),
        "float": st.floats(allow_nan=False, allow_infinity=False).filter(
            lambda number: "e" not in str(number) and len(str(number)) <= 64
        ),
        "uuid": st.uuids(),
    }
    return values[kind]


@given(st.data(), st.lists(st.sampled_from(["str", "int", "float", "uuid"]), max_size=4))
def test_the_name_of_any_values_is_found_again_with_the_same_values(
    data: st.DataObject, kinds: list[str]
) -> None:
    values = {f"p{number}": data.draw(any_value(kind)) for number, kind in enumerate(kinds)}
    text = ":".join(["room", *(f"{{p{number}:{kind}}}" for number, kind in enumerate(kinds))])
    pattern = read(text)
    try:
        name = pattern.name(values)
    except InvalidTopic as error:
        assert "over 255 bytes" in error.problem  # noqa: PT017 - nothing else is wrong with them
        return

    found = table(text).find(name)

    assert found is not None
    assert found.values == values


# ------------------------------------------------------------------ the table


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("game:lobby", "game:lobby"),
        ("game:7", "game:{number:int}"),
        ("game:1.5", "game:{x:float}"),
        ("game:12345678-1234-5678-1234-567812345678", "game:{key:uuid}"),
        ("game:07", "game:{name}"),
        ("game:x", "game:{name}"),
        ("chat:x", "{any}:x"),
        ("game:x:y", None),
        ("game", None),
        ("", None),
    ],
)
def test_the_most_specific_pattern_is_found_whatever_was_added_first(
    name: str, kind: str | None
) -> None:
    texts = ["{any}:x", "game:{name}", "game:{x:float}", "game:{key:uuid}", "game:{number:int}"]

    for order in (["game:lobby", *texts], [*reversed(texts), "game:lobby"]):
        found = table(*order).find(name)
        assert (None if found is None else found.kind) == kind


def test_two_patterns_for_the_same_names_are_refused_with_both_texts() -> None:
    kinds = table("game:{name}", "game:{number:int}", "game:lobby")

    for text, other in [("game:{id}", "game:{name}"), ("game:lobby", "game:lobby")]:
        with pytest.raises(DuplicateRoute) as caught:
            kinds.add(read(text), text)
        assert (caught.value.pattern, caught.value.existing) == (text, other)
    assert sorted(kinds) == ["game:lobby", "game:{name}", "game:{number:int}"]


def test_a_type_that_was_registered_stands_before_text_and_after_the_others() -> None:
    kinds: TopicTable[str] = TopicTable(ParamTypes())
    kinds.types.register("hex", lambda text: int(text, 16))
    for text in ("room:{a}", "room:{a:hex}", "room:{a:int}"):
        kinds.add(TopicPattern.read(text, kinds.types), text)

    found = [kinds.find(name) for name in ("room:10", "room:ff", "room:gg")]

    assert [None if each is None else each.kind for each in found] == [
        "room:{a:int}",
        "room:{a:hex}",
        "room:{a}",
    ]
    assert found[1] is not None
    assert found[1].values == {"a": 255}
