"""Routes: which handler answers which path, for HTTP and for WebSockets alike."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal, TypeAlias, TypeVar, Unpack, cast, get_args

import rodi

from herdwick.routing import BadPath, Match, Pattern, Prefix, Table

from .binding import Binder, Handler, bind, describe
from .codec import Codec, CodecName
from .first_message import MOST_BYTES
from .http import HTTPError
from .limits import Limits, RouteLimits
from .marks import auth_rule
from .websocket import WebSocket

F = TypeVar("F", bound=Handler)

OnInvalid: TypeAlias = Literal["raise", "reply"]
"""What `receive_as` does with a message that does not decode."""

WEBSOCKET: Final = "WEBSOCKET"
"""What stands in for the method of a WebSocket's route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """How the WebSockets of one route behave."""

    limits: Limits
    """Those of the application itself where the route has none of its own."""
    codec: Codec
    cancel_on_disconnect: bool = False
    on_invalid: OnInvalid = "raise"
    strangers: Limits = field(init=False)
    """Those of a client that has not shown its token yet."""

    def __post_init__(self) -> None:
        choices = get_args(OnInvalid)
        if self.on_invalid not in choices:
            raise ValueError(f"on_invalid is {self.on_invalid!r}; it must be one of {choices}")
        most = min(MOST_BYTES, self.limits.message_bytes)
        # The way to do it in a frozen class; for each connection it would take 50 µs.
        object.__setattr__(self, "strangers", replace(self.limits, message_bytes=most))


@dataclass(frozen=True)
class Endpoint:
    """A handler with all that was found out about it at registration."""

    handler: Handler
    binder: Binder
    socket: SocketOptions | None = None
    """None for an HTTP handler."""

    def __call__(self, arguments: dict[str, object]) -> Awaitable[object]:
        """Call the handler."""
        return cast("Awaitable[object]", self.handler(**arguments))

    @cached_property
    def asks_auth(self) -> bool:
        """Whether `auth` stands on the handler; looked for at the first request, when all is."""
        return auth_rule(self.handler) is not None

    @property
    def takes_first_message(self) -> bool:
        """Whether a client without a token in its handshake may send it as the first message."""
        rule = auth_rule(self.handler)
        return rule is not None and rule.first_message and self.socket is not None


class Routes:
    """A collection of routes under a common prefix; decorators add to it."""

    def __init__(
        self,
        table: Table[Endpoint],
        endpoints: list[Endpoint],
        services: rodi.Container,
        prefix: Prefix,
        limits: Limits,
    ) -> None:
        self._endpoints = endpoints
        self.limits = limits
        """What one peer may use, where its route does not say otherwise."""
        self._table = table
        self._services = services
        self._prefix = prefix

    @property
    def handlers(self) -> list[Handler]:
        """All handlers of the application, in the order of their registration."""
        return [endpoint.handler for endpoint in self._endpoints]

    def group(self, prefix: str) -> Routes:
        """Give a group of routes whose paths all begin with `prefix`."""
        inner = self._prefix.group(prefix)
        return Routes(self._table, self._endpoints, self._services, inner, self.limits)

    def ws(
        self,
        path: str,
        /,
        *,
        codec: CodecName = "json",
        cancel_on_disconnect: bool = False,
        on_invalid: OnInvalid = "raise",
        **limits: Unpack[RouteLimits],
    ) -> Callable[[F], F]:
        """Serve WebSockets at this path.

        `codec` is that of `receive_as` and `send_message`; `cancel_on_disconnect` cancels the
        handler as soon as the client is gone; `on_invalid="reply"` lets `receive_as` answer a
        message that does not decode with an error, instead of raising. What else is given is a
        limit, for this route in the place of the application's: `message_bytes=4096`. Those of
        `RouteLimits` can be.

        Raises:
            ValueError: There is no such codec, no such way to treat what is invalid, or a limit is
                none.
            TypeError: A limit is none of a route.
            RoutingError: The path is no pattern, or is taken.
            BindingError: The handler wants an argument that cannot be bound.
        """
        options = SocketOptions(
            limits=limited(self.limits, limits),
            codec=Codec(codec),
            cancel_on_disconnect=cancel_on_disconnect,
            on_invalid=on_invalid,
        )
        return self._adder(WEBSOCKET, path, options)

    def get(self, path: str, /) -> Callable[[F], F]:
        """Answer GET requests at this path, and HEAD requests where nothing else does."""
        return self._adder("GET", path)

    def post(self, path: str, /) -> Callable[[F], F]:
        """Answer POST requests at this path."""
        return self._adder("POST", path)

    def put(self, path: str, /) -> Callable[[F], F]:
        """Answer PUT requests at this path."""
        return self._adder("PUT", path)

    def patch(self, path: str, /) -> Callable[[F], F]:
        """Answer PATCH requests at this path."""
        return self._adder("PATCH", path)

    def delete(self, path: str, /) -> Callable[[F], F]:
        """Answer DELETE requests at this path."""
        return self._adder("DELETE", path)

    def head(self, path: str, /) -> Callable[[F], F]:
        """Answer HEAD requests at this path."""
        return self._adder("HEAD", path)

    def options(self, path: str, /) -> Callable[[F], F]:
        """Answer OPTIONS requests at this path."""
        return self._adder("OPTIONS", path)

    def _adder(
        self, method: str, path: str, socket: SocketOptions | None = None
    ) -> Callable[[F], F]:
        full = self._prefix / path
        pattern = Pattern.read(full, self._table.types)

        def add(handler: F) -> F:
            check_async(handler)
            binder = bind(
                handler,
                pattern_names=pattern.names,
                websocket_type=WebSocket if socket else None,
                services=self._services,
            )
            endpoint = Endpoint(handler, binder, socket)
            self._table.add(method, full, endpoint)
            self._endpoints.append(endpoint)
            return handler

        return add


