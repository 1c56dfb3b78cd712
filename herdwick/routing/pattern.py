"""The text of a route, read once, and the path of a request, split and decoded once."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from keyword import iskeyword
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from herdwick.routing.errors import BadPath, InvalidPattern, UnknownParameterType
from herdwick.routing.params import ParamType, ParamTypes

# Fixed expressions, one step per character.
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_REFUSED: Final = {
    "?": "a path has no query: remove the '?' and what follows, and read the query in the handler",
    "#": "a fragment is never sent: remove the '#' and what follows",
    "*": "'*' is no wildcard here: write {name:path}, or %2A for the character itself",
    "<": "parameters are written {name} or {name:type}, not <name>",
    ">": "parameters are written {name} or {name:type}, not <name>",
}


@dataclass(frozen=True, slots=True)
class Fixed:
    """A segment that matches its own text, compared decoded and with case."""

    text: str
    """Decoded."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A segment with a value in it, and maybe fixed text around the value."""

    name: str
    """What the handler knows the value by."""

    type: ParamType
    """What the value is."""

    prefix: str = ""
    """Fixed text before the value."""

    suffix: str = ""
    """Fixed text after the value."""

    @property
    def shape(self) -> Hashable:
        """Equal for two parameters that match the same segments."""
        return self.prefix, self.type.name, self.suffix

    @property
    def priority(self) -> tuple[int, int, int]:
        """Sorts the most specific first: more fixed text, a longer prefix, the type's rank."""
        prefix, suffix = len(self.prefix), len(self.suffix)
        return -prefix - suffix, -prefix, self.type.rank

    def parse(self, segment: str) -> object:
        """Return the value in a decoded segment.

        Raises:
            ValueError: The segment does not match.
        """
        end = len(segment) - len(self.suffix)
        # The value has at least one character.
        if end <= len(self.prefix):
            raise ValueError("too short")
        if not (segment.startswith(self.prefix) and segment.endswith(self.suffix)):
            raise ValueError("the fixed text differs")
        return self.type.parse(segment[len(self.prefix) : end])


Segment: TypeAlias = Fixed | Parameter


@dataclass(frozen=True, slots=True)
class Pattern:
    """The path of a route, such as `/rooms/{room_id:int}/messages`.

    `{name}` is text up to the next slash, `{name:type}` has one of `ParamTypes`; `{type:name}` is
    read too, unless what follows the colon is a type itself. There is at most one parameter in a
    segment, and fixed text may stand around it: `/file-{id}.json`. `{name:path}` takes the rest
    of the path and comes last.

    Fixed text may be percent-encoded; it is compared decoded, and upper and lower case differ.
    One slash at the end, of the pattern or of the path, means nothing (as in BlackSheep):
    `/chat` and `/chat/` are the same route. Only a `path` parameter sees that slash.
    """

    text: str
    """What it was read from."""

    segments: tuple[Segment, ...]
    """Its parts between the slashes, from left to right."""

    @classmethod
    def read(cls, text: str, types: ParamTypes) -> "Pattern":
        """Read the text of a route.

        Raises:
            InvalidPattern: The text is wrong; the message says what to write.
            UnknownParameterType: A parameter's type is not among `types`.
        """
        return cls(text, _Reader(text, types).segments())

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, from left to right."""
        return tuple(segment for segment in self.segments if isinstance(segment, Parameter))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, from left to right."""
        return tuple(parameter.name for parameter in self.parameters)

    def __str__(self) -> str:
        return self.text


def split_path(raw_path: str) -> list[str]:
    """Split a percent-encoded path at its slashes, then decode each segment, exactly once.

    A final slash leaves an empty segment at the end. The empty path is `/` (RFC 9110, 4.2.3).

    Raises:
        BadPath: Text that is not ASCII, a bad percent-encoding, invalid UTF-8, or a control
            character, encoded or not.
    """
    if not raw_path.isascii():
        raise BadPath(raw_path, "it has characters that are not ASCII; percent-encode them")
    try:
        return [_decode(segment) for segment in raw_path[1:].split("/")]
    except ValueError as error:
        raise BadPath(raw_path, str(error)) from None


