"""The head of an HTTP request, parsed (RFC 9112 sections 3 and 5)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from herdwick.actors import RawHeaders

# Possessive, so that no head makes them try twice.
_REQUEST: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++) ([\x21-\x7e\x80-\xff]++) HTTP/(1\.[01])\r\n"
)
_FIELD: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)\r\n"
)
_FIELDS: Final = re.compile(rb"(?:%b)*+" % _FIELD.pattern)


Fields: TypeAlias = dict[bytes, list[bytes]]
"""The values of header fields by name, in order."""


def elements(values: Iterable[bytes]) -> list[bytes]:
    """Give the elements of a comma-separated header (RFC 9110 section 5.6.1)."""
    return [each for element in b",".join(values).split(b",") if (each := element.strip(b" \t"))]


@dataclass(slots=True)
class Head:
    """The head of a request; names of headers are given in lower case, values without outer spaces.

    The fields are kept as they came, and parsed when somebody asks: what is parsed takes five times
    the memory, and few look at it after the handshake.
    """

    method: str
    target: bytes
    version: str
    lines: bytes | RawHeaders
    """The fields: as they came, sound and each with its line break; or parsed by somebody else."""

    _headers: RawHeaders | None = field(init=False, default=None, repr=False, compare=False)
    _values: Fields | None = field(init=False, default=None, repr=False, compare=False)

    @property
    def headers(self) -> RawHeaders:
        """The name and the value of each field, in order."""
        if not isinstance(self.lines, bytes):
            return self.lines
        if self._headers is None:
            found: list[tuple[bytes, bytes]] = _FIELD.findall(self.lines)
            self._headers = [(name.lower(), value.rstrip(b" \t")) for name, value in found]
        return self._headers

    @property
    def values(self) -> Fields:
        """The values of the fields by name, in order."""
        values = self._values
        if values is None:
            values = self._values = {}
            for name, value in self.headers:
                values.setdefault(name, []).append(value)
        return values

    def all(self, name: bytes) -> list[bytes]:
        """Give the value of each field of this name, in order."""
        return self.values.get(name, [])

    def tokens(self, name: bytes) -> list[bytes]:
        """Give the elements of a comma-separated header."""
        return elements(self.values.get(name, ()))

    def fold(self) -> None:
        """Forget what was parsed; it is parsed again if somebody asks."""
        self._headers = self._values = None


def parse_head(data: bytes) -> Head | None:
    """Read a head up to its empty line, which is left out; None for what is not sound."""
    request = _REQUEST.match(data)
    if request is None:
        return None
    lines = data[request.end() :]
    if _FIELDS.fullmatch(lines) is None:
        return None
    version = "1.1" if request[3] == b"1.1" else "1.0"
    method = "GET" if request[1] == b"GET" else request[1].decode()
    return Head(method, request[2], version, lines)
