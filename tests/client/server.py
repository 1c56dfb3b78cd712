"""A server of herdwick.v1 on a real socket that does as the test tells it."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import TypeAlias, TypeVar

import anyio
import msgspec
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from websockets import Subprotocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from herdwick.client import Client, Options, Room, Token
from herdwick.client.wire import GONE
from herdwick.protocol import (
    SUBPROTOCOL,
    ClientFrame,
    Join,
    Joined,
    Ping,
    Publication,
    Push,
    Reply,
    ServerFrame,
    decode_client,
    encode,
)

F = TypeVar("F")

Welcome: TypeAlias = Callable[[Join], Sequence[ServerFrame]]
Answer: TypeAlias = tuple[int, Mapping[str, str]]


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def publication(payload: object, position: str | None = None, topic: str = "chat") -> Publication:
    return Publication(topic, raw(payload), position)


def let_in(join: Join) -> Sequence[ServerFrame]:
    return [Joined(join.ref, join.topic)]


class Peer:
    """The server's end of one connection; pings are answered, and joins as the server says."""

    def __init__(self, server: Server, stream: ByteStream, protocol: ServerProtocol) -> None:
        self.headers: dict[str, str] = {}
        self.joins: list[Join] = []
        self.close_code: int | None = None
        """What the client closed with; 1006 where it said nothing."""
        self.deaf = False
        """Whether to read nothing from now on but the end."""
        self._server = server
        self._stream = stream
        self._protocol = protocol
        self._sending = anyio.Lock()
        self._frames, self._received = anyio.create_memory_object_stream[ClientFrame](inf)
        self._closed = anyio.Event()

    async def send(self, *frames: ServerFrame) -> None:
        """Send frames at once, so that the client reads them together."""
        await self.send_text(*(encode(frame) for frame in frames))

    async def send_text(self, *texts: str) -> None:
        for text in texts:
            self._protocol.send_text(text.encode())
        await self._flush()

    async def send_fragments(self, *parts: str) -> None:
        self._protocol.send_text(parts[0].encode(), fin=False)
        for part in parts[1:]:
            self._protocol.send_continuation(part.encode(), fin=part is parts[-1])
        await self._flush()

    async def receive(self, kind: type[F]) -> F:
        """Give the next frame that was not answered by itself, which must be of this kind."""
        frame = await self._received.receive()
        assert isinstance(frame, kind), frame
        return frame

    async def answer_push(self, answer: object = None) -> object:
        """Reply to the next push, and give its payload."""
        push = await self.receive(Push)
        assert push.ref is not None
        await self.send(Reply(push.ref, raw(answer)))
        payload: object = msgspec.json.decode(push.payload)
        return payload

    async def pushed(self, count: int) -> list[object]:
        """Give the payloads of the next pushes, and answer none."""
        pushes = [await self.receive(Push) for _ in range(count)]
        return [msgspec.json.decode(push.payload) for push in pushes]

    def received(self) -> list[ClientFrame]:
        """Take the frames that were received and not answered, without waiting."""
        frames: list[ClientFrame] = []
        while self._received.statistics().current_buffer_used:
            frames.append(self._received.receive_nowait())
        return frames

    async def close(self, code: int, reason: str = "") -> None:
        """Close, in order."""
        self._protocol.send_close(code, reason)
        await self._flush()

    async def drop(self) -> None:
        """Be gone without a word."""
        await anyio.aclose_forcefully(self._stream)

    async def wait_closed(self) -> int:
        """Wait for the end of the connection, and tell what the client closed with."""
        await self._closed.wait()
        assert self.close_code is not None
        return self.close_code

    async def shake_hands(self) -> bool:
        """Answer the handshake, and tell whether it was accepted."""
        while not (events := self._protocol.events_received()):
            self._protocol.receive_data(await self._stream.receive())
        [request] = events
        assert isinstance(request, Request)
        self.headers = {name.lower(): value for name, value in request.headers.raw_items()}
        response = self._protocol.accept(request)
        if self._server.answers:
            status, headers = self._server.answers.popleft()
            response = self._protocol.reject(status, "no")
            response.headers.update(headers)
        self._protocol.send_response(response)
        await self._flush()
        return response.status_code == 101

    async def run(self) -> None:
        try:
            while True:
                data = await self._stream.receive()
                if self.deaf:
                    continue
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    await self._take(event)
                await self._flush()
        except GONE:
            pass
        finally:
            received = self._protocol.close_rcvd
            self.close_code = 1006 if received is None else received.code
            self._closed.set()
            self._frames.close()

    def forget(self) -> None:
        self._frames.close()
        self._received.close()

    async def _take(self, event: object) -> None:
        assert isinstance(event, Frame)
        if event.opcode is not Opcode.TEXT:
            return
        match frame := decode_client(bytes(event.data)):
            case Ping():
                self._server.pings += 1
                if not self._server.silent:
                    await self.send(Reply(frame.ref))
            case Join():
                self.joins.append(frame)
                await self.send(*self._server.welcome(frame))
            case _:
                self._frames.send_nowait(frame)

    async def _flush(self) -> None:
        async with self._sending:
            for data in self._protocol.data_to_send():
                try:
                    await (self._stream.send(data) if data else self._stream.send_eof())
                except (*GONE, NotImplementedError):  # TLS has no half to close
                    return


class Server:
    """Where clients connect to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.welcome: Welcome = let_in
        """What a join is answered with."""
        self.answers: deque[Answer] = deque()
        """What the next handshakes are refused with."""
        self.subprotocols = [SUBPROTOCOL]
        self.tried_at: list[float] = []
        """When clients came, in virtual time."""
        self.pings = 0
        self.silent = False
        self.all: list[Peer] = []
        """Who has ever come."""
        self._peers, self._accepted = anyio.create_memory_object_stream[Peer](inf)

    async def accepted(self) -> Peer:
        """Wait for the next connection."""
        return await self._accepted.receive()

    async def serve(self, stream: ByteStream) -> None:
        names = [Subprotocol(name) for name in self.subprotocols]
        self.tried_at.append(anyio.current_time())
        async with stream:
            peer = Peer(self, stream, ServerProtocol(subprotocols=names or None))
            self.all.append(peer)
            with suppress(*GONE):
                if await peer.shake_hands():
                    self._peers.send_nowait(peer)
                    await peer.run()

    def close(self) -> None:
        for peer in self.all:
            peer.forget()
        self._peers.close()
        self._accepted.close()


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Server]:
    """Run a server; a test may take ten minutes of virtual time."""
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    listener = tcp if tls is None else TLSListener(tcp, tls, standard_compatible=False)
    scheme = "ws" if tls is None else "wss"
    server = Server(f"{scheme}://127.0.0.1:{tcp.extra(SocketAttribute.local_port)}/live")  # noqa: S610 - anyio
    with anyio.fail_after(600):
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.serve)
            try:
                yield server
            finally:
                server.close()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def connected(
    server: Server,
    *,
    token: Token | None = None,
    first_message: bool = False,
    options: Options | None = None,
) -> AsyncGenerator[tuple[Client, Peer]]:
    """Give a client and the server's end of its connection."""
    async with Client(
        server.url,
        token=token,
        first_message=first_message,
        options=options,
        random=lambda: 0.5,
    ) as client:
        yield client, await server.accepted()


@asynccontextmanager
async def in_room(
    server: Server, *, since: str | None = None, options: Options | None = None
) -> AsyncGenerator[tuple[Room, Peer]]:
    """Give a member of the topic `chat`, and the server's end of its connection."""
    async with (
        connected(server, options=options) as (client, peer),
        client.join("chat", since=since) as room,
    ):
        yield room, peer
