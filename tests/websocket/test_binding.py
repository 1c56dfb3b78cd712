"""The arguments of handlers."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, TypeVar, cast
from uuid import UUID

import guardpost
import msgspec
import pytest
import rodi

from herdwick.websocket.binding import BindingError, bind
from herdwick.websocket.bound import (
    BoundValue,
    FromBytes,
    FromCookie,
    FromHeader,
    FromJSON,
    FromQuery,
    FromText,
)
from herdwick.websocket.http import HTTPError
from herdwick.websocket.identity import Identity
from herdwick.websocket.request import Request
from tests.websocket.exchange import http_scope, post

if TYPE_CHECKING:
    from decimal import Decimal

Handler = Callable[..., object]
F = TypeVar("F", bound=Handler)
Headers = Sequence[tuple[str, str]]


class WebSocket:
    """Stands for the class of WebSockets."""


class Color(Enum):
    RED = "red"


class Note(msgspec.Struct):
    text: str


class Robot(guardpost.Identity):
    """An identity of an application's own."""


class Database:
    """A service."""


class Cache:
    """Another one, which needs the first."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Broken:
    """A service that cannot be made."""

    def __init__(self) -> None:
        raise LookupError


class Version(FromHeader[int]):
    name = "x-api-version"


class Form(BoundValue[str]):
    """Says no place."""


class Custom:
    """Made by an own type of a route's parameters."""


def request_for(query: str = "", headers: Headers = (), **route_values: object) -> Request:
    request = Request(http_scope(query=query, headers=headers))
    request.route_values = route_values
    return request


async def arguments(
    handler: Handler,
    request: Request | None = None,
    *,
    names: Sequence[str] = (),
    services: rodi.Container | None = None,
    websocket_type: type | None = None,
) -> dict[str, object]:
    binder = bind(
        handler,
        pattern_names=names,
        websocket_type=websocket_type,
        services=services or rodi.Container(),
    )
    return await binder(request or request_for())


def refusal(
    handler: Handler, *, names: Sequence[str] = (), websocket_type: type | None = None
) -> str:
    with pytest.raises(BindingError) as caught:
        bind(
            handler,
            pattern_names=names,
            websocket_type=websocket_type,
            services=rodi.Container(),
        )
    assert isinstance(caught.value, TypeError)
    assert caught.value.handler is handler
    return str(caught.value)


def value_of(argument: object) -> object:
    assert isinstance(argument, BoundValue)
    return cast("BoundValue[object]", argument).value


def unannotated(handler: F) -> F:
    handler.__annotations__.clear()
    return handler


def container(**lifetimes: type) -> rodi.Container:
    services: Any = rodi.Container()
    for lifetime, service in lifetimes.items():
        getattr(services, f"add_{lifetime}")(service)
    return cast(rodi.Container, services)


# ------------------------------------------------------------------ websocket and request


async def test_the_websocket_comes_by_annotation_or_by_name() -> None:
    async def by_type(socket: WebSocket) -> None: ...
    async def by_type_or_none(socket: WebSocket | None) -> None: ...
    @unannotated
    async def by_name(websocket: object) -> None: ...
    @unannotated
    async def by_short_name(ws: object) -> None: ...

    websocket = WebSocket()
    for handler in (by_type, by_type_or_none, by_name, by_short_name):
        request = request_for()
        request.websocket = websocket  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]

        bound = await arguments(handler, request, websocket_type=WebSocket)

        assert list(bound.values()) == [websocket]


def test_an_http_handler_has_no_websocket() -> None:
    async def by_type(socket: WebSocket) -> None: ...
    @unannotated
    async def by_name(ws: object) -> None: ...

    assert "an HTTP handler has no WebSocket; register it with app.ws(path)" in refusal(by_type)
    assert "app.ws(path)" in refusal(by_name)


async def test_the_request_comes_by_annotation_or_by_name() -> None:
    async def by_type(http: Request) -> None: ...
    @unannotated
    async def by_name(request: object) -> None: ...

    request = request_for()

    assert await arguments(by_type, request) == {"http": request}
    assert await arguments(by_name, request) == {"request": request}


async def test_a_value_of_the_path_goes_before_a_name_that_is_not_annotated() -> None:
    @unannotated
    async def handler(request: object) -> None: ...

    bound = await arguments(handler, request_for(request="1"), names=["request"])

    assert bound == {"request": "1"}


