"""The WebSockets of one application: from a handshake to its connection's actor."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from herdwick.actors import Bounds, Connection, Data, Transport
from herdwick.routing import Match
from herdwick.runtime import ActorStopped, Pool, PoolSupervision, System

from .access import log_answer
from .dispatch import Dispatcher
from .errors import NotRunning
from .identity import Identity
from .limits import Limits
from .request import Request
from .rooms import Rooms
from .routes import WEBSOCKET, Endpoint, SocketOptions
from .websocket import WebSocket

if TYPE_CHECKING:
    from .codec import Codec

logger: Final = logging.getLogger("herdwick")

STOPPED: Final = 1012
"""The close code of an ordered stop (RFC 6455 registry: service restart)."""

FAILED: Final = 1011
"""The close code where the application has given up (RFC 6455 section 7.4.1)."""

UNROUTED: Final = SocketOptions()
"""How the WebSockets of mounted applications behave."""


class Sessions:
    """Takes handshakes over, while there is a system for their actors to live in."""

    def __init__(
        self, dispatcher: Dispatcher, rooms: Rooms, limits: Limits, *, debug: bool
    ) -> None:
        self.dispatcher = dispatcher
        self.rooms = rooms
        self.debug = debug
        self.topics = limits.topics
        """Topics that a connection may be a member of, where its route does not say it."""
        self.pool = Pool("connections")
        """Who supervises them."""
        self.stop_code = STOPPED
        """The close code of an ordered stop."""
        self._bounds = Bounds(
            inbox_messages=limits.inbox_messages,
            inbox_bytes=limits.inbox_bytes,
            pause_timeout=limits.pause_timeout,
            send_timeout=limits.send_timeout,
        )
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
        connection = Connection(transport, session, self._bounds)
        request.websocket = WebSocket(request, connection, session)
        try:
            self._supervisor().spawn(connection, copy_context())
        except (NotRunning, ActorStopped) as error:
            if self._start_missing:
                self._start_missing = False  # once: strangers decide how often they come
                told = {"kind": "not_running", "status": 503, "reason": str(error)}
                logger.error("handshake refused with 503: %s", error, extra=told)
            connection.refuse()
            request.websocket = None  # cuts the cycle: nothing waits for the collector
        return connection

    def _supervisor(self) -> PoolSupervision:
        """Give who supervises new connections.

        Raises:
            NotRunning: None are taken.
            ActorStopped: It is being stopped, or restarted.
        """
        if self._system is None or not self.ready:
            raise NotRunning
        supervisor = self._running
        if supervisor is None or not supervisor.open:
            supervisor = self._running = self._system.pool(self.pool)
        return supervisor

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

    __slots__ = ("_match", "_options", "_request", "_sessions")

    def __init__(self, sessions: Sessions, request: Request) -> None:
        self._sessions = sessions
        self._request = request
        self._match: Match[Endpoint] | None = sessions.dispatcher.resolve(request, WEBSOCKET)
        socket = None if self._match is None else self._match.endpoint.socket
        self._options = socket or UNROUTED

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
    def topics(self) -> int:
        """Topics that the connection may be a member of."""
        return self._options.topics or self._sessions.topics

    async def refresh(self, token: str) -> Identity:
        """Let the client show a new token: from here on its identity is the connection's."""
        return await self._sessions.dispatcher.refresh(self._request, token)
