"""The WebSocket that a handler gets: a thin face over its connection's actor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, Never, ParamSpec, TypeVar, cast, overload

from herdwick.actors import (
    Close,
    Connection,
    Data,
    Membership,
    Params,
    Phase,
    Position,
    RawHeaders,
    Room,
    Send,
    check_close_code,
)
from herdwick.protocol import SUBPROTOCOL
from herdwick.runtime import Ref, checkpoint

from .codec import decode_json, encode_json
from .ends import is_end
from .errors import (
    ConcurrentReceive,
    InvalidMessage,
    InvalidWebSocketStateError,
    UnexpectedMessage,
    WebSocketDisconnectError,
)
from .headers import encode_field
from .identity import Identity
from .live import Live
from .rooms import Stay
from .state import MessageMode, WebSocketState
from .wires import PlainWire

if TYPE_CHECKING:
    from .asgi_types import Scope
    from .headers import Headers
    from .request import Query, Request
    from .sessions import Session

P = ParamSpec("P")
Q = TypeVar("Q")
T = TypeVar("T")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

# As in the actor: an enum is dear to look into before Python 3.12.
_HANDSHAKE: Final = Phase.HANDSHAKE
_TEXT: Final = MessageMode.TEXT

_STATES = {
    Phase.HANDSHAKE: WebSocketState.CONNECTING,
    Phase.OPEN: WebSocketState.CONNECTED,
    Phase.OVER: WebSocketState.DISCONNECTED,
}


class WebSocket:
    """One client's connection, as its handler sees it.

    Whatever waits here can be cancelled, by a timeout too: no message is lost. `accept` and
    `send_*` take effect before their first suspension.
    """

    __slots__ = (
        "__weakref__",
        "_session",
        "connection",
        "request",
    )

    def __init__(self, request: Request, connection: Connection, session: Session) -> None:
        self.request = request
        """The handshake: the HTTP request that asked for the connection."""
        self.connection = connection
        """Its actor."""
        self._session = session

    def __repr__(self) -> str:
        return f"<WebSocket {self.request.path!r} {self.state.name}>"

    # ------------------------------------------------------------------ what it is

    @property
    def state(self) -> WebSocketState:
        """CONNECTED from `accept` on; DISCONNECTED once either side has ended it."""
        return _STATES[self.connection.phase]

    @property
    def closed(self) -> bool:
        """Whether it is over; true as soon as the client is gone, even if nobody receives."""
        return self.connection.phase is Phase.OVER

    @property
    def id(self) -> str:
        """The connection's own name: the last part of its actor's path."""
        return self.connection.name

    @property
    def ref(self) -> Ref[Send | Close]:
        """The address of the connection's actor, for other actors to send to."""
        return self.connection.ref()

    @property
    def scope(self) -> Scope:
        """The ASGI scope of the handshake."""
        return self.request.scope

    @property
    def route_values(self) -> Mapping[str, Any]:
        """The values in the path, by name, decoded and converted."""
        return self.request.route_values

    @property
    def headers(self) -> Headers:
        """The header fields of the handshake."""
        return self.request.headers

    @property
    def query(self) -> Query:
        """The parameters of the URL."""
        return self.request.query

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the handshake."""
        return self.request.cookies

    @property
    def path(self) -> str:
        """The path, decoded."""
        return self.request.path

    @property
    def client_ip(self) -> str:
        """The client's address, as the server tells it."""
        return self.request.client_ip

    @property
    def identity(self) -> Identity | None:
        """Who the client is; None without authentication."""
        return self.request.identity

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, the one it likes best first."""
        return self.request.subprotocols

    # ------------------------------------------------------------------ the handshake

    async def accept(
        self,
        headers: RawHeaders | Mapping[str, str] | None = None,
        subprotocol: str | None = None,
    ) -> None:
        """Accept the connection; the state is CONNECTED before the first suspension.

        Raises:
            InvalidWebSocketStateError: It was accepted before.
            ValueError: The client did not offer this subprotocol, or it is a token.
            WebSocketDisconnectError: The client has left already.
        """
        if self.connection.phase is Phase.OPEN:
            raise self._wrong_state(WebSocketState.CONNECTING, "it was accepted already")
        if subprotocol is not None:
            self._check_offered(subprotocol)
        fields = _raw(headers)
        in_time = self.connection.phase is Phase.HANDSHAKE
        if in_time:
            self.connection.accept(subprotocol, fields)
        await checkpoint()
        if not in_time:
            raise self._disconnected()

    async def reject(
        self,
        status: int = 403,
        headers: RawHeaders | Mapping[str, str] | None = None,
        body: str | bytes = b"",
    ) -> None:
        """Refuse the handshake with an HTTP response.

        Servers that lack the ASGI extension for it answer 403 without a body.

        Raises:
            InvalidWebSocketStateError: It was accepted before.
        """
        if self.connection.phase is Phase.OPEN:
            raise self._wrong_state(WebSocketState.CONNECTING, "use close() after accept()")
        if not 300 <= status <= 599:
            raise ValueError(f"a handshake is refused with a status from 300 to 599, not {status}")
        content = body.encode() if isinstance(body, str) else body
        self.connection.reject(status, _raw(headers), content)
        await checkpoint()

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection after what was sent; before `accept`, refuse it with 403.

        A second close, or one after the client has left, does nothing. What the client has
        sent and nobody has read is dropped.

        Raises:
            IllegalCloseCode: The code must not be sent (a `ValueError`; RFC 6455 section 7.4).
        """
        check_close_code(code)
        self.connection.close(code, reason or "")
        await checkpoint()

    # ------------------------------------------------------------------ receiving

    async def receive(self) -> dict[str, Any]:
        """Receive the next message in its ASGI form, with exactly one of `text` and `bytes`.

        Raises:
            WebSocketDisconnectError: The connection is over, and every message was read.
        """
        data = self._arrived(await self._receiving())
        kind = "text" if isinstance(data, str) else "bytes"
        return {"type": "websocket.receive", kind: data}

    async def receive_text(self) -> str:
        """Receive the next message, which must be text.

        Raises:
            UnexpectedMessage: It is binary; the connection survives.
            WebSocketDisconnectError: The connection is over, and every message was read.
        """
        data = self._arrived(await self._receiving())
        if not isinstance(data, str):
            raise UnexpectedMessage("text", "binary")
        return data

    async def receive_bytes(self) -> bytes:
        """Receive the next message, which must be binary.

        Raises:
            UnexpectedMessage: It is text; the connection survives.
            WebSocketDisconnectError: The connection is over, and every message was read.
        """
        data = self._arrived(await self._receiving())
        if not isinstance(data, bytes):
            raise UnexpectedMessage("binary", "text")
        return data

    async def receive_json(
        self,
        mode: MessageMode = MessageMode.TEXT,
        loads: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Receive the next message and decode it as JSON.

        `loads` takes the place of msgspec's decoder; it gets `str` for text, else `bytes`.

        Raises:
            InvalidMessage: It is no JSON (a `ValueError`); the connection survives.
            UnexpectedMessage: It is of the other mode; the connection survives.
            WebSocketDisconnectError: The connection is over, and every message was read.
        """
        text = mode is _TEXT
        data = await (self.receive_text() if text else self.receive_bytes())
        if loads is None:
            return decode_json(data)
        try:
            return loads(data)
        except ValueError as error:
            raise InvalidMessage(str(error)) from error

    # mypy joins several types to their common base where the signature does not spell them out.
    @overload
    async def receive_as(self, a: type[T], /) -> T: ...
    @overload
    async def receive_as(self, a: type[T], b: type[T2], /) -> T | T2: ...
    @overload
    async def receive_as(self, a: type[T], b: type[T2], c: type[T3], /) -> T | T2 | T3: ...
    @overload
    async def receive_as(
        self, a: type[T], b: type[T2], c: type[T3], d: type[T4], /
    ) -> T | T2 | T3 | T4: ...
    @overload
    async def receive_as(self, *types: type[T]) -> T: ...
    async def receive_as(self, *types: type[Any]) -> Any:
        """Receive the next message, decoded to one of these types by the route's codec.

        Among several structs the field `type` decides. On a route with `on_invalid="reply"`, a
        message that does not decode is answered with an error, and the next one is awaited; where
        there are too many of these (`Limits.invalid_messages`) it is closed with 1007.

        Raises:
            InvalidMessage: It does not decode; the text names the path to the culprit.
            WebSocketDisconnectError: The connection is over, and every message was read.
        """
        while True:
            data = self._arrived(await self._receiving())
            try:
                return self._session.codec.decode(data, types)
            except InvalidMessage as error:
                if not self._session.answers_invalid:
                    raise
                if not self._session.forgives(self.connection):
                    raise self._disconnected() from None
                await self._send(self._session.codec.encode(_error_reply(error)))

    async def wait_closed(self) -> None:
        """Wait until the connection is over, discarding what comes in; this receives too."""
        while await self._receiving() is not None:
            pass

    def __aiter__(self) -> AsyncIterator[Data]:
        """Iterate over the messages; ends without an error when the connection does."""
        return _UntilOver(self._next)

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over text messages; ends without an error when the connection does."""
        return _UntilOver(self.receive_text)

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over binary messages; ends without an error when the connection does."""
        return _UntilOver(self.receive_bytes)

    def iter_json(self) -> AsyncIterator[Any]:
        """Iterate over JSON messages; ends without an error when the connection does."""
        return _UntilOver(self.receive_json)

    @overload
    def iter_as(self, a: type[T], /) -> AsyncIterator[T]: ...
    @overload
    def iter_as(self, a: type[T], b: type[T2], /) -> AsyncIterator[T | T2]: ...
    @overload
    def iter_as(self, a: type[T], b: type[T2], c: type[T3], /) -> AsyncIterator[T | T2 | T3]: ...
    @overload
    def iter_as(
        self, a: type[T], b: type[T2], c: type[T3], d: type[T4], /
    ) -> AsyncIterator[T | T2 | T3 | T4]: ...
    @overload
    def iter_as(self, *types: type[T]) -> AsyncIterator[T]: ...
    def iter_as(self, *types: type[Any]) -> AsyncIterator[Any]:
        """Iterate over messages of these types; ends without an error when the connection does."""
        return _UntilOver(partial(self.receive_as, *types))

    # ------------------------------------------------------------------ sending

    async def send_text(self, data: str) -> None:
        """Send a text message; waits while the client is too far behind, up to a limit.

        Raises:
            WebSocketDisconnectError: The connection is over, or the client reads too slowly.
        """
        if not isinstance(data, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"send_text takes str, not {type(data).__name__}")
        await self._send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message; waits while the client is too far behind, up to a limit.

        Raises:
            WebSocketDisconnectError: The connection is over, or the client reads too slowly.
        """
        if not isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"send_bytes takes bytes, not {type(data).__name__}")
        await self._send(data)

    async def send_json(
        self,
        data: object,
        mode: MessageMode = MessageMode.TEXT,
        dumps: Callable[[Any], str | bytes] | None = None,
    ) -> None:
        """Encode data as JSON and send it; structs, dataclasses, dates and the like included.

        `dumps` takes the place of msgspec's encoder; it may return `str` or `bytes`.

        Raises:
            WebSocketDisconnectError: The connection is over, or the client reads too slowly.
        """
        encoded = encode_json(data) if dumps is None else dumps(data)
        if mode is _TEXT:
            await self._send(encoded if isinstance(encoded, str) else encoded.decode())
        else:
            await self._send(encoded.encode() if isinstance(encoded, str) else encoded)

    async def send_message(self, message: object) -> None:
        """Encode a message by the route's codec and send it: the other half of `receive_as`.

        Raises:
            WebSocketDisconnectError: The connection is over, or the client reads too slowly.
        """
        await self._send(self._session.codec.encode(message))

    # ------------------------------------------------------------------ rooms and topics

    @overload
    def join(
        self,
        topic: str,
        /,
        *,
        since: Position | None = None,
        params: Mapping[str, object] | None = None,
    ) -> AbstractAsyncContextManager[Membership[Never]]: ...
    @overload
    def join(
        self, room: Callable[P, Room[Q]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AbstractAsyncContextManager[Membership[Q]]: ...
    def join(
        self, what: str | Callable[..., Room[Any]], /, *args: object, **kwargs: Any
    ) -> AbstractAsyncContextManager[Membership[Any]]:
        """Be a member of a topic, or of a room, for the time of an `async with` block.

        `websocket.join("chat:42")` joins a topic by its name. `websocket.join(Game, game_id)` joins
        the room that these arguments name; they are checked as those of its constructor. What is
        broadcast goes out to the client by itself, encoded by the route's codec. The room's
        `on_join` gets `params`, which are the query of the handshake where nothing else is given.

        Everything that is published after the join is sent, and nothing before it twice; with
        `since` what was missed from there on comes first. The membership ends with the block, or
        with the connection.

        Raises:
            JoinRefused: The room refuses it; unhandled it closes with 4403, or with 1013 where
                another try is worth it.
            InvalidWebSocketStateError: The connection is not accepted yet.
            WebSocketDisconnectError: It is over.
            RoomMisdeclared: The class was not declared with `app.room`.
            TypeError: The arguments fit neither a topic nor the room's constructor.
        """
        if isinstance(what, str):
            name, options = what, kwargs
            if args or not kwargs.keys() <= {"since", "params"}:
                raise TypeError(
                    f"with the name of a topic, join takes `since` and `params` only, "
                    f"not {[*args, *kwargs]}"
                )
            since = options.get("since")
            if not isinstance(since, Position | None):
                raise TypeError(
                    f"since takes a Position, not {type(since).__name__}; `Position.parse` reads "
                    f"what a client has sent"
                )
        else:
            name, options = self._session.rooms.name_of(what, args, kwargs), {}
        self._check_open()
        params = cast("Mapping[str, object] | None", options.get("params"))
        joining = partial(
            self._session.rooms.joining,
            name,
            self.connection,
            PlainWire(self._session.codec),
            self.identity,
            self._session.limits.topics,
        )
        known = dict(self.query) if params is None else params
        return Stay(joining, Params(known), options.get("since"))

    async def serve_rooms(self, *only: str | type[Room[Any]]) -> None:
        """Speak herdwick.v1 with the client until the connection is over: it joins by itself.

        What it can join is what is declared: rooms, and topics with an `authorize`. `only` names
        some of them, by pattern or class, and leaves out the others. Where nobody has accepted
        the handshake, this does, or refuses it with 400 if the client does not offer herdwick.v1.

        Raises:
            ValueError: `only` names something that is not declared.
        """
        patterns = self._session.rooms.patterns_of(only)
        if self.connection.phase is Phase.HANDSHAKE:
            if SUBPROTOCOL not in self.subprotocols:
                await self.reject(400, body=f"offer the subprotocol {SUBPROTOCOL}")
                return
            await self.accept(subprotocol=SUBPROTOCOL)
        await Live(self, self._session, only=patterns).run()

    async def refresh(self, token: str) -> Identity:
        """Let the client show a new token on the open connection, before the old one expires.

        It is authenticated as that of the handshake was, and meets the same rule. From here on it
        is the connection's `identity`, and its `exp` the moment at which it is closed with 4401.

        Raises:
            HTTPError: 401 or 403: it is not valid, not enough, or somebody else's; nothing changes.
        """
        return await self._session.refresh(token)

    # ------------------------------------------------------------------ background work

    def start_soon(self, function: Callable[..., Awaitable[object]], /, *args: object) -> None:
        """Run a task that ends with the handler; its crash ends the connection with 1011.

        Only that task ends where it lets the disconnect error of this connection through; a
        message that the client should not have sent closes with 1003 or 1007, as in the handler.

        Raises:
            ActorStopped: The handler has ended.
        """

        @wraps(function)
        async def run() -> None:
            try:
                await function(*args)
            except Exception as error:
                if not is_end(error, self.connection):
                    raise

        self.connection.start_soon(run)

    # ------------------------------------------------------------------ inside

    def _receiving(self) -> Awaitable[Data | None]:
        """Receive, in the frame of the caller: one more is 0.2 KiB of each that waits."""
        if self.connection.phase is _HANDSHAKE:
            raise self._wrong_state(WebSocketState.CONNECTED, "call accept() first")
        if self.connection.receiving:
            raise ConcurrentReceive
        return self.connection.receive()

    def _arrived(self, data: Data | None) -> Data:
        if data is None:
            raise self._disconnected()
        return data

    async def _next(self) -> Data:
        return self._arrived(await self._receiving())

    async def _send(self, data: Data) -> None:
        if self.connection.phase is _HANDSHAKE:
            raise self._wrong_state(WebSocketState.CONNECTED, "call accept() first")
        sent = self.connection.send_nowait(data)
        if not sent and not await self.connection.finish_send(sent):
            raise self._disconnected()

    def _check_offered(self, subprotocol: str) -> None:
        prefix = self.request.bearer_prefix
        if subprotocol.startswith(prefix):
            raise ValueError(
                f"a subprotocol that begins with {prefix!r} is a token, which is not sent back; "
                "accept another one, or none"
            )
        offered = self.subprotocols
        if subprotocol not in offered:
            # Errors end up in logs, where no token may stand.
            others = [each for each in offered if not each.startswith(prefix)]
            raise ValueError(
                f"the client did not offer the subprotocol {subprotocol!r}, "
                f"but {others}; accept one of these, or none"
            )

    def _check_open(self) -> None:
        if self.connection.phase is Phase.HANDSHAKE:
            raise self._wrong_state(WebSocketState.CONNECTED, "call accept() first")
        if self.connection.phase is Phase.OVER:
            raise self._disconnected()

    def _wrong_state(self, expected: WebSocketState, hint: str) -> InvalidWebSocketStateError:
        return InvalidWebSocketStateError(
            party="server", current_state=self.state, expected_state=expected, hint=hint
        )

    def _disconnected(self) -> WebSocketDisconnectError:
        ending = self.connection.ending
        assert ending is not None
        return WebSocketDisconnectError(ending.code, ending.reason)


class _UntilOver(AsyncIterator[T]):
    """What is received until the connection is over; no generator, which trio wants closed."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Callable[[], Awaitable[T]]) -> None:
        self._receive = receive

    async def __anext__(self) -> T:
        try:
            return await self._receive()
        except WebSocketDisconnectError:
            raise StopAsyncIteration from None


def _error_reply(error: InvalidMessage) -> dict[str, str]:
    return {"type": "error", "error": "invalid_message", "detail": error.detail}


def _raw(headers: RawHeaders | Mapping[str, str] | None) -> RawHeaders:
    """Give header fields as they travel, and refuse what would break out of its line."""
    if headers is None:
        return ()
    fields: Iterable[tuple[bytes, bytes]] = (
        ((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
        if isinstance(headers, Mapping)
        else headers
    )
    return [encode_field(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
