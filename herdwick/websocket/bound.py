"""What a handler's arguments can be taken from, said in their annotations.

    async def search(text: FromQuery[str], page: FromQuery[int] = FromQuery(1)) -> Response:
        ... text.value, page.value ...

The name in the request is that of the argument, with `-` for `_` in headers. A subclass with an
attribute `name` names another one:

    class Version(FromHeader[int]):
        name = "x-api-version"
"""

from typing import ClassVar, Generic, TypeVar

T = TypeVar("T")


class BoundValue(Generic[T]):
    """A value taken from a request; the subclass says from where."""

    name: ClassVar[str | None] = None
    """What the request calls it; None: what the argument is called."""

    def __init__(self, value: T) -> None:
        self.value = value
        """What was in the request, as the type that was asked for."""

    def __repr__(self) -> str:
        # Not the value: it may be a secret, and a repr ends up in logs.
        return f"<{type(self).__name__}>"


class FromQuery(BoundValue[T]):
    """A parameter of the URL's query; as a list, every value of that name."""


class FromHeader(BoundValue[T]):
    """A header field; as a list, every value of that name."""


class FromCookie(BoundValue[T]):
    """A cookie."""


class FromJSON(BoundValue[T]):
    """The body of an HTTP request, which is JSON and says so in its content type."""


class FromText(BoundValue[str]):
    """The body of an HTTP request, as text."""


class FromBytes(BoundValue[bytes]):
    """The body of an HTTP request, as it is."""
