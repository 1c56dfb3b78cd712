"""An application made for tests of the server: each WebSocket runs what the test gives."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from herdwick.actors import Data, Transport
from herdwick.websocket import ASGIApp, ASGIReceive, ASGISend, Limits, Request, Scope


@dataclass
class Conversation:
    """One connection as the application sees it: what has come, and how it ended."""

    scope: Scope
    transport: Transport
    messages: list[Data] = field(default_factory=list[Data])
    ends: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    on_message: Callable[["Conversation", Data], object] | None = None
    moved: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def deliver(self, data: Data) -> None:
        self.messages.append(data)
        self.moved.set()
        if self.on_message is not None:
            self.on_message(self, data)

    def disconnected(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))
        self.ended.set()

    failed = disconnected

    async def wait_for(self, count: int) -> list[Data]:
        """Wait until so many messages have come."""
        while len(self.messages) < count:
            self.moved = anyio.Event()
            await self.moved.wait()
        return self.messages


def accept(conversation: Conversation) -> None:
    conversation.transport.accept(None, [])


def echo(conversation: Conversation) -> None:
    """Accept, and send every message back."""
    conversation.on_message = lambda conversation, data: conversation.transport.offer(data)
    conversation.transport.accept(None, [])


async def hello(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Answer every request with its method and its body."""
    body = b""
    more = True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body})


class FakeApp:
    """What `Application` is to a server, by hand."""

    def __init__(
        self,
        on_connect: Callable[[Conversation], None] = echo,
        http: ASGIApp = hello,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.conversations: list[Conversation] = []
        self.events: list[str] = []
        self.connected = anyio.Event()
        self._more = anyio.Event()
        self._on_connect = on_connect
        self._http = http

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await self._http(scope, receive, send)

    def connect(self, request: Request, transport: Transport, /) -> Conversation:
        conversation = Conversation(request.scope, transport)
        self._on_connect(conversation)
        self.conversations.append(conversation)
        self.connected.set()
        self._more.set()
        return conversation

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        self.events.append("started")
        try:
            yield
        finally:
            self.events.append("stopped")

    async def drain(self) -> None:
        self.events.append("draining")
        for conversation in self.conversations:
            conversation.transport.close(1012, "restarting")
        for conversation in self.conversations:
            await conversation.ended.wait()

    async def connected_times(self, count: int) -> None:
        """Wait until so many connections have come."""
        while len(self.conversations) < count:
            self._more = anyio.Event()
            await self._more.wait()

    async def conversation(self) -> Conversation:
        """Wait for the first connection."""
        await self.connected.wait()
        return self.conversations[0]