# ------------------------------------------------------------------ values of the path


@pytest.mark.parametrize(
    ("annotation", "sent", "value"),
    [
        (str, "5", "5"),
        (str, 5, "5"),
        (int, "5", 5),
        (int, 5, 5),
        (float, "1.5", 1.5),
        (bool, "true", True),
        (UUID, str(UUID(int=1)), UUID(int=1)),
        (UUID, UUID(int=1), UUID(int=1)),
        (dt.date, "2026-01-02", dt.date(2026, 1, 2)),
        (dt.datetime, "2026-01-02T03:04:05", dt.datetime(2026, 1, 2, 3, 4, 5)),
        (Color, "red", Color.RED),
        (Literal[1, 2], "2", 2),
        (Optional[int], "2", 2),  # noqa: UP045 - what older code writes
        (Annotated[int, msgspec.Meta(gt=0)], "2", 2),
        (Any, 7, 7),
    ],
)
async def test_a_value_of_the_path_has_the_type_of_the_annotation(
    annotation: object, sent: object, value: object
) -> None:
    async def handler(room: str) -> None: ...

    handler.__annotations__["room"] = annotation

    assert await arguments(handler, request_for(room=sent), names=["room"]) == {"room": value}


async def test_an_object_of_an_own_parameter_type_is_passed_on() -> None:
    async def handler(room: Custom) -> None: ...

    custom = Custom()

    assert await arguments(handler, request_for(room=custom), names=["room"]) == {"room": custom}


async def test_a_value_without_an_annotation_is_passed_as_it_is() -> None:
    @unannotated
    async def handler(room: object) -> None: ...

    assert await arguments(handler, request_for(room="1"), names=["room"]) == {"room": "1"}


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [(int, "x"), (Color, "blue"), (Literal[1], "2"), (Annotated[int, msgspec.Meta(gt=0)], 0)],
)
async def test_a_value_of_the_path_that_does_not_fit_is_404(
    annotation: object, sent: object
) -> None:
    async def handler(room: str) -> None: ...

    handler.__annotations__["room"] = annotation

    with pytest.raises(HTTPError, match="404 Not Found: the value 'room' in the path"):
        await arguments(handler, request_for(room=sent), names=["room"])


async def test_a_value_that_no_argument_takes_is_fine() -> None:
    async def handler() -> None: ...

    assert await arguments(handler, request_for(room="1"), names=["room"]) == {}


def test_an_annotation_that_nothing_converts_to_is_refused() -> None:
    async def handler(room: list[Custom]) -> None: ...

    assert "Custom is unknown to msgspec" in refusal(handler, names=["room"])


# ------------------------------------------------------------------ query, headers, cookies


async def test_query_parameters_headers_and_cookies_are_converted() -> None:
    async def handler(
        page: FromQuery[int],
        tag: FromQuery[list[str]],
        x_key: FromHeader[UUID],
        session: FromCookie[str],
        version: Version,
        text: FromQuery[Any],
    ) -> None: ...

    handler.__annotations__["text"] = FromQuery

    request = request_for(
        "page=2&tag=a&tag=b&text=5",
        [("X-Key", str(UUID(int=1))), ("Cookie", "session=abc"), ("X-Api-Version", "3")],
    )

    bound = await arguments(handler, request)

    assert {name: value_of(argument) for name, argument in bound.items()} == {
        "page": 2,
        "tag": ["a", "b"],
        "x_key": UUID(int=1),
        "session": "abc",
        "version": 3,
        "text": "5",
    }
    assert isinstance(bound["version"], Version)


async def test_what_is_missing_is_none_where_none_will_do() -> None:
    async def handler(a: FromQuery[int | None], b: FromQuery[int] | None) -> None: ...

    bound = await arguments(handler)

    assert value_of(bound["a"]) is None
    assert bound["b"] is None


async def test_what_is_missing_keeps_its_default() -> None:
    async def handler(
        a: FromQuery[int] = FromQuery(1),  # noqa: B008
        b: FromCookie[str] | None = None,
        c: FromQuery[list[int]] = FromQuery([1]),  # noqa: B008
        d: FromJSON[Note] | None = None,
    ) -> None: ...

    assert await arguments(handler, post()) == {}


