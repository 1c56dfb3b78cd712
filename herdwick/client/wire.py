"""One WebSocket over a byte stream, on asyncio and on trio."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import ByteStream
from websockets import InvalidMessage, InvalidStatus, State, Subprotocol
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import WebSocketURI

from .comeback import LOST

GONE: Final = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    ssl.SSLError,
    OSError,
)
"""What a stream raises where its peer is gone."""

_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)

RECEIVE_BYTES: Final = 64 * 1024
"""The most that is taken from a stream at once."""


class Closed(Exception):
    """The connection has ended; 1006 where there was no close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code}")
        self.code = code
        self.reason = reason


class Malformed(Exception):
    """The server does not keep to HTTP, to RFC 6455, or to the bounds of its messages."""


class Answered(Exception):
    """The server has answered the handshake with an HTTP response."""

    def __init__(self, status: int, retry_after: str | None, body: bytes) -> None:
        super().__init__(f"answered with {status}")
        self.status = status
        self.retry_after = retry_after
        self.body = body


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to, and what to say first."""

    uri: WebSocketURI
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    max_message_bytes: int


class Wire:
    """An open WebSocket: one task may receive while another one sends."""

    def __init__(self, stream: ByteStream, protocol: ClientProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._fragments: list[bytes] = []
        self._early: list[bytes] = []

    @property
    def subprotocol(self) -> str | None:
        """What the server has chosen."""
        return self._protocol.subprotocol

    @property
    def open(self) -> bool:
        """Whether neither end has closed."""
        return self._protocol.state is State.OPEN

    def write(self, text: str) -> None:
        """Let a text message go out with the next `flush`; only while it is open."""
        self._protocol.send_text(text.encode())

    def close(self, code: int) -> None:
        """Let a close frame go out with the next `flush`, after all that was written."""
        if self.open:
            self._protocol.send_close(code)

    async def flush(self) -> bool:
        """Send what waits, and tell whether there was any.

        Cancelling may tear a frame: only close the wire after that.
        """
        data = b"".join(self._protocol.data_to_send())
        if data:
            await self._stream.send(data)
        return bool(data)

    async def receive(self) -> list[bytes]:
        """Wait for bytes, and give the messages that they complete: maybe none.

        Cancelling is safe: no byte is lost.

        Raises:
            Closed: The connection has ended, and every message was given.
            Malformed: The server does not keep to RFC 6455, or the message is too long.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        self._check()
        try:
            data = await self._stream.receive(RECEIVE_BYTES)
        except GONE:
            raise Closed(LOST) from None
        self._protocol.receive_data(data)
        return self._messages()

    async def aclose(self) -> None:
        """Drop the TCP connection, once what waits has gone out or a second has passed."""
        # Shielded: the answer to a close frame goes out, whoever cancels.
        with anyio.move_on_after(1, shield=True), suppress(*GONE):
            await self.flush()
        with suppress(*GONE):
            await self._stream.aclose()

    async def shake_hands(self, headers: Mapping[str, str]) -> None:
        """Make the handshake of RFC 6455 section 4.

        Raises:
            Answered: The server answered with a response of another kind.
            Malformed: The server answered with what is no such handshake.
            Closed: The connection was lost.
        """
        request = self._protocol.connect()
        for name, value in headers.items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self._protocol.send_request(request)
        await self.flush()
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            try:
                self._protocol.receive_data(await self._stream.receive(RECEIVE_BYTES))
            except anyio.EndOfStream:
                self._protocol.receive_eof()
        self._check_handshake(self._protocol.handshake_exc)
        self._early = self._messages()

    def _check_handshake(self, error: Exception | None) -> None:
        match error:
            case None:
                return
            case InvalidStatus(response=response):
                after = response.headers.get_all("Retry-After")
                body = bytes(response.body or b"")
                raise Answered(response.status_code, after[0] if after else None, body)
            case InvalidMessage() if isinstance(error.__cause__, EOFError):
                raise Closed(LOST)
            case _:
                raise Malformed(str(error)) from error

    def _check(self) -> None:
        """Raise what the connection has ended by, if it has."""
        received, broken = self._protocol.close_rcvd, self._protocol.parser_exc
        if received is not None:
            raise Closed(received.code, received.reason)
        if broken is not None:
            raise Malformed(str(broken)) from broken

    def _messages(self) -> list[bytes]:
        """Give the messages that are complete, text or not: the decoder of frames judges them."""
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame) or event.opcode not in _DATA:
                continue
            self._fragments.append(bytes(event.data))
            if event.fin:
                messages.append(b"".join(self._fragments))
                self._fragments.clear()
        return messages


async def open_wire(address: Address, subprotocols: Sequence[str]) -> Wire:
    """Connect and make the handshake.

    Raises:
        OSError: The server is not reached.
        Answered: It answered with a response of another kind.
        Malformed: It answered with what is no handshake.
        Closed: The connection was lost.
    """
    names = [Subprotocol(name) for name in subprotocols]
    bound = address.max_message_bytes
    protocol = ClientProtocol(address.uri, subprotocols=names, max_size=bound)
    stream = await _connect(address)
    wire = Wire(stream, protocol)
    try:
        await wire.shake_hands(address.headers)
    except GONE as error:
        await anyio.aclose_forcefully(stream)
        raise Closed(LOST) from error
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return wire


async def _connect(address: Address) -> ByteStream:
    uri = address.uri
    if address.tls is None:
        return await anyio.connect_tcp(uri.host, uri.port)
    return await anyio.connect_tcp(
        uri.host,
        uri.port,
        ssl_context=address.tls,
        tls_hostname=uri.host,
        tls_standard_compatible=False,  # WebSockets have a closing handshake of their own
    )
