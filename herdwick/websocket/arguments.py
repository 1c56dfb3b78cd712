"""Where each kind of a handler's arguments comes from."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeAlias, Union, cast, get_args, get_origin

import guardpost
import msgspec
import rodi

from .bound import BoundValue, FromBytes, FromCookie, FromHeader, FromJSON, FromQuery, FromText
from .codec import check_decodable, explain
from .http import HTTPError
from .identity import Identity
from .request import Request

OMITTED: Final = object()
"""Instead of a value: the argument keeps its default."""

FromHead: TypeAlias = Callable[[Request], object]
"""Takes a value from the head of a request; may return `OMITTED`."""


@dataclass(frozen=True, slots=True)
class FromBody:
    """Takes a value from the body of a request; may return `OMITTED`."""

    read: Callable[[Request], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class FromServices:
    """Takes a value from the container."""

    service: type


Source: TypeAlias = FromHead | FromBody | FromServices

_ANYTHING = (inspect.Parameter.empty, Any)
_EVERY_IDENTITY = (guardpost.Identity, guardpost.User, Identity)
_MANY = (
    msgspec.inspect.ListType,
    msgspec.inspect.SetType,
    msgspec.inspect.FrozenSetType,
    msgspec.inspect.VarTupleType,
)
_NEVER_TEXT = (
    msgspec.inspect.StructType,
    msgspec.inspect.DataclassType,
    msgspec.inspect.TypedDictType,
    msgspec.inspect.NamedTupleType,
    msgspec.inspect.DictType,
    msgspec.inspect.CustomType,
)


class Unbindable(TypeError):
    """An argument cannot be bound; the text says why."""


@dataclass(frozen=True, slots=True)
class Route:
    """What is known of a route when its handler is registered."""

    names: tuple[str, ...]
    """The names of the values in its path."""

    websocket_type: type | None
    """The class of its WebSocket; None for HTTP."""

    services: rodi.Container


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that a handler wants."""

    name: str

    annotation: Any
    """What it is annotated with, resolved; `Any` if with nothing."""

    kind: Any
    """The annotation without `None` and `Annotated`."""

    is_optional: bool
    """Whether None will do."""

    has_default: bool

    @classmethod
    def of(cls, parameter: inspect.Parameter, annotation: Any) -> "Argument":
        """Return what this parameter wants."""
        if annotation is inspect.Parameter.empty:
            annotation = Any
        kind, is_optional = without_none(annotation)
        has_default = parameter.default is not inspect.Parameter.empty
        return cls(parameter.name, annotation, kind, is_optional, has_default)

    @property
    def can_be_absent(self) -> bool:
        """Whether a request may lack it."""
        return self.has_default or self.is_optional

    def absent(self, error: HTTPError) -> object:
        """Return what stands for a value that a request lacks, or raise the error."""
        if not self.can_be_absent:
            raise error
        return OMITTED if self.has_default else None

    def is_a(self, cls: type) -> bool:
        """Tell whether the annotation is this class or one that it comes from."""
        return self.kind in cls.__mro__[:-1]

    def is_called(self, *names: str, beside: Route) -> bool:
        """Tell whether it has one of these names, and neither annotation nor path say more."""
        return self.name in names and self.kind is Any and self.name not in beside.names


def find(argument: Argument, route: Route) -> Source | None:
    """Find out where an argument comes from; None if from nowhere.

    Raises:
        Unbindable: It says what it wants, and cannot have it.
    """
    for finder in (
        _find_websocket,
        _find_request,
        _find_bound_value,
        _find_route_value,
        _find_identity,
        _find_service,
    ):
        source = finder(argument, route)
        if source is not None:
            return source
    return None


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Split `X | None` into X and True; without a None it is False. `Annotated` goes first."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    rest = tuple(part for part in get_args(annotation) if part is not NoneType)
    is_optional = len(rest) < len(get_args(annotation))
    return Union[rest], is_optional  # noqa: UP007 - the parts are values here


def _find_websocket(argument: Argument, route: Route) -> Source | None:
    is_called_so = argument.is_called("websocket", "ws", beside=route)
    if route.websocket_type is None:
        if is_called_so or getattr(argument.kind, "__name__", "") == "WebSocket":
            raise Unbindable("an HTTP handler has no WebSocket; register it with app.ws(path)")
        return None
    if is_called_so or argument.is_a(route.websocket_type):
        return lambda request: request.websocket
    return None


def _find_request(argument: Argument, route: Route) -> Source | None:
    if argument.is_a(Request) or argument.is_called("request", beside=route):
        return lambda request: request
    return None


def _find_bound_value(argument: Argument, route: Route) -> Source | None:
    kind = get_origin(argument.kind) or argument.kind
    if not isinstance(kind, type) or not issubclass(kind, BoundValue):
        return None
    wrapper = cast("type[BoundValue[Any]]", kind)  # type: ignore[redundant-cast]
    if issubclass(wrapper, (FromJSON, FromText, FromBytes)):
        if route.websocket_type is not None:
            raise Unbindable(
                f"the handshake of a WebSocket has no body for {wrapper.__name__}; use FromQuery, "
                "FromHeader or FromCookie, or receive it as a message"
            )
        return FromBody(_body_reader(argument, wrapper))
    return _text_reader(argument, wrapper)


