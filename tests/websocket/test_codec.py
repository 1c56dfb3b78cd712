"""JSON and MessagePack."""

import dataclasses
import datetime as dt
import subprocess
import sys
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

import msgspec
import pydantic
import pytest

from herdwick.runtime import Ask, Message
from herdwick.websocket.codec import (
    Codec,
    CodecName,
    NotEncodable,
    UndecodableTypes,
    decode_json,
    decode_msgpack,
    encode_json,
    encode_msgpack,
)
from herdwick.websocket.errors import InvalidMessage, UnexpectedMessage


class Edited(Message):
    revision: int


class Edit(Ask[Edited]):
    insert: str


class Cursor(Message):
    at: int


class Untagged(msgspec.Struct):
    at: int


class Color(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int


class Model(pydantic.BaseModel):
    at: dt.date


class Name(str):
    __slots__ = ()


NESTED = b"[" * 60_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5), '"2026-01-02T03:04:05"'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (dt.time(3, 4), '"03:04:00"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Color.RED, '"red"'),
        (Decimal("1.10"), '"1.10"'),
        (Point(1), '{"x":1}'),
        (Cursor(at=1), '{"type":"Cursor","at":1}'),
        (Model(at=dt.date(2026, 1, 2)), '{"at":"2026-01-02"}'),
        ([Model(at=dt.date(2026, 1, 2))], '[{"at":"2026-01-02"}]'),
        (b"a", '"YQ=="'),
        ({1}, "[1]"),
        (Name("x"), '"x"'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        ({1: 2, UUID(int=1): 3}, '{"1":2,"00000000-0000-0000-0000-000000000001":3}'),
        (float("nan"), "null"),
    ],
)
def test_json_takes_what_applications_have(value: object, text: str) -> None:
    assert encode_json(value) == text.encode()


@pytest.mark.parametrize("key", [None, True, (1, 2)])
def test_odd_keys_are_refused_clearly(key: object) -> None:
    with pytest.raises(NotEncodable, match="cannot be a key; make it a text"):
        encode_json({key: 1})


@pytest.mark.parametrize("value", [object(), {"a": [object()]}])
def test_what_cannot_be_encoded_is_named(value: object) -> None:
    with pytest.raises(NotEncodable, match="as json: there is a object in it"):
        encode_json(value)


def test_a_circle_or_a_lone_surrogate_cannot_be_encoded() -> None:
    circle: list[object] = []
    circle.append(circle)

    for value in (circle, "\ud800"):
        with pytest.raises(NotEncodable):
            encode_json(value)


def test_msgpack_refuses_integers_of_more_than_64_bits() -> None:
    with pytest.raises(NotEncodable, match="as msgpack"):
        encode_msgpack(2**70)


def test_pydantic_is_not_imported_for_others() -> None:
    program = (
        "import sys; from herdwick.websocket.codec import encode_json; "
        "encode_json({'a': {1}}); sys.exit('pydantic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"\xff", "malformed"),
        (b'"\xff"', "not valid UTF-8"),
        ("\ud800", "not valid UTF-8"),
        (NESTED, "nested too deeply"),
        (b"1" * 100_000, "out of range"),
    ],
)
def test_what_is_no_json_is_an_invalid_message(data: str | bytes, detail: str) -> None:
    with pytest.raises(InvalidMessage, match=detail):
        decode_json(data)


@pytest.mark.parametrize("data", [b"", b"\xa1\xff", b"\x91" * 60_000, b"\x81\x80\x01"])
def test_what_is_no_msgpack_is_an_invalid_message(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        decode_msgpack(data)


def test_an_invalid_message_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="does not decode"):
        decode_json("nope")


def test_an_error_has_the_path_to_the_culprit() -> None:
    with pytest.raises(InvalidMessage, match=r"Expected `int`, got `str` - at `\$\[0\].at`"):
        decode_json(b'[{"at":"x"}]', list[Cursor])


def test_an_error_repeats_little_of_what_the_peer_sent() -> None:
    data = b'{"type":"' + b"q" * 100_000 + b'"}'

    with pytest.raises(InvalidMessage) as caught:
        Codec().decode(data, (Edit, Cursor))

    assert len(str(caught.value)) < 300


def test_both_formats_give_back_what_they_took() -> None:
    value = {"a": [1, None, "x"]}

    assert decode_json(encode_json(value)) == value
    assert decode_msgpack(encode_msgpack(value)) == value
    assert decode_msgpack(encode_msgpack(Cursor(1)), Cursor) == Cursor(1)


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_several_messages_are_told_apart_by_their_type(name: CodecName) -> None:
    codec = Codec(name)

    for message in (Edit("x"), Cursor(1)):
        assert codec.decode(codec.encode(message), (Edit, Cursor)) == message


def test_json_is_text_and_msgpack_is_bytes() -> None:
    assert Codec("json").encode(Cursor(1)) == '{"type":"Cursor","at":1}'
    assert isinstance(Codec("msgpack").encode(Cursor(1)), bytes)


def test_a_single_type_needs_no_type_field() -> None:
    assert Codec().decode('{"at":1}', (Cursor,)) == Cursor(1)


def test_among_several_types_the_type_field_is_needed() -> None:
    with pytest.raises(InvalidMessage, match="missing required field `type`"):
        Codec().decode('{"at":1}', (Edit, Cursor))


def test_without_types_a_message_is_what_it_is() -> None:
    decoded = cast(object, Codec().decode("[1]", ()))

    assert decoded == [1]


def test_json_may_come_in_a_binary_message() -> None:
    assert Codec().decode(b'{"at":1}', (Cursor,)) == Cursor(1)


def test_msgpack_never_comes_in_a_text_message() -> None:
    with pytest.raises(UnexpectedMessage):
        Codec("msgpack").decode("x", (Cursor,))


@pytest.mark.parametrize("types", [(Untagged, Cursor), (Untagged, dict), (Codec,), (list[Codec],)])
def test_types_that_cannot_be_told_apart_are_a_mistake(types: tuple[type[Any], ...]) -> None:
    with pytest.raises(UndecodableTypes, match="no message can be decoded to one of"):
        Codec().decode("{}", types)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(ValueError, match="use 'json' or 'msgpack'"):
        Codec(cast(CodecName, "xml"))


def test_an_object_field_takes_anything() -> None:
    class Envelope(Message):
        payload: object

    message = Codec().decode('{"payload":[1]}', (Envelope,))

    assert message.payload == [1]
