"""One HTTP request and its answer, as ASGI events (HTTP specification 2.4)."""

import logging
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import anyio
import h11

from herdwick.actors import RawHeaders
from herdwick.runtime import checkpoint
from herdwick.websocket import ASGIApp, Scope

from .contain import contained
from .handshake import build_rejection, reason_phrase
from .head import Head

if TYPE_CHECKING:
    from .http import HTTPConnection

logger = logging.getLogger("herdwick.server")

PIPELINED_BYTES: Final = 64 * 1024
"""The most that is taken of further requests while one is answered."""

_NO_BODY: Final = frozenset({204, 304})


class ClientGone(OSError):
    """The client left before the answer was complete, or reads it too slowly."""

    def __init__(self) -> None:
        super().__init__("the client is gone; the rest of the answer is dropped")


class UnexpectedEvent(RuntimeError):
    """The application sent an event that does not fit at this moment."""

    def __init__(self, event: str, expected: str) -> None:
        super().__init__(f"the application sent {event}, and {expected} was expected")


class Exchange:
    """One request and its answer."""

    def __init__(self, connection: "HTTPConnection", head: Head) -> None:
        self._connection = connection
        self._h11 = connection.h11
        self._bodiless = head.method == "HEAD"
        self._start: h11.Response | None = None
        self._started = False  # bytes of the answer are on their way
        self._complete = anyio.Event()
        self._body_read = False
        self._gone = False

    async def run(self, app: ASGIApp, scope: Scope) -> bool:
        """Call the application, and tell whether the connection may take another request."""
        failure = await contained(app, scope, self.receive, self.send)
        if failure is not None and not _is_gone(failure):
            method, path = scope["method"], scope["path"]
            told = {"kind": "request_failed", "method": method, "path": path}
            text = "the application failed on %s %s"
            logger.error(text, method, path, exc_info=failure, extra=told)
        if not self._complete.is_set():
            if self._start is None and failure is None:
                told = {"kind": "no_answer", "path": scope["path"]}
                logger.error("the application gave no answer to %s", scope["path"], extra=told)
            await self._make_good()
            return False
        return await self._finish()

    async def receive(self) -> Scope:
        """Give the next part of the body, and `http.disconnect` after it."""
        if self._body_read or self._gone or self._complete.is_set():
            await self._wait_gone()
            return {"type": "http.disconnect"}
        # Once the answer has begun, it would be lost with the connection.
        awaiting = nullcontext() if self._started else self._connection.awaiting()
        try:
            with awaiting:
                body = await self._next_part()
        except h11.RemoteProtocolError:
            body = None
        if body is None:
            self._gone = True
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": not self._body_read}

    async def send(self, event: Scope) -> None:
        """Take the next part of the answer.

        Raises:
            ClientGone: The client left, or did not read within the send timeout.
            UnexpectedEvent: The event does not fit here.
            h11.LocalProtocolError: The answer breaks HTTP: a header, a wrong content-length.
        """
        if event["type"] == "http.response.start" and self._start is None:
            self._start = self._to_response(event["status"], event.get("headers", ()))
        elif event["type"] == "http.response.body" and self._start is not None:
            if self._gone:
                raise ClientGone
            if not self._complete.is_set():
                await self._send_body(event.get("body", b""), event.get("more_body", False))
        else:
            expected = "http.response." + ("start" if self._start is None else "body")
            raise UnexpectedEvent(event["type"], expected)

    # Reading.

    async def _next_part(self) -> bytes | None:
        """Give the next bytes of the body, b"" at its end, None where the peer is gone."""
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                self._body_read = True
                return b""
            if event is not h11.NEED_DATA:
                return None
            if self._h11.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            if not await self._connection.feed():
                return None

    async def _wait_gone(self) -> None:
        """Wait until the client leaves or the answer is complete."""
        taken = 0
        while not (self._gone or self._complete.is_set()):
            if taken > PIPELINED_BYTES:
                await self._complete.wait()
                return
            taken += (size := await self._connection.feed())
            self._gone = not size
        await checkpoint()

    # Writing.

    def _to_response(self, status: int, headers: RawHeaders) -> h11.Response:
        fields = [(bytes(name), bytes(value)) for name, value in headers]
        if self._connection.stopping:
            fields = [field for field in fields if field[0].lower() != b"connection"]
            fields.append((b"connection", b"close"))
        reason = reason_phrase(status).encode()
        return h11.Response(status_code=status, headers=fields, reason=reason)

    async def _send_body(self, body: bytes, more: bool) -> None:
        assert self._start is not None
        response = None
        if not self._started:
            response = self._start if more else _with_length(self._start, body)
        events: list[h11.Event] = []
        if response is not None:
            events.append(response)
        if body and not (self._bodiless or self._start.status_code in _NO_BODY):
            events.append(h11.Data(data=body))
        if not more:
            events.append(h11.EndOfMessage())
        await self._write(*events)
        if not more:
            self._complete.set()

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join(self._h11.send(event) or b"" for event in events)
        self._started = self._started or not isinstance(events[0], h11.InformationalResponse)
        if data and not await self._connection.write(data):
            self._gone = True
            raise ClientGone

    # The end.

    async def _make_good(self) -> None:
        """Answer 500 where nothing was sent; else drop the connection, so that the cut is seen."""
        if self._started or self._gone:
            self._connection.cut = True
            return
        body = b"" if self._bodiless else b"Internal Server Error\n"
        self._connection.lingering = True
        await self._connection.write(
            build_rejection(
                HTTPStatus.INTERNAL_SERVER_ERROR, [(b"content-type", b"text/plain")], body
            )
        )

    async def _finish(self) -> bool:
        """Make ready for the next request; False where the connection has to end."""
        # Of a body that nobody wanted, what is here already is skipped; the rest is not awaited.
        self._connection.lingering = not self._skip_body()
        if self._connection.lingering or self._connection.stopping:
            return False
        if self._h11.our_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    def _skip_body(self) -> bool:
        """Skip the rest of the body, and tell whether it ended."""
        try:
            while not self._body_read:
                event = self._h11.next_event()
                self._body_read = isinstance(event, h11.EndOfMessage)
                if not isinstance(event, h11.Data | h11.EndOfMessage):
                    return False
        except h11.RemoteProtocolError:
            return False
        return True


def _is_gone(failure: BaseException) -> bool:
    """Tell whether the application failed for nothing but that its client is gone."""
    if isinstance(failure, BaseExceptionGroup):
        others = cast("BaseExceptionGroup[BaseException]", failure).split(ClientGone)[1]
        return others is None
    return isinstance(failure, ClientGone)


def _with_length(response: h11.Response, body: bytes) -> h11.Response:
    """Say the length of an answer that is whole, unless it says it itself."""
    names = {name for name, _ in response.headers}
    if names & {b"content-length", b"transfer-encoding"} or response.status_code in _NO_BODY:
        return response
    headers = [*response.headers, (b"content-length", str(len(body)).encode())]
    return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)
