"""WebSockets over asyncio's transports: callbacks in, one write a tick out, no task of their own.

`Entrance` stands before an HTTP parser and takes the handshakes out, for a `WebSocketProtocol`;
that is what uvicorn's `ws=` takes too, for handshakes that come as a later request of a connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from herdwick.actors import RawHeaders
from herdwick.runtime import Clock
from herdwick.websocket import Limits

from .carrier import WRITE_BYTES, Carrier
from .connection import OPEN, OVER
from .gate import Gate, Plain, Upgrade, Verdict
from .handshake import Refusal, build_lines, log_slow_head
from .lobby import Lobby
from .pace import Pace
from .scope import Handshake, Peers
from .sockets import Address, address_of, tune
from .ticker import LoopTicker
from .visit import Served, examine

logger: Final = logging.getLogger("herdwick.server")

HTTP: TypeAlias = Callable[[], asyncio.Protocol]
"""Makes the protocol that answers other requests."""


class Flusher:
    """Has the outboxes of one loop written, by its callbacks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not the loop's clock: uvloop's stands still within a turn.
        self.pace = Pace(time.monotonic)
        self._loop = loop

    def add(self, carrier: WebSocketProtocol) -> None:
        """Have a carrier's outbox written."""
        if self.pace.add(carrier):
            self._loop.call_soon(self._hop)

    def _hop(self) -> None:
        if self.pace.is_time():
            self.pace.write()
        else:
            self._loop.call_soon(self._hop)


@dataclass(slots=True, eq=False)
class Station:
    """What all connections of one server on one loop share."""

    app: Served
    loop: asyncio.AbstractEventLoop
    state: MutableMapping[str, object] = field(default_factory=dict[str, object])
    root_path: str = ""
    adapt: Callable[[Handshake], None] = lambda handshake: None
    """Corrects a handshake by what trusted proxies say."""
    default_headers: Callable[[], RawHeaders] = tuple
    """What each answer to a handshake has besides its own."""
    open: set[Any] = field(default_factory=set[Any])
    """The protocols that are open, for whoever stops the server."""
    tunes: bool = True
    """Whether each connection is to be tuned; else its listening socket was, and it has inherited
    that: to ask uvloop for a socket costs eight system calls."""
    lobby: Lobby = field(default_factory=Lobby)
    clock: Clock = field(init=False)
    ticker: LoopTicker = field(init=False)
    flusher: Flusher = field(init=False)
    _address: Address | None = field(init=False, default=None)
    """Ours, of the last connection: mostly that of the next too, which then shares it."""
    _own: tuple[RawHeaders, bytes] = field(init=False, default=((), b""))
    """The default headers, and their lines: to write them each time is 2 µs of a handshake."""

    def __post_init__(self) -> None:
        self.clock = self.loop.time
        self.ticker = LoopTicker(self.loop)
        self.flusher = Flusher(self.loop)

    @property
    def limits(self) -> Limits:
        """What one peer may use."""
        return self.app.limits

    def own_lines(self) -> bytes:
        """Give the default headers as they travel; uvicorn makes new ones once a second."""
        headers = self.default_headers()
        if headers is not self._own[0]:
            self._own = headers, build_lines(headers)
        return self._own[1]

    def peers_of(self, transport: asyncio.Transport) -> Peers:
        """Give the two ends of a connection."""
        if self.tunes:
            connection = transport.get_extra_info("socket")
            if connection is not None:
                tune(connection)
        ours = address_of(transport.get_extra_info("sockname"))
        if ours != self._address:
            self._address = ours
        return Peers(
            address_of(transport.get_extra_info("peername")),
            self._address,
            transport.get_extra_info("ssl_object") is not None,
        )


