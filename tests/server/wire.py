"""A tiny WebSocket client that can misbehave, for both event loops."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from herdwick.server.frames import apply_mask

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes = MASK) -> bytes:
    """Build a frame as a client sends it."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 1 << 16:
        size = b"\xfe" + length.to_bytes(2, "big")
    else:
        size = b"\xff" + length.to_bytes(8, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + size + mask + apply_mask(payload, mask)


def text(payload: str) -> bytes:
    return frame(1, payload.encode())


def close(code: int | None = None, reason: str = "") -> bytes:
    return frame(8, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def upgrade(path: str = "/", *lines: str) -> bytes:
    """Build the head of a sound handshake, and more lines."""
    head = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""


class Wire:
    """The client's end of one TCP connection."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self._buffered = BufferedByteReceiveStream(stream)

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Read one HTTP answer; its body by content-length."""
        head = (await self._buffered.receive_until(b"\r\n\r\n", 65536)).decode("latin-1")
        first, *lines = head.split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in fields}
        length = 0 if head_only else int(headers.get("content-length", "0"))
        body = await self._buffered.receive_exactly(length) if length else b""
        return Answer(int(first.split()[1]), headers, body)

    async def upgrade(self, path: str = "/", *lines: str, early: bytes = b"") -> Answer:
        """Shake hands; `early` travels in the same segment."""
        await self.send(upgrade(path, *lines) + early)
        return await self.answer()

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame: opcode and payload."""
        first, second = await self._buffered.receive_exactly(2)
        length = second & 0x7F
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(await self._buffered.receive_exactly(size), "big")
        payload = await self._buffered.receive_exactly(length) if length else b""
        return first & 0x0F, payload

    async def close_frame(self) -> tuple[int, str]:
        """Read frames up to the close frame, and give its code and reason."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def rest(self) -> bytes:
        """Read what comes until the server closes."""
        data = b""
        while True:
            try:
                data += await self._buffered.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return data

    async def exactly(self, count: int) -> bytes:
        return await self._buffered.receive_exactly(count)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Wire, None]:
    """Connect to a server by its base URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with await anyio.connect_tcp(parts.hostname, parts.port) as stream:
        yield Wire(stream)