async def test_a_list_that_is_missing_is_empty() -> None:
    async def handler(tag: FromQuery[set[str]]) -> None: ...

    bound = await arguments(handler)

    assert value_of(bound["tag"]) == set()


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (FromQuery[int], "query parameter 'room_id'"),
        (FromHeader[int], "header 'room-id'"),
        (FromCookie[int], "cookie 'room_id'"),
    ],
)
async def test_what_is_missing_or_does_not_fit_is_400(source: object, what: str) -> None:
    async def handler(room_id: FromQuery[int]) -> None: ...

    handler.__annotations__["room_id"] = source
    wrong = request_for("room_id=x", [("room-id", "x"), ("cookie", "room_id=x")])

    with pytest.raises(HTTPError, match=f"400 Bad Request: the {what} is missing"):
        await arguments(handler)
    with pytest.raises(
        HTTPError, match=f"400 Bad Request: the {what} does not fit: Expected `int`"
    ):
        await arguments(handler, wrong)


@pytest.mark.parametrize(
    "source", [FromQuery[Note], FromCookie[Custom], FromHeader[dict[str, int]]]
)
def test_a_text_is_never_an_object(source: object) -> None:
    async def handler(note: FromQuery[Note]) -> None: ...

    handler.__annotations__["note"] = source

    assert "cannot bind 'note'" in refusal(handler)


def test_a_bound_value_has_to_say_its_place() -> None:
    async def handler(form: Form) -> None: ...

    assert "Form says no place; derive it from FromQuery" in refusal(handler)


# ------------------------------------------------------------------ bodies


async def test_a_body_is_decoded() -> None:
    async def json(note: FromJSON[Note]) -> None: ...
    async def anything(data: FromJSON[dict[str, object]]) -> None: ...
    async def bare(data: FromJSON[Any]) -> None: ...
    async def text(data: FromText) -> None: ...
    async def raw(data: FromBytes) -> None: ...

    bare.__annotations__["data"] = FromJSON
    values = [
        value_of(next(iter((await arguments(handler, post(b'{"text":"hi"}'))).values())))
        for handler in (json, anything, bare, text, raw)
    ]

    assert values == [Note("hi"), {"text": "hi"}, {"text": "hi"}, '{"text":"hi"}', b'{"text":"hi"}']


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/x+json"])
async def test_every_kind_of_json_is_json(content_type: str) -> None:
    async def handler(note: FromJSON[list[int]]) -> None: ...

    bound = await arguments(handler, post(b"[1]", content_type=content_type))

    assert value_of(bound["note"]) == [1]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_what_does_not_say_that_it_is_json_is_415(content_type: str) -> None:
    async def handler(note: FromJSON[Note]) -> None: ...

    with pytest.raises(HTTPError, match=r"415 .* say 'content-type: application/json'"):
        await arguments(handler, post(b'{"text":"hi"}', content_type=content_type))


async def test_a_body_that_does_not_decode_is_400() -> None:
    async def handler(note: FromJSON[Note]) -> None: ...

    for body in (b'{"text":1}', b""):
        with pytest.raises(HTTPError, match="400 Bad Request: the body does not decode"):
            await arguments(handler, post(body))


async def test_a_body_that_is_too_large_is_413() -> None:
    async def handler(data: FromBytes) -> None: ...

    with pytest.raises(HTTPError, match="413"):
        await arguments(handler, post(b"12345", body_bytes=4))


@pytest.mark.parametrize("source", [FromJSON[Note], FromText, FromBytes])
def test_a_handshake_has_no_body(source: object) -> None:
    async def handler(note: FromJSON[Note]) -> None: ...

    handler.__annotations__["note"] = source

    assert "the handshake of a WebSocket has no body" in refusal(handler, websocket_type=WebSocket)


def test_a_body_of_a_type_that_nothing_decodes_to_is_refused() -> None:
    async def handler(custom: FromJSON[Custom]) -> None: ...

    assert "Custom is unknown to msgspec; use a struct or a dataclass" in refusal(handler)


# ------------------------------------------------------------------ identity


async def test_the_identity_comes_by_annotation_or_by_name() -> None:
    async def ours(who: Identity) -> None: ...
    async def theirs(who: guardpost.Identity) -> None: ...
    async def user(who: guardpost.User | None) -> None: ...
    @unannotated
    async def named(identity: object) -> None: ...

    identity = Identity({"sub": "1"}, "JWT")
    for handler in (ours, theirs, user, named):
        request = request_for()
        request.identity = identity

        assert list((await arguments(handler, request)).values()) == [identity]