def _find_route_value(argument: Argument, route: Route) -> Source | None:
    if argument.name not in route.names:
        return None
    convert = _route_converter(argument)
    return lambda request: convert(request.route_values[argument.name])


def _find_identity(argument: Argument, route: Route) -> Source | None:
    kind: object = argument.kind
    is_class = isinstance(kind, type) and issubclass(kind, guardpost.Identity)
    if not is_class and not argument.is_called("identity", beside=route):
        return None
    # Whoever asks for a class of their own gets that one only.
    own_class = cast(type, kind) if is_class and kind not in _EVERY_IDENTITY else object

    def read(request: Request) -> object:
        identity = request.identity
        if identity is None or not identity.is_authenticated():
            challenge = {"www-authenticate": "Bearer"}
            return argument.absent(HTTPError(HTTPStatus.UNAUTHORIZED, headers=challenge))
        if not isinstance(identity, own_class):
            raise HTTPError(HTTPStatus.FORBIDDEN)
        return identity

    return read


def _find_service(argument: Argument, route: Route) -> Source | None:
    if isinstance(argument.kind, type) and argument.kind in route.services:
        return FromServices(argument.kind)
    return None


def _route_converter(argument: Argument) -> Callable[[object], object]:
    kind = argument.kind
    if argument.annotation is Any:
        return lambda value: value
    is_plain = isinstance(kind, type) and argument.annotation is kind
    if not is_plain:
        _check(argument.annotation)

    def convert(value: object) -> object:
        if is_plain and isinstance(value, kind):
            return value
        text = str(value) if kind is str else value
        try:
            return msgspec.convert(text, argument.annotation, strict=False)
        except (msgspec.ValidationError, UnicodeError) as error:
            detail = f"the value {argument.name!r} in the path does not fit: {explain(error)}"
            raise HTTPError(HTTPStatus.NOT_FOUND, detail) from None

    return convert


@dataclass(frozen=True, slots=True)
class _Place:
    """A part of the head that holds texts by name."""

    kind: type[BoundValue[Any]]
    label: str
    values: Callable[[Request, str], list[str]]


_PLACES = (
    _Place(FromQuery, "query parameter", lambda request, name: request.query.get_all(name)),
    _Place(FromHeader, "header", lambda request, name: request.headers.get_all(name)),
    _Place(FromCookie, "cookie", lambda request, name: _cookie(request, name)),
)


def _text_reader(argument: Argument, wrapper: type[BoundValue[Any]]) -> FromHead:
    place = next((place for place in _PLACES if issubclass(wrapper, place.kind)), None)
    if place is None:
        raise Unbindable(f"{wrapper.__name__} says no place; derive it from FromQuery or the like")
    name = wrapper.name or argument.name
    if wrapper.name is None and place.kind is FromHeader:
        name = name.replace("_", "-")
    value_type = _value_type(argument.kind, wrapper, str)
    inner, is_optional = without_none(value_type)
    is_many = isinstance(_check(inner, _NEVER_TEXT), _MANY)

    def read(request: Request) -> object:
        values = place.values(request, name)
        if not values and (argument.can_be_absent or not (is_many or is_optional)):
            problem = f"the {place.label} {name!r} is missing"
            return argument.absent(HTTPError(HTTPStatus.BAD_REQUEST, problem))
        if not values:
            return wrapper(None if is_optional else msgspec.convert([], value_type))
        try:
            value = msgspec.convert(values if is_many else values[0], value_type, strict=False)
        except (msgspec.ValidationError, UnicodeError) as error:
            problem = f"the {place.label} {name!r} does not fit: {explain(error)}"
            raise HTTPError(HTTPStatus.BAD_REQUEST, problem) from None
        return wrapper(value)

    return read


def _body_reader(
    argument: Argument, wrapper: type[BoundValue[Any]]
) -> Callable[[Request], Awaitable[object]]:
    value_type = _value_type(argument.kind, wrapper, Any)
    if issubclass(wrapper, FromJSON):
        _check(value_type)

    async def read(request: Request) -> object:
        if issubclass(wrapper, FromBytes):
            return wrapper(await request.read())
        if issubclass(wrapper, FromText):
            return wrapper(await request.text())
        if argument.can_be_absent and not await request.read():
            return argument.absent(HTTPError(HTTPStatus.BAD_REQUEST))
        _check_media_type(request)
        return wrapper(await request.decode(value_type))

    return read


def _check_media_type(request: Request) -> None:
    # Also a guard: pages of other sites can send a form or plain text here, but no JSON.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json"
    if not is_json and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise HTTPError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, and say 'content-type: application/json'"
        )


def _check(type: Any, refused: tuple[Any, ...] = ()) -> object:
    try:
        check_decodable(type)
        info = msgspec.inspect.type_info(type)
    except TypeError as error:
        raise Unbindable(str(error)) from error
    if isinstance(info, refused):
        raise Unbindable(f"a text is never a {getattr(type, '__name__', type)}")
    return info


def _value_type(annotation: Any, wrapper: type[BoundValue[Any]], default: Any) -> Any:
    bases = getattr(wrapper, "__orig_bases__", ())
    for source in (annotation, *bases):
        arguments = get_args(source)
        if arguments and not hasattr(arguments[0], "__constraints__"):  # no type variable
            return arguments[0]
    return default


def _cookie(request: Request, name: str) -> list[str]:
    return [request.cookies[name]] if name in request.cookies else []
