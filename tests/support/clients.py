"""WebSocket clients that others wrote, behind one face."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import aiohttp
import anyio
import httpx
import httpx_ws
import msgspec
import websockets
import wsproto.events
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websockets

Data: TypeAlias = str | bytes
Headers: TypeAlias = Mapping[str, str]
NO_HEADERS: Headers = MappingProxyType({})


class Closed(Exception):
    """The server has ended the connection; 1006 where it sent no close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The server has answered the handshake with an HTTP response."""

    def __init__(self, status: int, headers: Headers, body: bytes | None = None) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        """None where the client does not tell it."""


class Peer(Protocol):
    """The client's end of a connection; leaving its block closes it."""

    @property
    def subprotocol(self) -> str | None: ...

    async def send(self, data: Data) -> None: ...

    async def receive(self) -> Data:
        """Give the next message, or raise `Closed`."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


P_co = TypeVar("P_co", bound=Peer, covariant=True)


class Connect(Protocol[P_co]):
    """Open a connection to an http URL, or raise `Refused`."""

    def __call__(
        self, url: str, /, *, headers: Headers = ..., subprotocols: Sequence[str] = ...
    ) -> AbstractAsyncContextManager[P_co]: ...


async def receive_json(peer: Peer) -> Any:
    """Receive a message of either kind and decode it."""
    return msgspec.json.decode(await peer.receive())


async def send_json(peer: Peer, data: object) -> None:
    """Send data as JSON, in a text message."""
    await peer.send(msgspec.json.encode(data).decode())


async def closing(peer: Peer) -> Closed:
    """Receive until the server ends the connection, and tell how it did."""
    while True:
        try:
            await peer.receive()
        except Closed as closed:
            return closed


# ---------------------------------------------------------------------- websockets


@dataclass(frozen=True, slots=True)
class _WebSocketsPeer:
    connection: ClientConnection

    @property
    def subprotocol(self) -> str | None:
        return self.connection.subprotocol

    async def send(self, data: Data) -> None:
        await self.connection.send(data)

    async def receive(self) -> Data:
        try:
            return await self.connection.recv()
        except websockets.ConnectionClosed as error:
            if error.rcvd is None:
                raise Closed(1006) from None
            raise Closed(error.rcvd.code, error.rcvd.reason) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.connection.close(code, reason)


@asynccontextmanager
async def websockets_client(
    url: str, /, *, headers: Headers = NO_HEADERS, subprotocols: Sequence[str] = ()
) -> AsyncGenerator[Peer]:
    """Connect with websockets; asyncio only."""
    connecting = connect_websockets(
        as_ws(url),
        additional_headers=headers,
        subprotocols=[websockets.Subprotocol(name) for name in subprotocols] or None,
        proxy=None,
    )
    try:
        connection = await connecting
    except websockets.InvalidStatus as error:
        response = error.response
        body = bytes(response.body or b"")
        raise Refused(response.status_code, dict(response.headers.raw_items()), body) from None
    async with connection:
        yield _WebSocketsPeer(connection)


# ---------------------------------------------------------------------- httpx-ws


@dataclass(frozen=True, slots=True)
class _HttpxPeer:
    session: httpx_ws.AsyncWebSocketSession

    @property
    def subprotocol(self) -> str | None:
        return self.session.subprotocol

    async def send(self, data: Data) -> None:
        if isinstance(data, str):
            await self.session.send_text(data)
        else:
            await self.session.send_bytes(data)

    async def receive(self) -> Data:
        try:
            event = await self.session.receive()
        except httpx_ws.WebSocketDisconnect as error:
            raise Closed(error.code, error.reason) from None
        except (httpx_ws.WebSocketNetworkError, anyio.ClosedResourceError):
            raise Closed(1006) from None
        if isinstance(event, wsproto.events.TextMessage):
            return event.data
        assert isinstance(event, wsproto.events.BytesMessage)
        return bytes(event.data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.session.close(code, reason)


@asynccontextmanager
async def httpx_ws_client(
    url: str, /, *, headers: Headers = NO_HEADERS, subprotocols: Sequence[str] = ()
) -> AsyncGenerator[Peer]:
    """Connect with httpx-ws, on either backend."""
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            connecting: AbstractAsyncContextManager[httpx_ws.AsyncWebSocketSession]
            connecting = httpx_ws.aconnect_ws(
                url, http, headers=dict(headers), subprotocols=list(subprotocols) or None
            )
            async with connecting as session:
                yield _HttpxPeer(session)
        except httpx_ws.WebSocketUpgradeError as error:
            raise Refused(error.response.status_code, error.response.headers) from None


# ---------------------------------------------------------------------- aiohttp


@dataclass(frozen=True, slots=True)
class _AiohttpPeer:
    response: aiohttp.ClientWebSocketResponse

    @property
    def subprotocol(self) -> str | None:
        return self.response.protocol

    async def send(self, data: Data) -> None:
        if isinstance(data, str):
            await self.response.send_str(data)
        else:
            await self.response.send_bytes(data)

    async def receive(self) -> Data:
        message = await self.response.receive()
        if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
            return cast(Data, message.data)
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise Closed(message.data, message.extra or "")
        raise Closed(1006)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.response.close(code=code, message=reason.encode())


@asynccontextmanager
async def aiohttp_client(
    url: str, /, *, headers: Headers = NO_HEADERS, subprotocols: Sequence[str] = ()
) -> AsyncGenerator[Peer]:
    """Connect with aiohttp; asyncio only."""
    async with aiohttp.ClientSession() as http:
        try:
            connecting = http.ws_connect(url, headers=headers, protocols=subprotocols)
            async with connecting as response:
                yield _AiohttpPeer(response)
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status, error.headers or NO_HEADERS) from None


def as_ws(url: str) -> str:
    """Give an http URL as a ws one."""
    return url.replace("http", "ws", 1)
