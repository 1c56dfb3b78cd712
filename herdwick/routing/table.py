"""Which route a request's path belongs to."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar

from herdwick.routing.errors import DuplicateRoute
from herdwick.routing.params import ParamTypes
from herdwick.routing.pattern import Fixed, Parameter, Pattern, Segment, split_path

E = TypeVar("E")
NO_VALUES: Final[Mapping[str, object]] = MappingProxyType({})
_Values: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Match(Generic[E]):
    """The route that a path belongs to, and the values in the path."""

    endpoint: E
    """What was added under the route."""

    values: Mapping[str, object]
    """By name, in the order of the pattern; decoded once, and of the parameter's type."""

    pattern: Pattern
    """The route."""


class Table(Generic[E]):
    """Routes by method and path; the same table serves HTTP and WebSockets.

    A path is matched segment by segment, from the left, and at each segment the most specific
    candidate comes first: fixed text; a parameter with more fixed text around it; a parameter
    whose type comes earlier in `ParamTypes` (typed before `str`); a `path` parameter. A candidate
    that leads nowhere, for this method, gives way to the next one.

    The routes form a tree, one level per segment, so that a path meets each node at most once:
    the work is bounded by the length of the path times the number of routes.
    """

    def __init__(self, types: ParamTypes | None = None) -> None:
        self.types: ParamTypes = ParamTypes() if types is None else types
        """Read whenever a route is added."""
        self._root = _Node[E]()
        self._fixed: dict[tuple[str, str], Match[E]] = {}
        """The routes without parameters, which come first wherever they match: one look instead of
        a search, which takes three times as long."""

    def add(self, method: str, path: str, endpoint: E) -> Pattern:
        """Add a route; `method` is compared as it is written, such as `GET` or `WEBSOCKET`.

        Raises:
            InvalidPattern: The path is wrong; the message says what to write.
            UnknownParameterType: A parameter's type is not among `types`.
            DuplicateRoute: An earlier route matches the same paths with this method.
        """
        pattern = Pattern.read(path, self.types)
        routes = self._root.routes_of(pattern)
        existing = routes.get(method)
        if existing is not None:
            raise DuplicateRoute(method, path, existing.pattern.text)
        routes[method] = _Route(pattern, pattern.names, endpoint)
        if not pattern.names:
            self._fixed[method, path] = Match(endpoint, NO_VALUES, pattern)
        return pattern

    def find(self, method: str, raw_path: str) -> Match[E] | None:
        """Find the most specific route of this method, or None.

        `raw_path` is still percent-encoded, and without the query. A `%2F` never splits a
        segment; in the value of a `path` parameter it is a slash like any other. Segments such
        as `..` are not resolved: who opens files by such a value has to check it.

        Raises:
            BadPath: The path is malformed, whatever the routes; the answer is 400.
        """
        fixed = self._fixed.get((method, raw_path))
        if fixed is not None:
            return fixed
        for routes, values in self._candidates(raw_path):
            route = routes.get(method)
            if route is not None:
                named = dict(zip(route.names, values, strict=True))
                return Match(route.endpoint, named, route.pattern)
        return None

    def methods(self, raw_path: str) -> frozenset[str]:
        """Return the methods for which `find` would find a route; if not empty, the answer is 405.

        Raises:
            BadPath: The path is malformed, whatever the routes; the answer is 400.
        """
        return frozenset(method for routes, _ in self._candidates(raw_path) for method in routes)

    def _candidates(self, raw_path: str) -> Iterator[tuple["_Routes[E]", _Values]]:
        if raw_path and not raw_path.startswith("/"):  # such as the "*" of OPTIONS
            return iter(())
        return _search(self._root, split_path(raw_path))


@dataclass(frozen=True, slots=True)
class _Route(Generic[E]):
    pattern: Pattern
    names: tuple[str, ...]
    endpoint: E


_Routes: TypeAlias = dict[str, _Route[E]]


@dataclass(slots=True)
class _Node(Generic[E]):
    routes: _Routes[E] = field(default_factory=dict[str, _Route[E]])
    """The routes that end here, by method."""
    rest: _Routes[E] = field(default_factory=dict[str, _Route[E]])
    """The routes that end here with a `path` parameter, by method."""
    fixed: "dict[str, _Node[E]]" = field(default_factory=dict[str, "_Node[E]"])
    branches: "list[_Branch[E]]" = field(default_factory=list["_Branch[E]"])
    """The parameters, the most specific first."""

    def routes_of(self, pattern: Pattern) -> _Routes[E]:
        node = self
        for segment in pattern.segments:
            if isinstance(segment, Parameter) and segment.type.takes_rest:
                return node.rest
            node = node._child(segment)
        return node.routes

    def _child(self, segment: Segment) -> "_Node[E]":
        if isinstance(segment, Fixed):
            return self.fixed.setdefault(segment.text, _Node())
        for branch in self.branches:
            if branch.shape == segment.shape:
                return branch.node
        branch = _Branch(segment, segment.shape, _Node[E]())
        self.branches.append(branch)
        self.branches.sort(key=_priority)
        return branch.node


@dataclass(frozen=True, slots=True)
class _Branch(Generic[E]):
    parameter: Parameter
    shape: Hashable
    node: _Node[E]


def _priority(branch: _Branch[E]) -> tuple[int, int, int]:
    return branch.parameter.priority


# Lazy and depth first. The recursion is as deep as the longest pattern, whatever the path.
def _search(
    node: _Node[E], segments: Sequence[str], position: int = 0, values: _Values = ()
) -> Iterator[tuple[_Routes[E], _Values]]:
    left = len(segments) - position
    if left == 0 or (left == 1 and segments[-1] == ""):
        yield node.routes, values
    if left == 0:
        return
    segment = segments[position]
    child = node.fixed.get(segment)
    if child is not None:
        yield from _search(child, segments, position + 1, values)
    for branch in node.branches:
        try:
            value = branch.parameter.parse(segment)
        except ValueError:
            continue
        yield from _search(branch.node, segments, position + 1, (*values, value))
    if node.rest:
        yield node.rest, (*values, "/".join(segments[position:]))
