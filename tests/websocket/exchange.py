"""One HTTP exchange in memory: a scope, a client's side, and what it was sent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from herdwick.websocket.asgi_types import ASGIApp, ASGIEvent, Scope
from herdwick.websocket.request import Request

RawHeaders = Sequence[tuple[str, str]]


def http_scope(
    path: str = "/", *, method: str = "GET", query: str = "", headers: RawHeaders = (), **more: Any
) -> Scope:
    """Return the scope of an HTTP request."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        **more,
    }


def websocket_scope(path: str = "/", **more: Any) -> Scope:
    """Return the scope of a handshake."""
    scope = http_scope(path, **more)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws"}


def post(
    *pieces: bytes, content_type: str = "application/json", body_bytes: int = 1024, **more: Any
) -> Request:
    """Return a request whose body arrives in these pieces."""
    headers = [("content-type", content_type)] if content_type else []
    scope = http_scope(method="POST", headers=headers, **more)
    return Request(scope, client(*pieces).receive, body_bytes=body_bytes)


def client(*pieces: bytes, leaves: bool = False) -> "Client":
    """Return a client that sends a body in these pieces, and leaves in between or never."""
    events: list[ASGIEvent] = [
        {"type": "http.request", "body": piece, "more_body": leaves or number < len(pieces)}
        for number, piece in enumerate(pieces or (b"",), 1)
    ]
    return Client([*events, {"type": "http.disconnect"}] if leaves else events)


@dataclass
class Client:
    """The client's side of an exchange; it waits for the answer once it has sent all."""

    events: list[ASGIEvent] = field(default_factory=list[ASGIEvent])
    sent: list[ASGIEvent] = field(default_factory=list[ASGIEvent])
    on_send: Callable[[ASGIEvent], Awaitable[None]] | None = None

    async def receive(self) -> ASGIEvent:
        await anyio.lowlevel.checkpoint()
        if not self.events:
            await anyio.sleep_forever()
        return self.events.pop(0)

    async def send(self, event: ASGIEvent) -> None:
        await anyio.lowlevel.checkpoint()
        if self.on_send is not None:
            await self.on_send(event)
        self.sent.append(event)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_complete: bool


async def ask(app: ASGIApp, scope: Scope | None = None, peer: Client | None = None) -> Answer:
    """Let an ASGI application answer."""
    peer = peer or client()
    await app(http_scope() if scope is None else scope, peer.receive, peer.send)
    return answer_of(peer)


def answer_of(peer: Client) -> Answer:
    """Return what a client was sent."""
    start, *pieces = peer.sent
    assert start["type"] == "http.response.start"
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    assert len(headers) == len(start["headers"])
    body = b"".join(piece["body"] for piece in pieces)
    return Answer(start["status"], headers, body, bool(pieces) and not pieces[-1]["more_body"])
