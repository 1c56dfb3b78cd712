"""HTTP calls and WebSockets against an application, in memory: no server, no sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

import anyio
import msgspec

from herdwick.actors import Connection, Data, RawHeaders
from herdwick.websocket import (
    Application,
    Headers,
    Request,
    Scope,
    UnexpectedMessage,
    WebSocketDisconnectError,
)

from .transport import Accepted, MemoryTransport, Refused

T = TypeVar("T")


class HandlerStillRuns(TimeoutError):
    """A handler goes on although its connection is over."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(
            f"the handler of {path} still runs {timeout:g} s after its connection has ended; let "
            f"it receive, or ask `websocket.closed`, or register it with cancel_on_disconnect=True"
        )


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """The answer to an HTTP call."""

    status: int
    headers: Headers
    body: bytes

    def text(self) -> str:
        """Give the body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Give the body decoded from JSON."""
        return msgspec.json.decode(self.body)


class Rejection(ClientResponse):
    """The HTTP answer that a handshake was refused with."""


class TestWebSocket:
    """The client's end of a WebSocket; each operation has a timeout of its own."""

    __test__ = False  # it only begins like a test

    def __init__(
        self, path: str, transport: MemoryTransport, connection: Connection, timeout: float
    ) -> None:
        self._path = path
        self._transport = transport
        self._connection = connection
        self._timeout = timeout
        self._left = False

    @property
    def rejection(self) -> Rejection | None:
        """The answer that refused the handshake, or None if it was accepted."""
        answer = self._transport.answer
        if isinstance(answer, Refused):
            return Rejection(answer.status, Headers(answer.headers), answer.body)
        return None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the handler chose."""
        return self._accepted.subprotocol

    @property
    def headers(self) -> Headers:
        """The header fields that the handler accepted with."""
        return Headers(self._accepted.headers)

    @property
    def close_code(self) -> int | None:
        """The code that the application closed with; None as long as it has not."""
        return None if self._transport.ending is None else self._transport.ending[0]

    @property
    def close_reason(self) -> str:
        """The reason that the application closed with."""
        return "" if self._transport.ending is None else self._transport.ending[1]

    async def send_text(self, data: str, *, timeout: float | None = None) -> None:
        """Send a text message; waits while the application does not read."""
        await self._send(data, timeout)

    async def send_bytes(self, data: bytes, *, timeout: float | None = None) -> None:
        """Send a binary message; waits while the application does not read."""
        await self._send(data, timeout)

    async def send_json(self, data: object, *, timeout: float | None = None) -> None:
        """Send data as JSON, in a text message."""
        await self._send(msgspec.json.encode(data).decode(), timeout)

    async def receive(self, *, timeout: float | None = None) -> Data:
        """Receive the next message.

        Raises:
            WebSocketDisconnectError: The application has closed the connection.
            TimeoutError: Nothing came.
        """
        _ = self._accepted
        data = await self._within(self._transport.take(), timeout)
        if data is None:
            assert self._transport.ending is not None
            raise WebSocketDisconnectError(*self._transport.ending)
        return data

    async def receive_text(self, *, timeout: float | None = None) -> str:
        """Receive the next message, which must be text."""
        data = await self.receive(timeout=timeout)
        if not isinstance(data, str):
            raise UnexpectedMessage("text", "binary")
        return data

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Receive the next message, which must be binary."""
        data = await self.receive(timeout=timeout)
        if not isinstance(data, bytes):
            raise UnexpectedMessage("binary", "text")
        return data

    async def receive_json(self, *, timeout: float | None = None) -> Any:
        """Receive the next message and decode it as JSON."""
        return msgspec.json.decode(await self.receive(timeout=timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection from the client's side, and wait for the handler's end.

        Raises:
            HandlerStillRuns: It did not end in time.
        """
        self.leave(code, reason)
        await self.wait_handler()

    def leave(self, code: int = 1006, reason: str = "") -> None:
        """Be gone, without waiting for anybody: by default, as a lost connection is."""
        if not self._left:
            self._left = True
            self._transport.close(code, reason)
            self._connection.disconnected(code, reason)

    async def wait_handler(self) -> None:
        """Wait for the end of the handler.

        Raises:
            HandlerStillRuns: It did not end in time.
        """
        with anyio.move_on_after(self._timeout):
            await self._connection.over.wait()
        if not self._connection.over:
            raise HandlerStillRuns(self._path, self._timeout)

    @property
    def error(self) -> BaseException | None:
        """The error that the handler crashed with, if it did."""
        return self._connection.error

    @property
    def _accepted(self) -> Accepted:
        answer = self._transport.answer
        if isinstance(answer, Refused):
            raise WebSocketDisconnectError(1006, f"the handshake was refused: {answer.status}")
        assert answer is not None
        return answer

    async def _send(self, data: Data, timeout: float | None) -> None:
        _ = self._accepted
        await self._within(self._transport.readable(), timeout)
        if self._transport.ending is not None:
            raise WebSocketDisconnectError(*self._transport.ending)
        self._connection.deliver(data)

    async def _within(self, operation: Awaitable[T], timeout: float | None) -> T:
        with anyio.fail_after(self._timeout if timeout is None else timeout):
            return await operation


class TestClient:
    """Calls an application in memory, on asyncio and on trio.

    Args:
        app: The application; entering the client starts it, leaving it stops it.
        headers: Sent with every call and handshake.
        timeout: Seconds that each operation may take.
        raise_errors: Raise what a WebSocket's handler crashed with when its block is left.
    """

    __test__ = False  # it only begins like a test

    def __init__(
        self,
        app: Application,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        raise_errors: bool = True,
    ) -> None:
        self.app = app
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._raise_errors = raise_errors
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the application."""
        await self._stack.enter_async_context(self.app.running())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the application; open connections are closed with 1012."""
        await self._stack.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def websocket_connect(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> AsyncGenerator[TestWebSocket]:
        """Open a WebSocket; leaving the block closes it and waits for the handler.

        A refused handshake is no error: look at `rejection`.

        Raises:
            BaseException: What the handler crashed with, at the end of the block, in place of
                what that has caused in the block.
            HandlerStillRuns: The handler did not end in time.
        """
        offered = {"sec-websocket-protocol": ", ".join(subprotocols)} if subprotocols else {}
        scope = self._scope("websocket", path, {**(headers or {}), **offered})
        scope["subprotocols"] = list(subprotocols)
        transport = MemoryTransport(self.app.limits.outbox_bytes)
        connection = self.app.connect(Request(scope), transport)
        socket = TestWebSocket(path, transport, connection, self._timeout)
        try:
            with anyio.fail_after(self._timeout):
                await transport.answered.wait()
            yield socket
        finally:
            socket.leave(1000)
            await socket.wait_handler()
            if self._raise_errors and socket.error is not None:
                raise socket.error

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | str = b"",
        json: object = None,
    ) -> ClientResponse:
        """Make an HTTP call; a path may hold a query.

        Raises:
            TimeoutError: No answer came in time.
        """
        body = content.encode() if isinstance(content, str) else content
        fields = dict(headers or {})
        if json is not None:
            body = msgspec.json.encode(json)
            fields.setdefault("content-type", "application/json")
        if body:
            fields["content-length"] = str(len(body))
        call = _Call(body)
        scope = self._scope("http", path, fields)
        scope["method"] = method.upper()
        with anyio.fail_after(self._timeout):
            await self.app(scope, call.receive, call.send)
        return ClientResponse(call.status, Headers(call.headers), bytes(call.body))

    async def get(self, path: str, **options: Any) -> ClientResponse:
        """Make a GET call."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> ClientResponse:
        """Make a POST call."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> ClientResponse:
        """Make a PUT call."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> ClientResponse:
        """Make a PATCH call."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> ClientResponse:
        """Make a DELETE call."""
        return await self.request("DELETE", path, **options)

    def _scope(self, kind: str, path: str, headers: Mapping[str, str]) -> Scope:
        parts = urlsplit(path)
        fields = {"host": "testserver", **self._headers, **headers}
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws" if kind == "websocket" else "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in fields.items()
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            "extensions": {"websocket.http.response": {}},
            "state": {},
        }


class _Call:
    """The client's side of one HTTP call."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.headers: RawHeaders = ()
        self.body = bytearray()
        self._request: bytes | None = body

    async def receive(self) -> dict[str, Any]:
        if self._request is None:
            await anyio.sleep_forever()  # a client that waits for its answer
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.headers = list(event.get("headers", ()))
        else:
            self.body += event.get("body", b"")
