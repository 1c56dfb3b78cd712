"""The types a route's parameter can have, and an application's own ones."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from herdwick.routing.errors import InvalidParameterType

INT_DIGITS: Final = 20
"""How many digits an `int` may have: enough for 64 bits, unsigned."""

FLOAT_CHARACTERS: Final = 64

# Fixed expressions over ASCII, each without a choice to come back to.
_INT = re.compile(rf"[+-]?[0-9]{{1,{INT_DIGITS}}}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class ParamType:
    """A named way to make a value of a piece of a path."""

    name: str
    """What routes call it."""
    parse: Callable[[str], object]
    """Takes decoded, non-empty text; raises `ValueError` where it does not match."""
    rank: int
    """Which type is tried first where several could match: the lowest."""

    @property
    def takes_rest(self) -> bool:
        """Whether a parameter of this type takes the whole rest of the path."""
        return self.name == "path"


class ParamTypes:
    """The parameter types of one application.

    From the start there are, in the order in which they are tried:

    * `int`: an optional sign and at most 20 ASCII digits;
    * `uuid`: 8-4-4-4-12 hexadecimal digits;
    * `float`: decimal, with an optional exponent, at most 64 characters, never nan or inf;
    * own types, in the order of their registration;
    * `str`: anything but the empty string, and what a parameter without a type is;
    * `path`: the whole rest of the path, with its slashes; may be empty.
    """

    def __init__(self) -> None:
        self._types: dict[str, ParamType] = {}
        for name, parse in (("int", _int), ("uuid", _uuid), ("float", _float)):
            self._types[name] = ParamType(name, parse, len(self._types))
        # Behind all that will ever be registered.
        self._text = {name: ParamType(name, str, 1_000_000) for name in ("str", "path")}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which the types are tried."""
        return (*self._types, *self._text)

    def register(self, name: str, parse: Callable[[str], object]) -> None:
        """Add a type, for the routes that are added from now on.

        `parse` takes a piece of a path, decoded and never empty, and returns the value. It raises
        `ValueError` where the piece does not match, and the search goes on; any other error
        leaves `Table.find`. It runs before authentication, in the loop: keep it short, and linear
        in the length of its text.

        Raises:
            InvalidParameterType: The name is taken or is not an identifier.
        """
        if not name.isidentifier():
            raise InvalidParameterType(name, "its name is not an identifier; use letters and '_'")
        if self.get(name) is not None:
            raise InvalidParameterType(name, "the name is taken; choose another one")
        self._types[name] = ParamType(name, parse, len(self._types))

    def get(self, name: str) -> ParamType | None:
        """Look a type up by its name."""
        return self._types.get(name) or self._text.get(name)


def _int(text: str) -> int:
    if _INT.fullmatch(text) is None:
        raise ValueError("not an integer")
    return int(text)


def _uuid(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:
        raise ValueError("not a UUID")
    return UUID(text)


def _float(text: str) -> float:
    if len(text) > FLOAT_CHARACTERS or _FLOAT.fullmatch(text) is None:
        raise ValueError("not a decimal number")
    value = float(text)
    if not math.isfinite(value):  # such as 1e999
        raise ValueError("not a finite number")
    return value
