"""What carries one WebSocket, whatever its bytes travel over: the drivers' common half."""

import logging
from typing import Final, Protocol

from herdwick.actors import Bounds, Data, RawHeaders, Receiver, Shared, Transport
from herdwick.runtime import Clock, Waiters
from herdwick.websocket import Limits, Request

from .connection import CONNECTING, NOBODY, OPEN, WebSocketConnection, framed
from .frames import INTERNAL_ERROR
from .gate import Upgrade
from .handshake import Refusal, build_acceptance, build_rejection
from .head import Head
from .lobby import Lobby
from .scope import Handshake
from .sockets import Address
from .ticker import Watches

logger: Final = logging.getLogger("herdwick.server")

WRITE_BYTES: Final = 64 * 1024
"""Bytes that wait in a driver's own hands before the rest stays in the outbox."""

BROKEN: Final = Refusal(500, "Internal Server Error")
"""The answer where the application has failed."""


class Site(Protocol):
    """What all connections of one server share."""

    @property
    def limits(self) -> Limits:
        """What one peer may use."""
        ...

    @property
    def ticker(self) -> Watches:
        """Who keeps their deadlines."""
        ...

    @property
    def clock(self) -> Clock:
        """What tells the time."""
        ...

    @property
    def lobby(self) -> Lobby:
        """Who makes room for others."""
        ...


class Connects(Protocol):
    """What takes handshakes over: an application."""

    def connect(self, request: Request, transport: Transport, /) -> Receiver:
        """Start the actor of a WebSocket whose handshake is sound; it accepts or rejects."""
        ...


class Carrier:
    """A `Transport` over a sans-I/O connection. That one holds the truth; a driver moves its bytes.

    A subclass says how: `flush_soon` has the outbox written in a moment, `hold` and `go_on` stop
    and start reading, `finish` ends the stream once nothing is left to do on it.
    """

    __slots__ = ("_head", "_senders", "_site", "connection")

    def __init__(self, site: Site, head: Head | None = None) -> None:
        self.connection = WebSocketConnection(site.limits)
        self._site = site
        self._head = head
        """That of a handshake that is not answered yet."""
        self._senders: Waiters | None = None
        """Who waits for the outbox; made for the first of them."""

    # ------------------------------------------------------------------ the subclass's

    def flush_soon(self) -> None:
        """Write what the outbox holds, in a moment: with all that comes until then."""
        raise NotImplementedError

    def hold(self) -> None:
        """Take no more bytes from the peer."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Take bytes again, and have the connection parse those that wait."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the stream: the connection is over, or has said all that it had to."""
        raise NotImplementedError

    @property
    def peer(self) -> Address | None:
        """Who is at the other end, where that is known."""
        return None

    @property
    def own_lines(self) -> bytes:
        """The header lines that the server puts into each answer to a handshake."""
        return b""

    # ------------------------------------------------------------------ the actor's side

    @property
    def longest_pause(self) -> float:
        """No limit: no pong is demanded of a peer whose bytes we do not take."""
        return float("inf")

    def limit(self, bounds: Bounds) -> None:
        """Go by other limits, such as those of a route."""
        self.connection.limit(bounds)

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake with 101.

        Raises:
            InvalidHeader: A header or the subprotocol would break the response.
        """
        if self._head is not None:
            response = build_acceptance(self._head, subprotocol, headers, self.own_lines)
            self._answered()
            self.connection.accept(response, self._site.clock())
            self.changed()

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer the handshake with an HTTP response, and close the TCP connection.

        Raises:
            InvalidHeader: A header would break the response.
        """
        response = build_rejection(status, headers, body, self.own_lines)
        self._answered()
        self.connection.reject(response, self._site.clock())
        self.changed()

    def offer(self, data: Data) -> bool:
        """Append a message to the outbox, and tell whether it is over its bound."""
        over = self.connection.offer(data)
        self.flush_soon()
        return over

    def share(self, message: Shared) -> bool:
        """Append a message that others get too, framed once for all of them."""
        connection = self.connection
        if connection.phase is not OPEN:
            return False
        over = connection.outbox.put(message.frame or framed(message))
        self.flush_soon()
        return over

    async def drained(self) -> None:
        """Wait until the outbox is under its bound, or nothing more will be sent."""
        if self._senders is None:
            self._senders = Waiters()
        while self.connection.outbox.over and self.connection.phase is OPEN:
            await self._senders.wait()

    def close(self, code: int, reason: str = "") -> None:
        """Close after what the outbox holds; before `accept`, answer 403, or 500 for 1011.

        Raises:
            IllegalCloseCode: The code must not be sent.
        """
        if self.connection.phase is CONNECTING:
            self.reject(500 if code == INTERNAL_ERROR else 403, (), b"")
            return
        self.connection.close(code, reason, self._site.clock())
        self.changed()

    def abort(self) -> None:
        """Drop the connection."""
        self.connection.abort()
        self.changed()

    def pause_reading(self) -> None:
        """Take no more bytes, but for those that are on their way already."""
        self.connection.pause()
        self.hold()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self.connection.resume(self._site.clock())
        self.changed()

    # ------------------------------------------------------------------ the driver's side

    def open(self, app: Connects, handshake: Handshake | Refusal, upgrade: Upgrade) -> None:
        """Have the application take a handshake over, or refuse it."""
        if isinstance(handshake, Refusal):
            self.refuse(handshake)
            return
        self._head = upgrade.head
        receiver = self.hand_over(app, handshake)
        if receiver is None:
            self.refuse(BROKEN)
        else:
            self.begin(receiver, upgrade.rest)

    def hand_over(self, app: Connects, handshake: Handshake) -> Receiver | None:
        """Have the application start the connection's actor; None where it fails."""
        try:
            return app.connect(handshake, self)
        except BaseException:  # SystemExit too: no peer may end the server
            told = {"kind": "handshake_failed", "path": handshake.path}
            text = "the application failed on the handshake of %s"
            logger.exception(text, handshake.path, extra=told)
            return None

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, without an actor; it ends once the peer has read that, or soon."""
        refusal.log(self.peer)
        self.begin(NOBODY, b"")
        self.connection.reject(refusal.response(), self._site.clock())
        self.changed()

    def begin(self, receiver: Receiver, early: bytes) -> None:
        """Carry the connection; `early` came together with the handshake."""
        self.connection.receiver = receiver
        if early:
            self.receive(early)
        self._site.ticker.watch(self, self.connection.deadline)

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer."""
        connection = self.connection
        connection.receive(data, self._site.clock())
        if connection.phase is not OPEN:
            if connection.held:
                self.hold()
            self.changed()
        elif connection.outbox.owes:
            self.flush_soon()  # a pong

    def tick(self, now: float) -> None:
        """Do what is due at `now`."""
        self.connection.tick(now)
        self.changed()

    def taken(self) -> None:
        """Let those go on who wait for the outbox, where it has room again."""
        if self._senders is not None and not self.connection.outbox.over:
            self._senders.wake_all()

    def free(self) -> None:
        """Let those go on who wait for the outbox: nothing more will be sent."""
        if self._senders is not None:
            self._senders.wake_all()

    def changed(self) -> None:
        """Do what follows from what the connection was told."""
        connection = self.connection
        if connection.outbox:
            self.flush_soon()
        if not connection.held:
            self.go_on()
        if connection.phase is not OPEN:
            self.free()
        if connection.finished:
            self.finish()
        self._site.ticker.watch(self, connection.deadline)

    def _answered(self) -> None:
        """Let go of what was parsed for the handshake."""
        if self._head is not None:
            self._head.fold()
            self._head = None