async def test_without_an_identity_it_is_401() -> None:
    async def handler(identity: Identity) -> None: ...

    for identity in (None, Identity({"sub": "1"})):
        request = request_for()
        request.identity = identity
        with pytest.raises(HTTPError) as caught:
            await arguments(handler, request)

        assert caught.value.status == 401
        assert caught.value.headers["www-authenticate"] == "Bearer"


async def test_an_identity_that_need_not_be_there_is_none_or_the_default() -> None:
    async def optional(identity: Identity | None) -> None: ...
    async def default(identity: Identity | None = None) -> None: ...

    assert await arguments(optional) == {"identity": None}
    assert await arguments(default) == {}


async def test_an_identity_of_another_class_is_403() -> None:
    async def handler(robot: Robot) -> None: ...

    request = request_for()
    request.identity = Identity({}, "JWT")

    with pytest.raises(HTTPError, match="403"):
        await arguments(handler, request)


# ------------------------------------------------------------------ services


async def test_services_come_from_the_container_in_one_scope() -> None:
    async def handler(cache: Cache, database: Database, again: Database | None) -> None: ...

    services = container(scoped=Database, transient=Cache)

    first = await arguments(handler, services=services)
    second = await arguments(handler, services=services)

    cache = first["cache"]
    assert isinstance(cache, Cache)
    assert cache.database is first["database"] is first["again"]
    assert second["database"] is not first["database"]


async def test_no_service_is_made_for_a_request_that_is_refused() -> None:
    async def handler(broken: Broken, identity: Identity) -> None: ...

    with pytest.raises(HTTPError, match="401"):
        await arguments(handler, services=container(transient=Broken))


# ------------------------------------------------------------------ the rest


async def test_what_has_a_default_keeps_it() -> None:
    async def handler(limit: int = 10, *, database: Database | None = None) -> None: ...

    assert await arguments(handler) == {}


def test_what_cannot_be_bound_says_what_would_work() -> None:
    async def handler(room: str) -> None: ...

    message = refusal(handler, names=["room_id", "user"])

    assert "cannot bind 'room' of tests.websocket.test_binding." in message
    assert "the path has no value of that name (it has: room_id, user)" in message
    assert "FromQuery, FromHeader, FromCookie or FromJSON" in message
    assert "register str as a service before this handler, or give it a default" in message
    assert "FromJSON" not in refusal(handler, websocket_type=WebSocket)


def test_an_annotation_that_does_not_resolve_is_named() -> None:
    async def handler(price: Decimal) -> None: ...

    message = refusal(handler, names=["price"])

    assert "cannot bind 'price'" in message
    assert "its annotation 'Decimal' does not resolve" in message
    assert "outside of TYPE_CHECKING" in message


async def test_what_is_returned_need_not_resolve() -> None:
    async def handler(room: str) -> Decimal:
        raise NotImplementedError

    assert await arguments(handler, request_for(room="1"), names=["room"]) == {"room": "1"}


def test_arguments_need_names() -> None:
    async def positional(room: str, /) -> None: ...
    async def rest(*room: str) -> None: ...
    async def keywords(**room: str) -> None: ...

    assert "remove the '/'" in refusal(positional, names=["room"])
    assert "functools.wraps" in refusal(rest, names=["room"])
    assert "functools.wraps" in refusal(keywords, names=["room"])


async def test_decorated_bound_and_callable_handlers_are_understood() -> None:
    def decorator(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(function)
        async def wrapper(*args: object, **kwargs: object) -> None:
            await function(*args, **kwargs)

        return wrapper

    @decorator
    async def decorated(room: int) -> None: ...

    class Rooms:
        async def method(self, room: int) -> None: ...

        async def __call__(self, room: int) -> None: ...

    async def with_more(more: str, room: int) -> None: ...

    handlers: list[Handler] = [
        decorated,
        Rooms().method,
        Rooms(),
        functools.partial(with_more, "x"),
    ]
    for handler in handlers:
        assert await arguments(handler, request_for(room="1"), names=["room"]) == {"room": 1}


def test_a_bound_value_shows_no_secrets() -> None:
    assert repr(FromHeader("secret")) == "<FromHeader>"
