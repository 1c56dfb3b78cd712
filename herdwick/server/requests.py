"""Uvicorn's HTTP for the requests behind our entrance, held to our rules.

Uvicorn bounds neither the size nor the time of a head that follows another request, and logs a
warning for each request that is none: any peer can have both.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .gate import END, judge_head, read_head
from .handshake import Refusal, log_slow_head
from .head import Head
from .protocols import Station, WebSocketProtocol
from .sockets import address_of

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
else:
    Base = object


class Mild(logging.LoggerAdapter[logging.Logger]):
    """A logger for which a client's mistake is no warning."""

    @property
    def level(self) -> int:
        """That of the logger itself, which uvicorn looks at."""
        return self.logger.level

    def warning(self, msg: object, *args: object, **options: Any) -> None:
        """Tell it as information."""
        self.info(msg, *args, **options)


class Bounded(Base):
    """What both of uvicorn's protocols lack: bounds of each head, and a refusal that arrives."""

    def __init__(
        self,
        station: Station,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.logger = cast(logging.Logger, Mild(self.logger))
        self._station = station
        self._in_head = False
        self._unwanted = False
        """Whether a body is still coming whose request is answered already."""
        self._refusal: Refusal | None = None
        """Why the head in hand is refused, where we know better than the parser."""
        self._begun = 0
        """How many heads have begun."""
        self._size = 0
        """Bytes of the head that has begun, but for those that came with what was before it."""

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see how long the head has been that they leave unfinished."""
        begun = self._begun
        super().data_received(data)
        limits = self._station.limits
        self._look()
        if not (self._in_head or self._unwanted) or self.transport.is_closing():
            self._station.ticker.forget(self)
        elif self._in_head and begun == self._begun:
            self._size += len(data)
            if self._size > limits.head_bytes:
                self._refuse(Refusal(431, f"head over {limits.head_bytes} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._station.ticker.forget(self)
        self._station.lobby.leave(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Have answered a request; a body that nobody wanted has little time to end.

        There may be another request already.
        """
        super().on_response_complete()
        self._look()
        cycle: Any = self.cycle
        if cycle.response_complete and cycle.more_body and not self.transport.is_closing():
            self._unwanted = True
            station = self._station
            station.ticker.watch(self, station.clock() + station.limits.close_timeout)

    def tick(self, now: float) -> None:
        """Drop it: its head took too long, or a body that nobody reads."""
        if self._in_head:
            log_slow_head(address_of(self.transport.get_extra_info("peername")))
        self.drop()

    def drop(self) -> None:
        """End at once."""
        self.transport.abort()

    def _look(self) -> None:
        """See whether there is no whole request, so that it may have to make room for others."""
        cycle = cast(Any, self.cycle)  # None before the first request
        waits = True
        if cycle is not None and not cycle.response_complete:
            comes = cycle.more_body and not cycle.response_started
            waits = comes and not getattr(self, "pipeline", ())  # h11 has none
        mine = self.transport.get_protocol() is self and not self.transport.is_closing()
        if mine and waits:
            self._station.lobby.enter(self)
        else:
            self._station.lobby.leave(self)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, so that the peer can read that."""
        self._refuse(self._refusal or Refusal(400, msg))

    def _end_body(self) -> None:
        if self._unwanted:
            self._unwanted = False
            self._station.ticker.forget(self)

    def _begin_head(self) -> None:
        self._in_head = True
        self._begun += 1
        self._size = 0
        station = self._station
        station.ticker.watch(self, station.clock() + station.limits.head_timeout)

    def _refuse(self, refusal: Refusal) -> None:
        self._in_head = False
        self._station.ticker.forget(self)
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or getattr(self, "pipeline", ()):  # h11 has none
                self.transport.abort()  # another answer is on its way: ours has no place
                return
            cycle.disconnected = True  # or its answer would follow ours
            cycle.message_event.set()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        protocol = WebSocketProtocol(self._station)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.decide(refusal)


# The two name some things alike that are not: only at run time is there one of them.
class BoundedH11(Bounded, H11Protocol):  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
    """Uvicorn's protocol over h11."""

    def handle_events(self) -> None:
        """Take what h11 has understood, and see whether a head is left that has no end."""
        connection = self.conn
        come = connection.trailing_data[0]
        if connection.their_state is h11.IDLE and END in come:
            head = read_head(come[: come.find(END) + 2], self._station.limits)  # h11 is lenient
            if isinstance(head, Refusal):
                self._refuse(head)
                return
        super().handle_events()
        if connection.their_state is not h11.SEND_BODY:
            self._end_body()
        in_head = connection.their_state is h11.IDLE and bool(connection.trailing_data[0])
        if in_head and not self._in_head:
            self._begin_head()
        self._in_head = in_head


try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # an extra
    BoundedHTTP: type[Bounded] = BoundedH11
else:

    class BoundedHTTPTools(Bounded, HttpToolsProtocol):
        """Uvicorn's protocol over httptools."""

        def on_message_begin(self) -> None:
            """Begin a head."""
            self._begin_head()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            """End it; a head that is refused ends the connection."""
            self._in_head = False
            parser: Any = self.parser  # there as long as it calls us
            method, version = parser.get_method().decode(), parser.get_http_version()
            head = Head(method, self.url, version, self.headers)
            self._refusal = judge_head(head, self._station.limits)
            if self._refusal is not None:
                raise ValueError(self._refusal.detail)  # to the parser, and so to whoever feeds it
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            """End a body."""
            self._end_body()
            super().on_message_complete()

    BoundedHTTP = BoundedHTTPTools


def make_http(
    station: Station | None,
    config: uvicorn.Config,
    server_state: ServerState,
    app_state: dict[str, Any],
) -> asyncio.Protocol:
    """Make the protocol of plain requests; uvicorn's own for an application that is not ours."""
    if station is not None:
        return BoundedHTTP(station, config, server_state, app_state)
    make = cast(Any, AutoHTTPProtocol)
    return cast(asyncio.Protocol, make(config, server_state, app_state))
