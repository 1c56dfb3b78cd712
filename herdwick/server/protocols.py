"""WebSockets over asyncio's transports: callbacks in, one write a tick out, no task of their own.

`Entrance` stands before an HTTP parser and takes the handshakes out; `WebSocketProtocol` is what
uvicorn's `ws=` takes, for handshakes that come as a later request of a connection. Both end in a
`LoopCarrier`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from herdwick.actors import RawHeaders, Receiver
from herdwick.websocket import Limits, Scope

from .carrier import WRITE_BYTES, Carrier, Nobody, Pace
from .connection import Phase
from .gate import Gate, Plain, Upgrade
from .handshake import Refusal
from .scope import Head, Peers
from .sockets import address_of, tune
from .ticker import LoopTicker
from .visit import Served, examine

logger: Final = logging.getLogger("herdwick.server")

HTTP: TypeAlias = Callable[[], asyncio.Protocol]
"""Makes the protocol that answers other requests."""


class Flusher:
    """Has the outboxes of one loop written, all at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pace = Pace()
        self._loop = loop
        self._waiting: list[LoopCarrier] = []

    def add(self, carrier: LoopCarrier) -> None:
        """Have a carrier's outbox written."""
        if not self._waiting:
            self.pace.begin(self._loop.time())
            self._loop.call_soon(self._hop)
        self._waiting.append(carrier)
        self.pace.more()

    def _hop(self) -> None:
        if self.pace.is_time(self._loop.time()):
            self._flush()
        else:
            self._loop.call_soon(self._hop)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        started = time.monotonic()
        for carrier in waiting:
            try:
                carrier.flush()
            except Exception:
                logger.exception("a bug in one connection's writing; the others go on")
        self.pace.wrote(time.monotonic() - started)


@dataclass(slots=True, eq=False)
class Station:
    """What all connections of one server on one loop share."""

    app: Served
    loop: asyncio.AbstractEventLoop
    state: MutableMapping[str, object] = field(default_factory=dict[str, object])
    root_path: str = ""
    adapt: Callable[[Scope], None] = lambda scope: None
    """Corrects a scope by what trusted proxies say."""
    default_headers: Callable[[], RawHeaders] = tuple
    """What each answer to a handshake has besides its own."""
    open: set[Any] = field(default_factory=set[Any])
    """The protocols that are open, for whoever stops the server."""
    ticker: LoopTicker = field(init=False)
    flusher: Flusher = field(init=False)

    def __post_init__(self) -> None:
        self.ticker = LoopTicker(self.loop)
        self.flusher = Flusher(self.loop)

    @property
    def limits(self) -> Limits:
        """What one peer may use."""
        return self.app.limits


class Entrance(asyncio.Protocol):
    """One TCP connection until its first request is known."""

    def __init__(self, station: Station, http: HTTP) -> None:
        self._station = station
        self._http = http
        self._gate = Gate(station.limits)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the head has its time, however it dribbles."""
        self._transport = cast(asyncio.Transport, transport)
        station = self._station
        station.open.add(self)
        station.ticker.watch(self, station.loop.time() + station.limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        """Collect the head, and hand the connection over to whom it is for."""
        transport = self._transport
        assert transport is not None
        match self._gate.receive(data):
            case Upgrade(head, rest):
                self._leave()
                protocol = WebSocketProtocol(self._station)
                transport.set_protocol(protocol)
                protocol.connection_made(transport)
                protocol.open(head, rest)
            case Plain(data):
                self._leave()
                other = self._http()
                transport.set_protocol(other)
                other.connection_made(transport)
                other.data_received(data)
            case Refusal() as refusal:
                self._leave()
                protocol = WebSocketProtocol(self._station)
                transport.set_protocol(protocol)
                protocol.connection_made(transport)
                protocol.refuse(refusal)
            case None:
                pass

    def eof_received(self) -> None:
        """Have half a request: nobody waits for the rest."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End before there was a request."""
        self._leave()

    def tick(self, now: float) -> None:
        """Drop it: its head took too long."""
        self.shutdown()

    def shutdown(self) -> None:
        """End; uvicorn calls this when it stops."""
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        self._station.open.discard(self)
        self._station.ticker.forget(self)


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket from its handshake on, as a protocol of asyncio's."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._transport: asyncio.Transport | None = None
        self._gate: Gate | None = Gate(station.limits)
        self.carrier: LoopCarrier | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BYTES)
        self._station.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes: of the handshake first, then of the connection."""
        if self.carrier is not None:
            self.carrier.receive(data)
        elif self._gate is not None:
            match self._gate.receive(data):
                case Upgrade(head, rest):
                    self.open(head, rest)
                case Refusal() as refusal:
                    self.refuse(refusal)
                case Plain():
                    self.refuse(Refusal(400, "not a WebSocket handshake"))
                case None:
                    pass

    def open(self, head: Head, rest: bytes) -> None:
        """Take a handshake, and start the connection's actor if it is sound."""
        station, transport = self._station, self._transport
        assert transport is not None
        self._gate = None
        scope = scope_of(head, station, transport)
        if isinstance(scope, Refusal):
            self.refuse(scope)
            return
        self.carrier = LoopCarrier(self, head, station, transport)
        try:
            receiver = station.app.connect(scope, self.carrier)
        except BaseException:  # SystemExit too: no peer may end the server
            logger.exception("the application failed on the handshake of %r", scope["path"])
            self.carrier = None
            self.refuse(Refusal(500, "Internal Server Error"))
            return
        self.carrier.begin(receiver, rest)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal; the connection ends once the peer has read it, or soon."""
        assert self._transport is not None
        head = Head("GET", b"/", "1.1", [])
        self._gate, self.carrier = None, LoopCarrier(self, head, self._station, self._transport)
        self.carrier.refuse(refusal)

    def eof_received(self) -> bool:
        """Take the end of the peer's bytes; what we have to say still goes out."""
        return self.carrier is not None and self.carrier.peer_ended()

    def pause_writing(self) -> None:
        """Have as much on the way as may be: the rest stays in the outbox."""
        if self.carrier is not None:
            self.carrier.blocked = True

    def resume_writing(self) -> None:
        """Go on."""
        if self.carrier is not None:
            self.carrier.unblock()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._station.open.discard(self)
        if self.carrier is not None:
            self.carrier.lost()

    def shutdown(self) -> None:
        """Close with 1012; uvicorn calls this when it stops, and the application has not."""
        if self.carrier is not None:
            self.carrier.close(1012)
        elif self._transport is not None:
            self._transport.abort()

    def abort(self) -> None:
        """Drop it."""
        if self._transport is not None:
            self._transport.abort()


