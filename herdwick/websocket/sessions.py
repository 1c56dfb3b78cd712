"""The WebSockets of one application: from a handshake to its connection's actor."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from contextvars import copy_context
from typing import Final

from herdwick.actors import Bucket, Connection, Data, MeteredConnection, Transport
from herdwick.routing import Match
from herdwick.runtime import ActorStopped, Pool, PoolSupervision, System

from .access import log_answer, log_refusal
from .admission import Admission
from .codec import Codec
from .dispatch import Dispatcher
from .errors import NotRunning
from .identity import Identity
from .limits import Limits
from .request import Request
from .rooms import Rooms
from .routes import WEBSOCKET, Endpoint, SocketOptions
from .websocket import WebSocket

logger: Final = logging.getLogger("herdwick")

STOPPED: Final = 1012
"""The close code of an ordered stop (RFC 6455 registry: service restart)."""

FAILED: Final = 1011
"""The close code where the application has given up (RFC 6455 section 7.4.1)."""


class Sessions:
    """Takes handshakes over, while there is a system for their actors to live in."""

    def __init__(
        self, dispatcher: Dispatcher, rooms: Rooms, limits: Limits, *, debug: bool
    ) -> None:
        self.dispatcher = dispatcher
        self.rooms = rooms
        self.debug = debug
        self.unrouted = SocketOptions(limits=limits, codec=Codec())
        """How the WebSockets of mounted applications behave."""
        self.pool = Pool("connections")
        """Who supervises them."""
        self.stop_code = STOPPED
        """The close code of an ordered stop."""
        self._limits = limits
        self._admission = Admission(limits)
        self._system: System | None = None
        self._running: PoolSupervision | None = None
        """Its running side, as it was last: to find it is a fiftieth of a handshake."""
        self._draining = False
        self._start_missing = True
        """Nobody has started it yet, and no line in the log has said so."""

    def __len__(self) -> int:
        pool = self._supervision()
        return 0 if pool is None else len(pool)

    def expect(self) -> None:
        """Take note that a start is under way."""
        self._start_missing = False

    def give_up(self) -> None:
        """Take note that an actor has failed too often: the stop that follows is no orderly one."""
        self.stop_code = FAILED

    def open(self, system: System) -> None:
        """Take handshakes over from now on."""
        self._system, self._draining = system, False
        self._admission = Admission(self._limits)
        self.stop_code = STOPPED

    def close(self) -> None:
        """Take none any more: the system has stopped."""
        self._system = self._running = None

    @property
    def ready(self) -> bool:
        """Whether new connections are taken."""
        return self._system is not None and self._system.running and not self._draining

    async def drain(self, window: float) -> None:
        """Close all within `window` seconds, take no new ones, and wait until they have ended."""
        self._draining = True
        pool = self._supervision()
        if pool is not None:
            await pool.stop_children(window)

    def connect(self, request: Request, transport: Transport) -> Connection:
        """Spawn the actor of a connection, in the caller's turn; refuse with 503 if there is none.

        Once it is completely gone, a handshake that nobody has answered is refused too.
        """
        session = Session(self, request)
        connection = self._connection(transport, session)
        try:
            supervisor, system = self._supervisor()
            refusal = self._admission.refusal(request, len(supervisor), system.clock())
            if refusal is not None:
                log_refusal(request, *refusal)
                connection.refuse(refusal[0])
                return connection
            request.websocket = WebSocket(request, connection, session)
            supervisor.spawn(connection, copy_context())
            self._admission.enter(request, connection)
        except (NotRunning, ActorStopped) as error:
            if self._start_missing:
                self._start_missing = False  # once: strangers decide how often they come
                told = {"kind": "not_running", "status": 503, "reason": str(error)}
                logger.error("handshake refused with 503: %s", error, extra=told)
            connection.refuse()
            request.websocket = None  # cuts the cycle: nothing waits for the collector
        return connection

    def _connection(self, transport: Transport, session: Session) -> Connection:
        """Make the connection, within the limits of its route."""
        limits = session.limits
        if limits is not self._limits:
            transport.limit(limits)
        if limits.message_rate is None:
            return Connection(transport, session, limits)
        return MeteredConnection(transport, session, limits, limits.message_rate)

    def _supervisor(self) -> tuple[PoolSupervision, System]:
        """Give who supervises new connections, and for whom.

        Raises:
            NotRunning: None are taken.
            ActorStopped: It is being stopped, or restarted.
        """
        if self._system is None or not self.ready:
            raise NotRunning
        supervisor = self._running
        if supervisor is None or not supervisor.open:
            supervisor = self._running = self._system.pool(self.pool)
        return supervisor, self._system

    def _supervision(self) -> PoolSupervision | None:
        """Give the connections' supervisor; None before it starts, and when it has ended."""
        try:
            return None if self._system is None else self._system.pool(self.pool)
        except ActorStopped:
            return None


class Session:
    """What the application decides for one connection, and what its face needs of the application.

    One object for all of it: each one more is paid for by each connection that is open.
    """

    __slots__ = ("_faults", "_match", "_options", "_request", "_sessions")

    def __init__(self, sessions: Sessions, request: Request) -> None:
        self._sessions = sessions
        self._request = request
        self._match: Match[Endpoint] | None = sessions.dispatcher.resolve(request, WEBSOCKET)
        socket = None if self._match is None else self._match.endpoint.socket
        self._options = socket or sessions.unrouted
        self._faults: Bucket | None = None
        """What is left of the messages that need not decode; made for the first."""

    # ------------------------------------------------------------------ the actor's side

    def handle(self, connection: Connection) -> Awaitable[None]:
        """Run the handler."""
        return self._sessions.dispatcher.serve(self._request, self._match, connection)

    def answered(self, status: int) -> None:
        """Take note of what its handshake was answered with."""
        log_answer(self._request, status)

    def encode(self, payload: object) -> Data:
        """Make a message of a payload from elsewhere."""
        return self._options.codec.encode_payload(payload)

    @property
    def peer(self) -> str:
        """The address of the peer, or "unknown"."""
        return self._request.client_ip

    @property
    def stop_code(self) -> int:
        """The close code of an ordered stop."""
        return self._sessions.stop_code

    @property
    def cancel_on_disconnect(self) -> bool:
        """Whether the handler is cancelled when the peer has gone."""
        return self._options.cancel_on_disconnect

    @property
    def debug(self) -> bool:
        """Whether the peer is told the error that ended its handler."""
        return self._sessions.debug

    # ------------------------------------------------------------------ the handler's side

    @property
    def codec(self) -> Codec:
        """How messages are encoded and decoded."""
        return self._options.codec

    @property
    def answers_invalid(self) -> bool:
        """Whether a message that does not decode is answered, rather than raised."""
        return self._options.on_invalid == "reply"

    @property
    def rooms(self) -> Rooms:
        """The topics and rooms of the application."""
        return self._sessions.rooms

    @property
    def limits(self) -> Limits:
        """What the connection may use."""
        return self._options.limits

    def forgives(self, connection: Connection) -> bool:
        """Tell whether one more message that does not decode is answered; else close with 1007."""
        rate = self.limits.invalid_messages
        if rate is None:
            return True
        if self._faults is None:
            self._faults = Bucket(rate)
        if self._faults.take(connection.life.surroundings.clock()):
            return True
        connection.close_on_fault(1007, "too many messages that do not decode")
        return False

    async def refresh(self, token: str) -> Identity:
        """Let the client show a new token: from here on its identity is the connection's."""
        return await self._sessions.dispatcher.refresh(self._request, token)
