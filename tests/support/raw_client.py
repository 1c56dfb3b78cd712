"""A WebSocket client that misbehaves as it is told."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import websockets
from anyio.abc import SocketAttribute, SocketStream
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from tests.support.clients import NO_HEADERS, Closed, Data, Headers, Refused, as_ws


@dataclass(slots=True)
class RawPeer:
    """A client without background tasks: it reads, and answers pings, only in `receive`."""

    stream: SocketStream
    protocol: ClientProtocol
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    """The header fields of the answer to the handshake, with lower-case names."""
    unsent: bytes = b""
    """The rest of a frame that was torn."""
    _messages: list[Data] = field(default_factory=list[Data])

    @property
    def socket(self) -> socket.socket:
        """The socket itself, which does not block."""
        raw: socket.socket = self.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio
        return raw

    @property
    def subprotocol(self) -> str | None:
        return self.protocol.subprotocol

    async def send(self, data: Data) -> None:
        await self.stream.send(self.frame(data))

    def frame(self, data: Data) -> bytes:
        """Give a message as it travels."""
        if isinstance(data, str):
            self.protocol.send_text(data.encode())
        else:
            self.protocol.send_binary(data)
        return b"".join(self.protocol.data_to_send())

    async def receive(self) -> Data:
        while not self._messages:
            received = self.protocol.close_rcvd
            if received is not None:
                raise Closed(received.code, received.reason)
            if not await self._read():
                raise Closed(1006)
        return self._messages.pop(0)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, without waiting for the answer."""
        await self.stream.send(self.close_frame(code, reason))

    def close_frame(self, code: int = 1000, reason: str = "") -> bytes:
        """Give a close frame as it travels."""
        self.protocol.send_close(code, reason)
        return b"".join(self.protocol.data_to_send())

    async def leave(self) -> None:
        """Be gone without a word: end the TCP connection in order, without a close frame."""
        await anyio.aclose_forcefully(self.stream)

    async def drop(self) -> None:
        """Be lost: reset the TCP connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.leave()

    async def handshake(self, headers: Headers) -> None:
        request = self.protocol.connect()
        request.headers.update(headers)
        self.protocol.send_request(request)
        await self._flush()
        while (
            self.protocol.handshake_exc is None
            and self.protocol.state is websockets.State.CONNECTING
        ):
            assert await self._read(), "the server has left during the handshake"
        if isinstance(self.protocol.handshake_exc, websockets.InvalidStatus):
            response = self.protocol.handshake_exc.response
            raise Refused(response.status_code, dict(response.headers), bytes(response.body or b""))

    @property
    def _in_handshake(self) -> bool:
        connecting = self.protocol.state is websockets.State.CONNECTING
        return connecting and self.protocol.handshake_exc is None

    async def _read(self) -> bool:
        try:
            self.protocol.receive_data(await self.stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return False
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.headers = {name.lower(): value for name, value in event.headers.raw_items()}
                continue
            assert isinstance(event, Frame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY):
                data = bytes(event.data)
                self._messages.append(data.decode() if event.opcode is Opcode.TEXT else data)
        await self._flush()
        return True

    async def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            try:
                await self.stream.send(data)
            except anyio.BrokenResourceError:
                return


@asynccontextmanager
async def raw_client(
    url: str, /, *, headers: Headers = NO_HEADERS, subprotocols: Sequence[str] = ()
) -> AsyncGenerator[RawPeer]:
    """Connect with the protocol of websockets over a bare stream, on either backend."""
    uri = parse_uri(as_ws(url))
    names = [websockets.Subprotocol(name) for name in subprotocols]
    async with await anyio.connect_tcp(uri.host, uri.port) as stream:
        peer = RawPeer(stream, ClientProtocol(uri, subprotocols=names or None))
        await peer.handshake(headers)
        yield peer
