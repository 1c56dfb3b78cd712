"""What routing raises.

RoutingError
├── InvalidPattern, UnknownParameterType    a route's text is wrong         at registration
├── DuplicateRoute                          two routes match the same paths at registration
├── InvalidParameterType                    a type cannot be registered     at registration
└── BadPath                                 a request's path is malformed   while matching

All are a `ValueError` too.
"""

from collections.abc import Sequence


class RoutingError(Exception):
    """Anything that goes wrong with routes; a path that no route matches is no error."""


class InvalidPattern(RoutingError, ValueError):
    """The text of a route, or of a group's prefix, cannot be read."""

    def __init__(self, pattern: str, problem: str) -> None:
        super().__init__(f"route {pattern!r} is invalid: {problem}")
        self.pattern = pattern
        """The text that cannot be read."""
        self.problem = problem
        """What is wrong with it."""


class UnknownParameterType(RoutingError, ValueError):
    """A route's parameter has a type that this application does not know."""

    def __init__(self, pattern: str, type_name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"route {pattern!r} has a parameter of the unknown type {type_name!r}; "
            f"use one of {', '.join(known)}, or register {type_name!r} first"
        )
        self.pattern = pattern
        """The text of the route."""
        self.type_name = type_name
        """The type that it asks for."""
        self.known: tuple[str, ...] = tuple(known)
        """The types that there are."""


class DuplicateRoute(RoutingError, ValueError):
    """A route would match exactly the paths of an earlier one, with the same method."""

    def __init__(self, method: str, pattern: str, existing: str) -> None:
        super().__init__(
            f"route {method} {pattern!r} matches the same paths as {method} {existing!r}, "
            f"which is registered already; remove one of them or change its path"
        )
        self.method = method
        """The method of both."""
        self.pattern = pattern
        """The text of the new route."""
        self.existing = existing
        """The text of the earlier one."""


class InvalidParameterType(RoutingError, ValueError):
    """A parameter type cannot be registered under this name."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"parameter type {name!r} cannot be registered: {problem}")
        self.name = name
        """What it was to be called."""
        self.problem = problem
        """Why it cannot be."""


class BadPath(RoutingError, ValueError):
    """A request's path is malformed, whatever the routes; the answer is 400.

    The message quotes at most 80 characters of the path, escaped, and is safe to log;
    `problem` quotes nothing of it.
    """

    def __init__(self, raw_path: str, problem: str) -> None:
        shown = raw_path if len(raw_path) <= 80 else raw_path[:79] + "…"
        super().__init__(f"path {shown!a} is malformed: {problem}")
        self.raw_path = raw_path
        """The whole path, as it was sent."""
        self.problem = problem
        """What is wrong with it."""
