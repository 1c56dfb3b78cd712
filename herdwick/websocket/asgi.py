"""The driver for ASGI servers: a WebSocket scope with `receive` and `send`, as a transport."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, cast

import anyio

from herdwick.actors import Bounds, Connection, Data, RawHeaders, Shared, size_of
from herdwick.runtime import Waiter, Waiters, current_clock

from .asgi_types import ASGIEvent, ASGIReceive, ASGISend, Scope
from .request import Request

LONGEST_PAUSE: Final = 15.0
"""Seconds that reading may pause: servers do not read pongs meanwhile, and give a peer up after 20
(uvicorn's `ws_ping_timeout`)."""


async def drive(
    scope: Scope,
    receive: ASGIReceive,
    send: ASGISend,
    connect: Callable[[Request, ASGITransport], Connection],
    limits: Bounds,
) -> None:
    """Carry one connection from its handshake to its end.

    The server's task reads, a second one writes. It returns when the actor has ended and the
    server has told the end, which follows on what we have sent: a hypercorn worker on trio dies
    of an application that returns before.
    """
    if (await receive())["type"] != "websocket.connect":
        return  # the client has left before it was asked in
    transport = ASGITransport(scope, limits)
    connection = connect(Request(scope), transport)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.write, send, connection)
            with anyio.CancelScope() as reading:
                clock = current_clock()

                def await_end() -> None:
                    reading.deadline = clock() + transport.bounds.close_timeout

                connection.over.then(await_end)
                await _read(receive, connection, transport)
            await connection.over.wait()
            tasks.cancel_scope.cancel()
    finally:
        connection.disconnected(1006, "the server dropped the connection")


async def _read(receive: ASGIReceive, connection: Connection, transport: ASGITransport) -> None:
    try:
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            data = cast(Data, event["bytes"] if text is None else text)
            most = transport.bounds.message_bytes
            if 4 * len(data) > most and size_of(data) > most:  # no character has more than 4 bytes
                connection.end(1009, f"message over {most} bytes")
            connection.deliver(data)
            if transport.paused:
                await transport.readable()
        connection.disconnected(event.get("code") or 1005, event.get("reason") or "")
    except Exception:  # whatever a server raises, the client is gone
        connection.disconnected(1006, "")
    transport.abort()


class ASGITransport:
    """What an ASGI server carries: events in an outbox, written by a task of the driver's.

    Reading pauses by not asking for the next event, on which servers stop to read the socket.
    """

    longest_pause = LONGEST_PAUSE

    def __init__(self, scope: Scope, bounds: Bounds) -> None:
        self.bounds = bounds
        """Those of the application, or of the route."""
        extensions = cast("dict[str, object]", scope.get("extensions") or {})
        self._can_respond = "websocket.http.response" in extensions
        self._events: deque[tuple[ASGIEvent, int]] = deque()
        self._bytes = 0
        self._writer = Waiter()
        self._senders: Waiters | None = None
        """Who waits for the outbox; made for the first of them."""
        self._over = False
        self.paused = False
        """Whether the server is to be asked for no more events."""
        self._reader = Waiter()

    def limit(self, bounds: Bounds) -> None:
        """Go by other limits, such as those of a route."""
        self.bounds = bounds

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake with 101."""
        accept = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers)}
        self._put(accept)

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer with an HTTP response, or with a bare 403 where the server has no other."""
        if self._can_respond:
            start = {"type": "websocket.http.response.start", "status": status}
            length = (b"content-length", str(len(body)).encode())
            fields = [field for field in headers if field[0].lower() != b"content-length"]
            self._put({**start, "headers": [*fields, length]})
            self._put({"type": "websocket.http.response.body", "body": body})
        else:
            self._put({"type": "websocket.close", "code": 1000, "reason": ""})
        self._finish()

    def offer(self, data: Data) -> bool:
        """Append a message, and tell whether the outbox is over its bound."""
        kind = "text" if type(data) is str else "bytes"
        self._put({"type": "websocket.send", kind: data}, size_of(data))
        return self._bytes > self.bounds.outbox_bytes

    def share(self, message: Shared) -> bool:
        """Append a message that others get too."""
        if not self._over:
            # An event for each: whatever stands between us and the server may change it.
            data = message.data
            event = {"type": "websocket.send", "text" if type(data) is str else "bytes": data}
            self._events.append((event, message.size))
            self._bytes += message.size
            self._writer.wake()
        return self._bytes > self.bounds.outbox_bytes

    async def drained(self) -> None:
        """Wait until the outbox is under its bound, or the transport is over."""
        if self._senders is None:
            self._senders = Waiters()
        while self._bytes > self.bounds.outbox_bytes and not self._over:
            await self._senders.wait()

    def close(self, code: int, reason: str = "") -> None:
        """Close after what the outbox holds."""
        self._put({"type": "websocket.close", "code": code, "reason": reason})
        self._finish()

    def abort(self) -> None:
        """Send nothing more; the server drops the connection when the application returns."""
        self._events.clear()
        self._bytes = 0
        self._finish()

    def pause_reading(self) -> None:
        """Ask the server for no more events."""
        self.paused = True

    def resume_reading(self) -> None:
        """Ask for events again."""
        self.paused = False
        self._reader.wake()

    async def readable(self) -> None:
        """Wait while reading pauses, until the transport is over at the latest."""
        while self.paused and not self._over:
            await self._reader.wait()

    async def write(self, send: ASGISend, connection: Connection) -> None:
        """Send what the outbox holds, as it comes; return after the last of it."""
        events = self._events
        try:
            while events or not self._over:
                while events:
                    event, size = events.popleft()
                    self._bytes -= size
                    if self._senders is not None:
                        self._senders.wake_all()
                    await send(event)
                if not self._over:
                    await self._writer.wait()
        except Exception:  # whatever a server raises, the client is gone
            connection.disconnected(1006, "")
        self.abort()

    def _put(self, event: ASGIEvent, size: int = 0) -> None:
        if not self._over:
            self._events.append((event, size))
            self._bytes += size
            self._writer.wake()

    def _finish(self) -> None:
        self._over = True
        self._writer.wake()
        self._reader.wake()
        if self._senders is not None:
            self._senders.wake_all()