class LoopCarrier(Carrier):
    """A WebSocket over an asyncio transport."""

    __slots__ = (
        "_default_headers",
        "_dirty",
        "_flusher",
        "_half_closed",
        "_held",
        "_loop",
        "_transport",
        "blocked",
    )

    def __init__(
        self,
        protocol: WebSocketProtocol,
        head: Head,
        station: Station,
        transport: asyncio.Transport,
    ) -> None:
        super().__init__(head, station.limits, station.ticker, station.loop.time)
        self._loop = station.loop
        self._flusher = station.flusher
        self._default_headers = station.default_headers
        self._transport = transport
        self._dirty = False
        self._held = False
        self._half_closed = False
        self.blocked = False
        """Whether the transport holds as much as it may."""

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake with 101, and the server's own headers."""
        super().accept(subprotocol, [*self._default_headers(), *headers])

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer the handshake with an HTTP response, and the server's own headers."""
        super().reject(status, [*self._default_headers(), *headers], body)

    def begin(self, receiver: Receiver, early: bytes) -> None:
        """Carry the connection; `early` came together with the handshake."""
        self.connection.receiver = receiver
        if early:
            self.receive(early)
        self._ticker.watch(self, self.connection.deadline)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, without an actor."""
        self.begin(Nobody(), b"")
        self.connection.reject(refusal.response(), self._loop.time())
        self.changed()

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer."""
        connection = self.connection
        connection.receive(data, self._loop.time())
        if connection.phase is not Phase.OPEN:
            if connection.held:
                self.hold()
            self.changed()
        elif connection.outbox.owes:
            self.flush_soon()  # a pong

    def peer_ended(self) -> bool:
        """Take the end of the peer's bytes, and tell whether there is still something to say."""
        self.connection.ended()
        self.changed()
        return not self.connection.finished

    def lost(self) -> None:
        """Take the end of the connection."""
        self.connection.lost()
        self._ticker.forget(self)
        self._senders.wake_all()

    # ------------------------------------------------------------------ writing

    def flush_soon(self) -> None:
        """Write what the outbox holds, two turns from now."""
        if self._dirty:
            self._flusher.pace.more()
        elif not self.blocked:
            self._dirty = True
            self._flusher.add(self)

    def flush(self) -> None:
        """Write what the outbox holds, as far as the transport takes it."""
        self._dirty = False
        connection, transport = self.connection, self._transport
        outbox = connection.outbox
        while not self.blocked and (data := outbox.take()):
            if transport.is_closing():  # uvloop's raises on a write
                connection.lost()
                break
            transport.write(data)
            if not self.blocked:
                outbox.written()
        self.taken()
        if connection.phase is not Phase.OPEN and connection.finished:
            self.finish()

    def unblock(self) -> None:
        """Go on writing: the transport has room again."""
        self.blocked = False
        self.connection.outbox.written()
        self.flush()

    def finish(self) -> None:
        """Close the transport, or half of it while the peer may still be sending."""
        connection, transport = self.connection, self._transport
        if transport.is_closing():
            return
        if connection.phase is Phase.OVER:
            transport.abort()
        elif not connection.lingering or not transport.can_write_eof():
            transport.close()
        elif not self._half_closed:
            self._half_closed = True
            transport.write_eof()

    # ------------------------------------------------------------------ reading

    def hold(self) -> None:
        """Take no more bytes from the peer."""
        if not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Take bytes again; those that wait are parsed in a turn of their own."""
        if self._held:
            self._held = False
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()
            self.receive(b"")


def scope_of(head: Head, station: Station, transport: asyncio.Transport) -> Scope | Refusal:
    """Give the scope of a sound handshake, or the answer to another one."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        tune(connection)
    peers = Peers(
        address_of(transport.get_extra_info("peername")),
        address_of(transport.get_extra_info("sockname")),
        isinstance(transport.get_extra_info("ssl_object"), tls.SSLObject),
    )
    scope = examine(head, peers, station.state, station.root_path)
    if not isinstance(scope, Refusal):
        station.adapt(scope)
    return scope