def _decode(text: str) -> str:
    if "%" in text:
        if _BAD_PERCENT.search(text) is not None:
            raise ValueError("a '%' is not followed by two hexadecimal digits")
        try:
            text = unquote_to_bytes(text).decode()
        except UnicodeDecodeError:
            raise ValueError("its percent-encoded bytes are not UTF-8") from None
    if _CONTROL.search(text) is not None:
        raise ValueError("it has a control character")
    return text


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    types: ParamTypes

    def segments(self) -> tuple[Segment, ...]:
        if not self.text.startswith("/"):
            raise self._invalid("it must begin with '/'")
        sources = self.text[1:].split("/")
        if sources[-1] == "":
            sources.pop()
        segments = tuple(self._segment(source) for source in sources)
        self._check_names(segments)
        self._check_rest(segments)
        return segments

    def _segment(self, source: str) -> Segment:
        braces = "".join(character for character in source if character in "{}")
        if not braces:
            return Fixed(self._whole(source))
        if braces != "{}":
            raise self._bad_braces(source, braces)
        prefix, _, rest = source.partition("{")
        inside, _, suffix = rest.partition("}")
        name, param_type = self._parameter(inside)
        return Parameter(name, param_type, self._literal(prefix), self._literal(suffix))

    def _bad_braces(self, source: str, braces: str) -> InvalidPattern:
        if braces == "{}" * (len(braces) // 2):
            return self._invalid(f"{source!r} has more than one parameter; put a '/' between them")
        return self._invalid(
            f"the braces in {source!r} do not match; close each '{{' before the next '/', "
            "and write %7B and %7D for the characters themselves"
        )

    def _whole(self, source: str) -> str:
        if not source:
            raise self._invalid("it has an empty segment; write one '/' at a time")
        if source.startswith(":"):
            raise self._invalid(f"write {{{source[1:]}}} instead of {source!r} for a parameter")
        text = self._literal(source)
        if text in (".", ".."):
            raise self._invalid(f"clients resolve {text!r} before they send a path; remove it")
        return text

    def _literal(self, source: str) -> str:
        for character, problem in _REFUSED.items():
            if character in source:
                raise self._invalid(problem)
        try:
            return _decode(source)
        except ValueError as error:
            raise self._invalid(f"{error} (in {source!r}); correct the encoding") from None

    def _parameter(self, inside: str) -> tuple[str, ParamType]:
        left, colon, right = inside.partition(":")
        for part in (left, right) if colon else (left,):
            self._check_identifier(part, inside)
        name, type_name = (left, right) if colon else (left, "str")
        # BlackSheep writes the type first.
        if self.types.get(type_name) is None and self.types.get(left) is not None:
            name, type_name = right, left
        param_type = self.types.get(type_name)
        if param_type is None:
            raise UnknownParameterType(self.text, type_name, self.types.names)
        if iskeyword(name):
            raise self._invalid(f"{name!r} is a keyword, so no handler can take it; rename it")
        return name, param_type

    def _check_identifier(self, part: str, inside: str) -> None:
        if not part:
            raise self._invalid(f"{{{inside}}} lacks a name; write {{name}} or {{name:type}}")
        if not part.isidentifier():
            raise self._invalid(
                f"{part!r} in {{{inside}}} is not an identifier; write {{name}} or {{name:type}}, "
                "with letters, digits and '_'"
            )

    def _check_names(self, segments: tuple[Segment, ...]) -> None:
        seen: set[str] = set()
        for segment in segments:
            if isinstance(segment, Parameter):
                if segment.name in seen:
                    raise self._invalid(f"two parameters are named {segment.name!r}; rename one")
                seen.add(segment.name)

    def _check_rest(self, segments: tuple[Segment, ...]) -> None:
        for position, segment in enumerate(segments, start=1):
            if isinstance(segment, Fixed) or not segment.type.takes_rest:
                continue
            if position < len(segments):
                raise self._invalid(
                    f"the path parameter {segment.name!r} takes the rest of the path; move it last"
                )
            if segment.prefix or segment.suffix:
                raise self._invalid(
                    f"the path parameter {segment.name!r} needs a segment of its own; "
                    "remove the text around it"
                )

    def _invalid(self, problem: str) -> InvalidPattern:
        return InvalidPattern(self.text, problem)
