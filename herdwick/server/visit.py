"""One TCP connection from its first byte to its last: TLS, HTTP requests, perhaps a WebSocket."""

import socket
import ssl as tls
from collections.abc import Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import anyio
from anyio.abc import ByteStream, SocketStream
from anyio.streams.tls import TLSStream

from herdwick.runtime import Clock
from herdwick.websocket import ASGIReceive, ASGISend, Limits, Scope

from .carrier import BROKEN, Connects
from .handshake import Refusal, asks_upgrade, find_refusal
from .head import Head
from .http import HTTPConnection
from .lobby import Lobby
from .proxies import Proxies
from .scope import Handshake, InvalidTarget, Peers
from .sockets import forget_unsent
from .streams import LOST, RECEIVE_BYTES, StreamTransport
from .ticker import Ticker


class Served(Connects, Protocol):
    """What a server needs of an application."""

    @property
    def limits(self) -> Limits:
        """What one peer may use."""
        ...

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Answer a plain HTTP request, as ASGI 3."""
        ...

    def running(self) -> AbstractAsyncContextManager[object]:
        """Start the application, and stop it in the end."""
        ...

    async def drain(self) -> None:
        """Close every WebSocket with 1012, and wait until their actors have ended."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of one listener share."""

    app: Served
    ticker: Ticker
    clock: Clock
    proxies: Proxies
    ssl: tls.SSLContext | None = None
    state: MutableMapping[str, object] = field(default_factory=dict[str, object])
    lobby: Lobby = field(default_factory=Lobby)

    @property
    def limits(self) -> Limits:
        """What one peer may use."""
        return self.app.limits


class Visit:
    """One TCP connection."""

    def __init__(
        self, service: Service, connection: socket.socket, peers: Peers, early: bytes = b""
    ) -> None:
        self._service = service
        self._limits = service.app.limits
        self._socket = connection
        self._peers = peers
        self._early = early
        """What has come of the first request already."""
        self._http: HTTPConnection | None = None
        self._stopping = False
        self.upgraded = False
        """Whether it has become a WebSocket."""

    def stop(self) -> None:
        """End once the request in flight has been answered; an idle connection ends now."""
        self._stopping = True
        if self._http is not None:
            self._http.stop()

    def drop(self) -> None:
        """Make room for others: whatever it waits for, that has come to its end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def run(self) -> None:
        """Serve the connection until it ends; raises only what is a bug."""
        try:
            stream: ByteStream = await SocketStream.from_socket(self._socket)
        except BaseException as error:
            self._socket.close()
            if isinstance(error, LOST) or isinstance(error.__cause__, OSError):
                return  # anyio calls a socket that was reset a wrong value
            raise
        in_order = False
        try:
            if self._service.ssl is None:
                in_order = await self._serve(stream)
            else:
                with self._service.lobby.waiting(self):
                    encrypted = await self._encrypt(stream, self._service.ssl)
                if encrypted is not None:
                    stream = encrypted
                    in_order = await self._serve(stream)
        finally:
            await self._close(stream, in_order)

    async def _encrypt(self, stream: ByteStream, context: tls.SSLContext) -> ByteStream | None:
        """Shake hands for TLS; None where that fails, or takes too long."""
        with anyio.move_on_after(self._limits.head_timeout), suppress(*LOST):
            return await TLSStream.wrap(stream, server_side=True, ssl_context=context)
        return None

    async def _serve(self, stream: ByteStream) -> bool:
        """Answer requests, and tell whether the connection ended in order."""
        service = self._service
        awaiting = partial(service.lobby.waiting, self)
        http = HTTPConnection(stream, self._peers, self._limits, self._early, awaiting)
        self._http = http
        if self._stopping:
            http.stop()
        while (head := await http.next_head()) is not None:
            if asks_upgrade(head):
                return await self._upgrade(stream, http, head)
            if not await http.answer(service.app, head, service.state, service.proxies):
                break
        if http.lingering:
            await self._linger(stream)
        return not http.cut

    async def _linger(self, stream: ByteStream) -> None:
        with self._service.lobby.waiting(self):
            await linger(stream, self._limits.close_timeout)

    async def _upgrade(self, stream: ByteStream, http: HTTPConnection, head: Head) -> bool:
        service = self._service
        handshake = examine(head, self._peers, service.state, service.proxies.adapt)
        if not isinstance(handshake, Refusal):
            transport = StreamTransport(stream, service, head)
            receiver = transport.hand_over(service.app, handshake)
            if receiver is not None:
                self.upgraded = True
                return await transport.run(receiver, http.unread())
            transport.abort()
            service.ticker.forget(transport)
            handshake = BROKEN
        await http.refuse(handshake)
        await self._linger(stream)
        return True

    async def _close(self, stream: ByteStream, in_order: bool) -> None:
        # Shielded: cancellation comes at the end of the server, and the socket must go then too.
        with anyio.CancelScope(shield=True):
            if in_order:
                with anyio.move_on_after(self._limits.close_timeout):
                    with suppress(*LOST):
                        await stream.aclose()
                    return
            forget_unsent(self._socket)
            await anyio.aclose_forcefully(stream)


def examine(
    head: Head,
    peers: Peers,
    state: MutableMapping[str, object],
    adapt: Callable[[Handshake], None],
    root_path: str = "",
) -> Handshake | Refusal:
    """Give a sound handshake, corrected by `adapt`, or the answer to another one."""
    try:
        handshake = Handshake(head, peers, root_path=root_path, state=state)
    except InvalidTarget as error:
        return Refusal(400, str(error))
    refusal = find_refusal(head)
    if refusal is None:
        adapt(handshake)
    return refusal or handshake


async def linger(stream: ByteStream, timeout: float) -> None:
    """Close our half, and discard what the peer still sends until it closes its own.

    Closing both halves over unread bytes would reset the connection, and the peer might never
    read our answer. TLS has no halves: its own closing handshake takes that part.
    """
    with anyio.move_on_after(timeout):
        try:
            await stream.send_eof()
            while True:
                await stream.receive(RECEIVE_BYTES)
        except (*LOST, NotImplementedError):
            return