class Entrance(asyncio.Protocol):
    """One TCP connection until its first request is known."""

    __slots__ = ("_gate", "_http", "_station", "_transport")

    def __init__(self, station: Station, http: HTTP) -> None:
        self._station = station
        self._http = http
        self._gate = Gate(station.limits)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the head has its time, however it dribbles."""
        self._transport = cast(asyncio.Transport, transport)
        station = self._station
        if not station.lobby.has_room(len(station.open)):
            self.drop()
            return
        station.open.add(self)
        station.lobby.enter(self)
        station.ticker.watch(self, station.clock() + station.limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        """Collect the head, and hand the connection over to whom it is for."""
        transport, verdict = self._transport, self._gate.receive(data)
        if verdict is None or transport is None:
            return
        self._leave()
        if isinstance(verdict, Plain):
            other = self._http()
            transport.set_protocol(other)
            other.connection_made(transport)
            other.data_received(verdict.data)
            return
        protocol = WebSocketProtocol(self._station)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.decide(verdict)

    def eof_received(self) -> None:
        """Have half a request: nobody waits for the rest."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End before there was a request."""
        self._leave()

    def tick(self, now: float) -> None:
        """Drop it: its head took too long."""
        if self._gate.begun and self._transport is not None:
            log_slow_head(address_of(self._transport.get_extra_info("peername")))
        self.drop()

    def shutdown(self) -> None:
        """End; uvicorn calls this when it stops."""
        self.drop()

    def drop(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        self._station.open.discard(self)
        self._station.lobby.leave(self)
        self._station.ticker.forget(self)


class WebSocketProtocol(Carrier, asyncio.Protocol):
    """One WebSocket from its handshake on, as a protocol of asyncio's."""

    __slots__ = ("_dirty", "_gate", "_half_closed", "_held", "_station", "_transport", "blocked")

    _transport: asyncio.Transport

    def __init__(self, station: Station, gate: Gate | None = None) -> None:
        super().__init__(station)
        self._station = station
        self._gate = gate
        """What collects the head, where it has not come yet."""
        self._dirty = False
        self._held = False
        self._half_closed = False
        self.blocked = False
        """Whether the transport holds as much as it may."""

    # ------------------------------------------------------------------ the loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BYTES)
        self._station.open.add(self)

    @property
    def peer(self) -> Address | None:
        """Who is at the other end, where that is known."""
        return address_of(self._transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        """Take bytes: of the handshake first, then of the connection."""
        if self._gate is None:
            self.receive(data)
        elif (verdict := self._gate.receive(data)) is not None:
            self.decide(verdict)

    def eof_received(self) -> bool:
        """Take the end of the peer's bytes, and tell whether there is still something to say."""
        if self._gate is not None:
            return False
        self.connection.lingering = False  # there is nothing left that we could miss
        self.connection.ended()
        self.changed()
        return not self.connection.finished

    def pause_writing(self) -> None:
        """Have as much on the way as may be: the rest stays in the outbox."""
        self.blocked = True

    def resume_writing(self) -> None:
        """Go on: the transport has room again."""
        self.blocked = False
        self.connection.outbox.written()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._station.open.discard(self)
        self.connection.lost()
        self._station.lobby.leave(self)
        self._station.ticker.forget(self)
        self.free()

    def shutdown(self) -> None:
        """Close with 1012; uvicorn calls this when it stops, and the application has not."""
        if self._gate is not None:
            self._transport.abort()
        else:
            self.close(1012)

    # ------------------------------------------------------------------ the handshake

    def decide(self, verdict: Verdict) -> None:
        """Take a handshake, and start the connection's actor if it is sound."""
        self._gate = None
        if isinstance(verdict, Upgrade):
            station = self._station
            peers = station.peers_of(self._transport)
            root_path, adapt = station.root_path, station.adapt
            handshake = examine(verdict.head, peers, station.state, adapt, root_path)
            self.open(station.app, handshake, verdict)
        elif isinstance(verdict, Plain):
            self.refuse(Refusal(400, "not a WebSocket handshake"))
        else:
            self.refuse(verdict)

    @property
    def own_lines(self) -> bytes:
        """The header lines that the server puts into each answer to a handshake."""
        return self._station.own_lines()

    # ------------------------------------------------------------------ writing

    def flush_soon(self) -> None:
        """Write what the outbox holds, two turns from now."""
        if self._dirty:
            self._station.flusher.pace.more()
        elif not self.blocked:
            self._dirty = True
            self._station.flusher.add(self)

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
        if connection.phase is not OPEN and connection.finished:
            self.finish()

    def finish(self) -> None:
        """Close the transport, or half of it while the peer may still be sending."""
        connection, transport = self.connection, self._transport
        if transport.is_closing():
            return
        if connection.phase is OVER:
            transport.abort()
        elif not connection.lingering or not transport.can_write_eof():
            transport.close()
        elif not self._half_closed:
            self._half_closed = True
            self._site.lobby.enter(self)
            transport.write_eof()

    def drop(self) -> None:
        """Drop it: its server stops and the peer does not read, or it makes room for others."""
        self._transport.abort()

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
            self._station.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()
            self.receive(b"")
