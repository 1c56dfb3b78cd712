"""What a client asks for: an HTTP request, or the handshake of a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import parse_qsl, quote, unquote

import anyio

from herdwick.actors import RawHeaders

from .asgi_types import ASGIEvent, ASGIReceive, Scope
from .codec import decode_json
from .errors import InvalidMessage
from .headers import Headers
from .http import HTTPError
from .identity import Identity
from .limits import MIB

if TYPE_CHECKING:
    from .websocket import WebSocket

T = TypeVar("T")

NO_VALUES: Final[Mapping[str, object]] = MappingProxyType({})

UNKNOWN: Final = "unknown"
"""The address of a peer that has none, as of one at a UNIX socket."""

# What stands unencoded in a path: RFC 3986 section 3.3.
_PATH_CHARACTERS = "/:@!$&'()*+,;=-._~"


class Query(Mapping[str, str]):
    """The parameters of a URL, decoded once; indexing gives the first value of a name.

    What is no UTF-8 becomes the replacement character.
    """

    __slots__ = ("_values",)

    def __init__(self, query_string: bytes = b"") -> None:
        self._values: dict[str, list[str]] = {}
        pairs = parse_qsl(query_string.decode("utf-8", "replace"), keep_blank_values=True)
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Names only: values hold tokens, and a repr ends up in logs.
        return f"Query({', '.join(self._values)})"

    def get_all(self, name: str) -> list[str]:
        """Return every value of this name, in order; an empty list if there is none."""
        return list(self._values.get(name, ()))


class BodyConsumed(RuntimeError):
    """The body was asked for after `stream` had begun to hand it out."""

    def __init__(self) -> None:
        super().__init__("the body of the request was streamed already; read() it instead")


class Request:
    """What a client asks for: an HTTP request, or the handshake of a WebSocket.

    A handshake has no body. Its attributes never change, but for `route_values`, `identity` and
    `websocket`, which are set on the way to the handler.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_body",
        "_cookies",
        "_headers",
        "_query",
        "_raw_path",
        "_receive",
        "_scope",
        "_streaming",
        "bearer_prefix",
        "body_bytes",
        "body_timeout",
        "identity",
        "route_values",
        "websocket",
    )

    def __init__(
        self,
        scope: Scope | None,
        receive: ASGIReceive | None = None,
        *,
        body_bytes: int = MIB,
        body_timeout: float = 30.0,
    ) -> None:
        self._scope: Scope | None = scope
        """None where a derived class makes it when it is asked for."""
        self.body_bytes = body_bytes
        """The size up to which a body is taken; more is answered with 413."""
        self.body_timeout = body_timeout
        """Seconds that all parts of a body together may be waited for; then 408 is the answer."""
        self.route_values: Mapping[str, object] = NO_VALUES
        """The values in the path, by name; empty where the route has none."""
        self.identity: Identity | None = None
        """Whom the request comes from; None unless an authentication handler has said so."""
        self.bearer_prefix = "bearer."
        """How a subprotocol begins that is a token, and so is never accepted; a token source that
        looks for another one says so here."""
        self.websocket: WebSocket | None = None
        """The connection that the handshake leads to; None for an HTTP request."""
        self._receive = receive
        self._body: bytes | None = None
        self._streaming = False
        self._raw_path: str | None = None
        self._headers: Headers | None = None
        self._query: Query | None = None
        self._cookies: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        # Without the query, which may hold a token.
        return f"<Request {self.method} {self.path!r}>"

    def with_token(self, token: str) -> Request:
        """Give the same handshake as if it had come with this token, and no other."""
        headers = [field for field in self.raw_headers if field[0].lower() != b"authorization"]
        headers.append((b"authorization", b"Bearer " + token.encode("latin-1", "replace")))
        scope = {**self.scope, "headers": headers, "subprotocols": [f"{self.bearer_prefix}{token}"]}
        renewed = Request(scope)
        # For policies that look at them.
        renewed.route_values, renewed.websocket = self.route_values, self.websocket
        return renewed

    @property
    def scope(self) -> Scope:
        """The ASGI scope."""
        assert self._scope is not None
        return self._scope

    @property
    def method(self) -> str:
        """The method, in capitals; GET for a handshake."""
        return cast(str, self.scope.get("method", "GET"))

    @property
    def path(self) -> str:
        """The path, decoded once: compare `raw_path` where a `%2F` matters."""
        return cast(str, self.scope["path"])

    @property
    def root_path(self) -> str:
        """The part of the path that the application stands below, "" if it is none."""
        return cast(str, self.scope.get("root_path", ""))

    @property
    def raw_path(self) -> str:
        """The path as it was sent, percent-encoded and without the query.

        Where it does not decode to `path` (something on the way has changed one of the two), it
        is made of `path`: both always mean the same.
        """
        if self._raw_path is None:
            self._raw_path = _raw_path(self.scope)
        return self._raw_path

    @property
    def raw_headers(self) -> RawHeaders:
        """The header fields as they travel, with names in lower case."""
        return cast("RawHeaders", self.scope["headers"])

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            self._headers = Headers(self.raw_headers)
        return self._headers

    @property
    def query_string(self) -> bytes:
        """The part of the URL behind the `?`, percent-encoded."""
        return cast(bytes, self.scope.get("query_string", b""))

    @property
    def query(self) -> Query:
        """The parameters of the URL."""
        if self._query is None:
            self._query = Query(self.query_string)
        return self._query

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies as they were sent, without quotes; the first of several with one name.

        Browsers send the one with the longest path first (RFC 6265 section 5.4).
        """
        if self._cookies is None:
            self._cookies = MappingProxyType(dict(_cookies(self.headers.get_all("cookie"))))
        return self._cookies

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that a handshake offers, the one it likes best first."""
        return list(self.scope.get("subprotocols", ()))

    @property
    def client_ip(self) -> str:
        """The address of the peer, as the server knows it, or "unknown"."""
        client = self.scope.get("client")
        return str(client[0]) if client and client[0] else UNKNOWN

    @property
    def scheme(self) -> str:
        """How the request came: http, https, ws or wss.

        Behind a proxy it is what the server makes of the proxy's headers.
        """
        default = "ws" if self.scope["type"] == "websocket" else "http"
        return cast(str, self.scope.get("scheme", default))

    @property
    def host(self) -> str:
        """The `Host` header, or "": what the client says, so decide nothing by it."""
        return self.headers.get("host", "")

    async def stream(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives; only once, unless it was read before.

        Raises:
            HTTPError: 413, the body is larger than `body_bytes`; 408, it takes longer than
                `body_timeout`; 400, it ends too early.
            BodyConsumed: It was streamed before.
        """
        if self._body is not None:
            yield self._body
            return
        if self._streaming:
            raise BodyConsumed
        self._streaming = True
        self._check_size(self._declared_size())
        size, left, more = 0, self.body_timeout, self._has_body()
        while more:
            since = anyio.current_time()
            piece, more = await self._next_piece(left)
            left -= anyio.current_time() - since  # what the reader does meanwhile is its own time
            size += len(piece)
            self._check_size(size)
            yield piece

    async def read(self) -> bytes:
        """Return the whole body; a second call returns the same.

        A cancelled read loses what had arrived.

        Raises:
            HTTPError: 413, the body is larger than `body_bytes`; 408, it takes longer than
                `body_timeout`; 400, it ends too early.
            BodyConsumed: It was streamed before.
        """
        if self._body is None:
            self._body = b"".join([piece async for piece in self.stream()])
        return self._body

    async def text(self) -> str:
        """Return the whole body as text.

        Raises:
            HTTPError: As for `read`; 400 too where it is not UTF-8.
        """
        try:
            return (await self.read()).decode()
        except UnicodeDecodeError:
            raise HTTPError(HTTPStatus.BAD_REQUEST, "the body is not valid UTF-8") from None

    async def json(self) -> Any:
        """Return what the whole body means as JSON, whatever its content type.

        Raises:
            HTTPError: As for `read`; 400 too where it is not JSON.
        """
        return await self.decode(cast("type[Any]", Any))

    async def decode(self, type: type[T]) -> T:
        """Return the whole body, which is JSON, as a value of this type.

        Raises:
            HTTPError: As for `read`; 400 too where it does not decode, with the path to why.
        """
        body = await self.read()
        try:
            return decode_json(body, type)
        except InvalidMessage as error:
            detail = f"the body does not decode: {error.detail}"
            raise HTTPError(HTTPStatus.BAD_REQUEST, detail) from None

    def _has_body(self) -> bool:
        return self._receive is not None and self.scope["type"] == "http"

    async def _next_piece(self, patience: float) -> tuple[bytes, bool]:
        assert self._receive is not None
        event: ASGIEvent | None = None
        with anyio.move_on_after(patience):
            event = await self._receive()
        if event is None:
            detail = f"the body took longer than {self.body_timeout:g} seconds"
            raise HTTPError(HTTPStatus.REQUEST_TIMEOUT, detail)
        if event["type"] == "http.disconnect":
            raise HTTPError(HTTPStatus.BAD_REQUEST, "the body ends too early")
        return event.get("body", b""), event.get("more_body", False)

    def _declared_size(self) -> int:
        declared = self.headers.get("content-length", "")
        # Longer than any size that a server passes on; int() is slow for hostile lengths.
        return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0

    def _check_size(self, size: int) -> None:
        if size > self.body_bytes:
            raise HTTPError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body is larger than {self.body_bytes} bytes",
            )


def _raw_path(scope: Scope) -> str:
    raw, path = cast("bytes | None", scope.get("raw_path")), cast(str, scope["path"])
    if raw is not None:
        text = raw.partition(b"?")[0].decode("latin-1")
        if unquote(text) == path:
            return text
    return quote(path, safe=_PATH_CHARACTERS)


def _cookies(fields: list[str]) -> Iterator[tuple[str, str]]:
    pairs = [pair.partition("=") for field in fields for pair in field.split(";")]
    # Backwards, so that the first of several with one name is the one that stays.
    for name, _, value in reversed(pairs):
        if name.strip():
            yield name.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value
