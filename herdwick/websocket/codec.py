"""JSON and MessagePack, by msgspec: what goes out, and what came in."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar, Union, assert_never, cast, overload

import msgspec

from herdwick.actors import Data

from .errors import InvalidMessage, UnexpectedMessage

T = TypeVar("T")

CodecName: TypeAlias = Literal["json", "msgpack"]
"""How messages travel: JSON in text messages, or MessagePack in binary ones."""

DETAIL_CHARACTERS = 200
"""How much of a decoder's complaint is kept: some repeat what the peer sent."""


class NotEncodable(TypeError):
    """A value cannot be written as JSON or MessagePack."""

    def __init__(self, codec: CodecName, detail: str) -> None:
        super().__init__(f"the value cannot be encoded as {codec}: {detail}")
        self.codec = codec
        """What it was to be written as."""


class UndecodableTypes(TypeError):
    """Messages cannot be decoded to these types, whatever they hold."""

    def __init__(self, types: tuple[object, ...], detail: str) -> None:
        names = ", ".join(getattr(kind, "__name__", repr(kind)) for kind in types)
        super().__init__(f"no message can be decoded to one of {names or 'no types'}: {detail}")
        self.types = types


def encode_json(data: object) -> bytes:
    """Encode as JSON.

    Beside what JSON knows it takes structs, dataclasses, attrs classes, pydantic models, enums
    (by value), dates and times (ISO 8601), UUIDs and decimals (as text), bytes (base64), sets,
    tuples and any mapping. NaN and the infinities become null. Keys are text, or whatever of the
    above is written as text or as a number; anything else is refused, None included.

    Raises:
        NotEncodable: There is something else in it, or it is nested too deeply.
    """
    return _encode("json", msgspec.json.encode, data)


def encode_msgpack(data: object) -> bytes:
    """Encode as MessagePack; it takes what `encode_json` takes, and sends bytes as they are.

    Raises:
        NotEncodable: There is something else in it, an integer of more than 64 bits, or it is
            nested too deeply.
    """
    return _encode("msgpack", msgspec.msgpack.encode, data)


@overload
def decode_json(data: Data) -> Any: ...


@overload
def decode_json(data: Data, type: type[T]) -> T: ...


def decode_json(data: Data, type: Any = Any) -> Any:
    """Decode JSON to this type.

    Raises:
        InvalidMessage: It is no JSON, or does not have this type.
    """
    return _decode(lambda: msgspec.json.decode(data, type=type))


@overload
def decode_msgpack(data: bytes) -> Any: ...


@overload
def decode_msgpack(data: bytes, type: type[T]) -> T: ...


def decode_msgpack(data: bytes, type: Any = Any) -> Any:
    """Decode MessagePack to this type.

    Raises:
        InvalidMessage: It is no MessagePack, or does not have this type.
    """
    return _decode(lambda: msgspec.msgpack.decode(data, type=type))


class Codec:
    """How the messages of one route travel; its decoders are made once for each set of types."""

    def __init__(self, name: CodecName = "json") -> None:
        if name not in ("json", "msgpack"):
            raise ValueError(f"there is no codec {name!r}; use 'json' or 'msgpack'")
        self.name: CodecName = name
        self._decoders: dict[tuple[object, ...], Callable[[Any], Any]] = {}

    def encode(self, value: object) -> Data:
        """Encode one message: text for JSON, bytes for MessagePack.

        Raises:
            NotEncodable: The value cannot be encoded.
        """
        if self.name == "msgpack":
            return encode_msgpack(value)
        return encode_json(value).decode()

    def encode_payload(self, payload: object) -> Data:
        """Encode what others send over a connection: text and bytes travel as they are."""
        return payload if isinstance(payload, str | bytes) else self.encode(payload)

    def decode(self, data: Data, types: tuple[type[T], ...]) -> T:
        """Decode one message to one of these types; without types, to whatever it holds.

        Among several structs the field `type` decides, which `Message` and `Ask` write with
        the name of the class. JSON may come in a binary message as well.

        Raises:
            InvalidMessage: The message does not decode; the text has the path to the culprit.
            UnexpectedMessage: The message is text, and the codec is MessagePack.
            UndecodableTypes: The types cannot be told apart; a mistake in the program.
        """
        if self.name == "msgpack" and isinstance(data, str):
            raise UnexpectedMessage("binary", "text")
        decoder = self._decoders.get(types)
        if decoder is None:
            decoder = self._decoders[types] = self._decoder(types)
        message: T = _decode(lambda: decoder(data))
        return message

    def _decoder(self, types: tuple[object, ...]) -> Callable[[Any], Any]:
        union: Any = Union[types] if types else Any  # noqa: UP007 - values, not annotations
        try:
            check_decodable(union)
            match self.name:
                case "json":
                    return msgspec.json.Decoder(union).decode
                case "msgpack":
                    return msgspec.msgpack.Decoder(union).decode
        except TypeError as error:
            raise UndecodableTypes(types, str(error)) from None
        assert_never(self.name)


def check_decodable(type: object) -> None:
    """Check that msgspec knows how to make this type out of what JSON knows.

    Raises:
        TypeError: It does not; the text says why.
    """
    for part in _parts(msgspec.inspect.type_info(type)):
        if isinstance(part, msgspec.inspect.CustomType) and part.cls is not object:
            name = getattr(part.cls, "__qualname__", repr(part.cls))
            raise TypeError(f"{name} is unknown to msgspec; use a struct or a dataclass")


def explain(error: Exception) -> str:
    """Return what a decoder complains about, with the path to it, in a bounded length."""
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeError():
            return "it is not valid UTF-8"
        case _:
            return str(error)[:DETAIL_CHARACTERS]


def _encode(codec: CodecName, encode: Callable[..., bytes], data: object) -> bytes:
    try:
        return encode(data, enc_hook=_simplify)
    except (TypeError, OverflowError, RecursionError, UnicodeError) as error:
        raise NotEncodable(codec, str(error)) from error


def _decode(decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    # Deep nesting and bad UTF-8 are not among msgspec's own errors.
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidMessage(explain(error)) from None


def _simplify(value: object) -> object:
    if value is None or isinstance(value, (bool, tuple, frozenset)):
        # As values msgspec knows them: here they are the keys of a dict.
        raise TypeError(f"{value!r} cannot be a key; make it a text")
    # A model can only be there if its module is: pydantic is not imported for the sake of others.
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        model: Any = value
        return cast(object, model.model_dump())
    if isinstance(value, Mapping):
        return dict(cast(Mapping[object, object], value))
    for kind in (str, int, float):
        if isinstance(value, kind):  # a subclass: msgspec takes the exact types only
            return kind(value)
    raise TypeError(f"there is a {type(value).__qualname__} in it")


def _parts(info: object) -> Iterator[object]:
    # Not the fields of structs: those may contain themselves, and their classes vouch for them.
    yield info
    for name in ("item_type", "item_types", "key_type", "value_type", "types"):
        inner: object = getattr(info, name, ())
        for part in cast(tuple[object, ...], inner) if isinstance(inner, tuple) else (inner,):
            yield from _parts(part)
