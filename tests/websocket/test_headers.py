"""Header fields that came, and that go out."""

from collections.abc import Container
from typing import cast

import pytest

from herdwick.websocket.headers import Headers, InvalidHeader, ResponseHeaders


def test_names_are_found_in_any_case() -> None:
    headers = Headers([(b"X-Key", b"1")])

    assert headers["x-KEY"] == "1"
    assert "X-key" in headers
    assert headers.get("other") is None
    assert cast(object, 3) not in cast(Container[object], headers)


def test_the_first_of_several_values_counts_and_all_can_be_had() -> None:
    headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"A", b"3")])

    assert headers["a"] == "1"
    assert headers.get_all("A") == ["1", "3"]
    assert headers.get_all("c") == []
    assert list(headers) == ["a", "b"]
    assert len(headers) == 2


def test_values_are_latin_1() -> None:
    assert Headers([(b"a", b"\xe9")])["a"] == "é"


def test_a_repr_shows_no_values() -> None:
    assert repr(Headers([(b"Cookie", b"secret")])) == "Headers(cookie)"


def test_setting_replaces_and_adding_keeps_the_others() -> None:
    headers = ResponseHeaders({"A": "1"})

    headers.add("a", "2")
    headers["B"] = "1"
    headers["b"] = "2"

    assert headers.raw() == [(b"a", b"1"), (b"a", b"2"), (b"b", b"2")]
    assert headers["a"] == "1"
    assert headers.get_all("A") == ["1", "2"]
    assert "b" in headers
    assert len(headers) == 3


def test_a_name_that_is_missing_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ResponseHeaders()["a"]


def test_fields_can_be_removed() -> None:
    headers = ResponseHeaders([("a", "1"), ("A", "2"), ("b", "3")])

    headers.remove("A")
    headers.remove("ü")

    assert list(headers) == [("b", "3")]


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\rb", "a\0b", "a\x1bb", "a\x7f"])
def test_a_value_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(InvalidHeader, match="line break or another control character"):
        ResponseHeaders({"x": value})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä"])
def test_a_name_has_to_be_a_token(name: str) -> None:
    with pytest.raises(InvalidHeader, match="is not a valid name"):
        ResponseHeaders()[name] = "1"


def test_a_refused_value_leaves_the_old_one() -> None:
    headers = ResponseHeaders({"a": "1"})

    with pytest.raises(InvalidHeader, match="outside of latin-1"):
        headers["a"] = "€"

    assert headers["a"] == "1"


def test_a_tab_and_latin_1_are_allowed_in_values() -> None:
    assert ResponseHeaders({"a": "x\té"}).raw() == [(b"a", b"x\t\xe9")]
