"""Which arguments a handler wants, found out once, and their values in each request."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias, get_type_hints

import rodi
from rodi import ActivationScope

from .arguments import OMITTED, Argument, FromBody, FromServices, Route, Source, Unbindable, find
from .request import Request

Handler: TypeAlias = Callable[..., object]

_NAMELESS = {
    inspect.Parameter.POSITIONAL_ONLY: "arguments are given by name; remove the '/' behind it",
    inspect.Parameter.VAR_POSITIONAL: "name the arguments; a decorator keeps their names with "
    "functools.wraps",
    inspect.Parameter.VAR_KEYWORD: "name the arguments; a decorator keeps their names with "
    "functools.wraps",
}


class BindingError(TypeError):
    """A handler wants an argument that no request has; a mistake in the program."""

    def __init__(self, handler: Handler, parameter: str, problem: str) -> None:
        super().__init__(f"cannot bind {parameter!r} of {describe(handler)}: {problem}")
        self.handler = handler
        """The function that asks for it."""
        self.parameter = parameter
        """The name of the argument."""


@dataclass(frozen=True, slots=True)
class Binder:
    """Finds the arguments of one handler in a request."""

    sources: tuple[tuple[str, Source], ...]
    """Where each argument comes from, by its name."""

    services: rodi.Container

    async def __call__(self, request: Request) -> dict[str, object]:
        """Return the arguments by name, without those that are left to their defaults.

        Services are made last, all in one scope: none for a request that is refused. Cancelling
        it loses what had arrived of the body.

        Raises:
            HTTPError: 404 where a value in the path does not fit; 400 where another value is
                missing or does not fit; 401 where there is no identity and there has to be one,
                403 where it is of another kind; 413 or 415 because of the body.
        """
        values: dict[str, object] = {}
        services: list[tuple[str, FromServices]] = []
        for name, source in self.sources:
            if isinstance(source, FromServices):
                services.append((name, source))
                continue
            value = await source.read(request) if isinstance(source, FromBody) else source(request)
            if value is not OMITTED:
                values[name] = value
        if services:
            with ActivationScope(self.services.provider) as scope:
                for name, source in services:
                    values[name] = scope.get(source.service)
        return values


def bind(
    handler: Handler,
    *,
    pattern_names: Collection[str],
    websocket_type: type | None,
    services: rodi.Container,
) -> Binder:
    """Find out what a handler wants; `websocket_type` is None for an HTTP handler.

    An argument is, in this order: the WebSocket, the request, a `From...` value, a value of the
    path, the identity, or a service of the container as it is by now; else it keeps its default.

    Raises:
        BindingError: An argument is none of these, or cannot be what it says.
    """
    route = Route(tuple(pattern_names), websocket_type, services)
    sources: list[tuple[str, Source]] = []
    for parameter in inspect.signature(handler).parameters.values():
        try:
            source = _source(handler, parameter, route)
        except Unbindable as error:
            raise BindingError(handler, parameter.name, str(error)) from error.__cause__
        if source is not None:
            sources.append((parameter.name, source))
    return Binder(tuple(sources), services)


def describe(handler: Handler) -> str:
    """Return what a message calls a handler: its module and its name."""
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    module = getattr(handler, "__module__", None) or type(handler).__module__
    return f"{module}.{name}"


def _source(handler: Handler, parameter: inspect.Parameter, route: Route) -> Source | None:
    if parameter.kind in _NAMELESS:
        raise Unbindable(_NAMELESS[parameter.kind])
    argument = Argument.of(parameter, _resolve(handler, parameter))
    source = find(argument, route)
    if source is None and not argument.has_default:
        raise Unbindable(_what_works(argument, route))
    return source


def _resolve(handler: Handler, parameter: inspect.Parameter) -> Any:
    # One at a time: the others, and what is returned, need not be there at run time.
    carrier = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        hints = get_type_hints(carrier, _globals(handler), include_extras=True)
    except Exception as error:
        raise Unbindable(
            f"its annotation {parameter.annotation!r} does not resolve ({error}); what it names "
            "has to be in the handler's module at run time, outside of TYPE_CHECKING and of "
            "functions"
        ) from error
    return hints[parameter.name]


def _globals(handler: Handler) -> dict[str, Any]:
    function: Any = handler
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__") and not inspect.ismethod(function):
        function = type(function).__call__
    return getattr(function, "__globals__", {})


def _what_works(argument: Argument, route: Route) -> str:
    names = ", ".join(route.names) or "none"
    sources = "FromQuery, FromHeader or FromCookie"
    if route.websocket_type is None:
        sources = "FromQuery, FromHeader, FromCookie or FromJSON"
    kind = getattr(argument.kind, "__name__", str(argument.kind))
    return (
        "it is neither the WebSocket, the request nor the identity, no service of that type is "
        f"registered, and the path has no value of that name (it has: {names}); name it in the "
        f"path, annotate it with {sources}, register {kind} as a service before this handler, or "
        "give it a default"
    )