def limited(limits: Limits, own: RouteLimits) -> Limits:
    """Give the limits of a route: these, but for its own.

    Raises:
        TypeError: One is none of a route.
        ValueError: One is none at all.
    """
    for name in own.keys() - RouteLimits.__annotations__.keys():
        known = ", ".join(RouteLimits.__annotations__)
        raise TypeError(f"{name!r} is no limit of a route, which are: {known}")
    return replace(limits, **own) if own else limits


def check_async(handler: Handler) -> None:
    """Check that a handler can be awaited.

    Raises:
        TypeError: It is no `async def` function.
    """
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{describe(handler)} must be an `async def` function")


def check_first_messages(endpoints: Iterable[Endpoint]) -> None:
    """Check, when the application starts, that only WebSockets ask for a first message.

    Raises:
        TypeError: A handler answers HTTP, and asks for one.
    """
    for endpoint in endpoints:
        rule = auth_rule(endpoint.handler)
        if rule is not None and rule.first_message and endpoint.socket is None:
            raise TypeError(
                f"{describe(endpoint.handler)} answers HTTP, which has no first message; "
                "leave `first_message` out of its auth()"
            )


def find(table: Table[Endpoint], method: str, raw_path: str) -> Match[Endpoint] | None:
    """Find the endpoint of a request; HEAD falls back to GET.

    Raises:
        HTTPError: 400 for a path that is malformed.
    """
    try:
        match = table.find(method, raw_path)
        if match is None and method == "HEAD":
            match = table.find("GET", raw_path)
    except BadPath as error:
        raise HTTPError(400, error.problem) from None
    return match


def not_found(table: Table[Endpoint], method: str, raw_path: str) -> HTTPError:
    """Make the answer for a path without an endpoint: 404, or 405 with what is allowed."""
    others = table.methods(raw_path) - {WEBSOCKET}
    if method == WEBSOCKET or not others:
        upgrade = method != WEBSOCKET and WEBSOCKET in table.methods(raw_path)
        headers: Mapping[str, str] = {"Upgrade": "websocket"} if upgrade else {}
        return HTTPError(426, "this is a WebSocket", headers) if upgrade else HTTPError(404)
    implied = ["HEAD"] if "GET" in others else []
    return HTTPError(405, headers={"Allow": ", ".join(sorted(others.union(implied)))})
