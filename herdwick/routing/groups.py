"""The prefix that the routes of a group share."""

from herdwick.routing.errors import InvalidPattern
from herdwick.routing.params import ParamTypes
from herdwick.routing.pattern import Pattern


class Prefix:
    """The first part of every path in a group of routes, such as `/api/{version:int}`.

    It may have parameters, and a slash at its end means nothing; `Prefix("/")` adds nothing.

    Raises:
        InvalidPattern: The prefix is wrong, or has a `path` parameter, after which nothing comes.
        UnknownParameterType: A parameter's type is not among `types`.
    """

    def __init__(self, text: str, types: ParamTypes | None = None) -> None:
        self._types = ParamTypes() if types is None else types
        pattern = Pattern.read(text, self._types)
        for parameter in pattern.parameters:
            if parameter.type.takes_rest:
                raise InvalidPattern(
                    text,
                    f"nothing can follow the path parameter {parameter.name!r}; "
                    "move it from the prefix to the routes",
                )
        self._text = text.removesuffix("/")

    def __truediv__(self, path: str) -> str:
        """Join the path of a route, to be given to `Table.add`; "/" is the prefix itself.

        Raises:
            InvalidPattern: The path does not begin with a slash.
        """
        if not path.startswith("/"):
            raise InvalidPattern(path, "it must begin with '/', in a group too")
        if path == "/":
            return str(self)
        return self._text + path

    def group(self, path: str) -> "Prefix":
        """Return the prefix of a group within this one.

        Raises:
            InvalidPattern: The path is wrong, or does not go with this prefix.
            UnknownParameterType: A parameter's type is unknown.
        """
        return Prefix(self / path, self._types)

    def __str__(self) -> str:
        return self._text or "/"

    def __repr__(self) -> str:
        return f"Prefix({str(self)!r})"
