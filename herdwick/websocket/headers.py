"""Header fields: those that came, and those that go out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, cast

from herdwick.actors import RawHeaders

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CONTROLS = {code: None for code in range(0x20) if code != 0x09} | {0x7F: None}

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""How headers are given to a response; pairs may repeat a name."""


class InvalidHeader(ValueError):
    """A header field that cannot be sent, such as one with a line break in its value."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"the header {name!r} {problem}")
        self.name = name
        """The name of the field."""


class Headers(Mapping[str, str]):
    """The header fields of a request: names in any case, values as latin-1 (RFC 9110 section 5.5).

    Indexing gives the first of the values with this name; `get_all` gives them all, in order.
    """

    __slots__ = ("_values",)

    def __init__(self, raw: RawHeaders = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            key = name.decode("latin-1").lower()
            self._values.setdefault(key, []).append(value.decode("latin-1"))

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __repr__(self) -> str:
        # Names only: values hold cookies and tokens, and a repr ends up in logs.
        return f"Headers({', '.join(self._values)})"

    def get_all(self, name: str) -> list[str]:
        """Return every value of this name, in order; an empty list if there is none."""
        return list(self._values.get(name.lower(), ()))


class ResponseHeaders:
    """The header fields of a response, which may still be changed; names in any case.

    Every way to add a field refuses what would break out of it: `InvalidHeader` for a name that
    is no token (RFC 9110 section 5.6.2), and for a value with a line break, another control
    character, or a character outside of latin-1.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: HeaderFields = ()) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        pairs = cast(Mapping[str, str], fields).items() if isinstance(fields, Mapping) else fields
        for name, value in pairs:
            self.add(name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        field = encode_field(name, value)
        self.remove(name)
        self._fields.append(field)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return the fields as they travel, with lower-case names."""
        return list(self._fields)

    def get(self, name: str) -> str | None:
        """Return the first value of this name, or None."""
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        """Return every value of this name, in order."""
        return [value for key, value in self if key == name.lower()]

    def add(self, name: str, value: str) -> None:
        """Append a field, beside those that have the same name."""
        self._fields.append(encode_field(name, value))

    def remove(self, name: str) -> None:
        """Remove every field of this name, if there is one."""
        key = name.lower().encode("latin-1", "replace")
        self._fields = [field for field in self._fields if field[0] != key]


def encode_field(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a header field as it travels, with a lower-case name.

    Raises:
        InvalidHeader: The field would break out of its line, or cannot be encoded.
    """
    if not is_token(name):
        raise InvalidHeader(name, "is not a valid name; use letters, digits and '-'")
    if value.translate(_CONTROLS) != value:
        raise InvalidHeader(name, "holds a line break or another control character in its value")
    try:
        return name.lower().encode("ascii"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidHeader(
            name, "holds a character outside of latin-1 in its value; percent-encode it"
        ) from None


def is_token(text: str) -> bool:
    """Tell whether a text is a token in the sense of RFC 9110 section 5.6.2."""
    return bool(text) and _TOKEN.issuperset(text)
