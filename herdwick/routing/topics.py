"""The names of topics: patterns such as `game:{game_id}`, and which one a name belongs to."""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from herdwick.routing.errors import DuplicateRoute, InvalidPattern, UnknownParameterType
from herdwick.routing.params import ParamTypes
from herdwick.routing.pattern import Fixed, Parameter, Segment

E = TypeVar("E")

NAME_BYTES: Final = 255
"""How long the name of a topic may be, in UTF-8: Phoenix's frames count it in one byte."""

_WRITTEN_IN_ONE_WAY = ("int", "uuid", "float")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SEGMENT = re.compile(r"((?:[^:{}]|\{[^{}]*\})*)(:|\Z)")  # without a choice to come back to


class InvalidTopic(ValueError):
    """A name that no topic can have; the text quotes at most 80 characters of it, escaped."""

    def __init__(self, name: str, problem: str) -> None:
        shown = name if len(name) <= 80 else name[:79] + "…"
        super().__init__(f"topic {shown!a} is invalid: {problem}")
        self.name = name
        """The whole name."""
        self.problem = problem
        """What is wrong with it."""


def check_topic(name: str) -> None:
    """Let a name pass that a topic can have.

    Raises:
        InvalidTopic: It is empty, has control characters, or is over 255 bytes long.
    """
    if not name:
        raise InvalidTopic(name, "it is empty")
    if len(name.encode(errors="replace")) > NAME_BYTES:
        raise InvalidTopic(name, f"it is over {NAME_BYTES} bytes long")
    if _CONTROL.search(name) is not None or (not name.isascii() and _has_surrogate(name)):
        raise InvalidTopic(name, "it has a control character, or half of a character")


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """The names of a kind of topic, such as `org:{org}:doc:{doc_id:int}`.

    A parameter is a whole segment between two colons, and its value has no colon; `{name}` is
    text, `{name:type}` one of `ParamTypes`.
    """

    text: str
    """What it was read from."""

    segments: tuple[Segment, ...]
    """Its parts between the colons, from left to right."""

    @classmethod
    def read(cls, text: str, types: ParamTypes) -> "TopicPattern":
        """Read the text of a pattern.

        Raises:
            InvalidPattern: The text is wrong; the message says what to write.
            UnknownParameterType: A parameter's type is not among `types`.
        """
        try:
            check_topic(text)
        except InvalidTopic as error:
            raise InvalidPattern(text, error.problem) from None
        segments = tuple(_segment(text, source, types) for source in _split(text))
        names = [each.name for each in segments if isinstance(each, Parameter)]
        for name in names:
            if names.count(name) > 1:
                raise InvalidPattern(text, f"two parameters are named {name!r}; rename one")
        return cls(text, segments)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, from left to right."""
        return tuple(each.name for each in self.segments if isinstance(each, Parameter))

    @property
    def shape(self) -> tuple[Hashable, ...]:
        """Equal for two patterns that match the same names."""
        return tuple(
            each.text if isinstance(each, Fixed) else (each.type.name,) for each in self.segments
        )

    @property
    def priority(self) -> tuple[tuple[int, int], ...]:
        """Sorts the most specific first, from the left: fixed text, then the type's rank."""
        return tuple(
            (0, 0) if isinstance(each, Fixed) else (1, each.type.rank) for each in self.segments
        )

    def match(self, parts: list[str]) -> dict[str, object] | None:
        """Give the values in the parts of a name; None where it is not of this pattern."""
        values: dict[str, object] = {}
        if len(parts) != len(self.segments):
            return None
        for segment, part in zip(self.segments, parts, strict=True):
            if isinstance(segment, Fixed):
                if segment.text != part:
                    return None
                continue
            try:
                value = segment.parse(part)
            except ValueError:
                return None
            # Or one room would have two names: `game:7` and `game:+07`.
            if segment.type.name in _WRITTEN_IN_ONE_WAY and str(value) != part:
                return None
            values[segment.name] = value
        return values

    def name(self, values: Mapping[str, object]) -> str:
        """Give the name of the topic with these values.

        Raises:
            InvalidTopic: A value cannot stand in it, or would be read as something else.
        """
        parts = [
            each.text if isinstance(each, Fixed) else str(values[each.name])
            for each in self.segments
        ]
        name = ":".join(parts)
        check_topic(name)
        if self.match(name.split(":")) is None:
            raise InvalidTopic(name, f"it does not fit {self.text!r}: a value has no colon in it")
        return name


@dataclass(frozen=True, slots=True)
class TopicMatch(Generic[E]):
    """The kind of topic that a name belongs to, and the values in the name."""

    kind: E
    values: dict[str, object]


class TopicTable(Generic[E]):
    """Kinds of topics by their patterns; the most specific pattern is found first."""

    def __init__(self, types: ParamTypes) -> None:
        self.types = types
        """Read whenever a pattern is added."""
        self._kinds: dict[int, list[tuple[TopicPattern, E]]] = {}

    def __iter__(self) -> Iterator[E]:
        for kinds in self._kinds.values():
            for _, kind in kinds:
                yield kind

    def add(self, pattern: TopicPattern, kind: E) -> None:
        """Add a kind of topic.

        Raises:
            DuplicateRoute: An earlier pattern matches the same names.
        """
        kinds = self._kinds.setdefault(len(pattern.segments), [])
        for other, _ in kinds:
            if other.shape == pattern.shape:
                raise DuplicateRoute("TOPIC", pattern.text, other.text)
        kinds.append((pattern, kind))
        kinds.sort(key=lambda entry: entry[0].priority)

    def find(self, name: str) -> TopicMatch[E] | None:
        """Find the kind of a topic by its name; None where it is of none."""
        parts = name.split(":")
        for pattern, kind in self._kinds.get(len(parts), ()):
            values = pattern.match(parts)
            if values is not None:
                return TopicMatch(kind, values)
        return None


def _split(text: str) -> list[str]:
    """Split at the colons that are in no braces."""
    sources: list[str] = []
    at = 0
    while True:
        found = _SEGMENT.match(text, at)
        if found is None:
            raise InvalidPattern(
                text, "its braces do not match; close each '{' before the next ':'"
            )
        sources.append(found[1])
        at = found.end()
        if not found[2]:
            return sources


def _segment(text: str, source: str, types: ParamTypes) -> Segment:
    if not source:
        raise InvalidPattern(text, "it has an empty segment; write one ':' at a time")
    if "{" not in source:
        return Fixed(source)
    if not (source.startswith("{") and source.find("}") == len(source) - 1):
        raise InvalidPattern(text, f"the parameter in {source!r} needs a segment of its own")
    name, _, type_name = source[1:-1].partition(":")
    if not name.isidentifier():
        raise InvalidPattern(text, f"{source!r} has no name; write {{name}} or {{name:type}}")
    kind = types.get(type_name or "str")
    if kind is None or kind.takes_rest:
        known = [each for each in types.names if each != "path"]
        raise UnknownParameterType(text, type_name, known)
    return Parameter(name, kind)


def _has_surrogate(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in name)
