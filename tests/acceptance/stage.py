"""A stage: which server plays, and which client."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import anyio

from herdwick import Application, Limits, WebSocket
from tests.support.clients import NO_HEADERS, Connect, Headers, Peer
from tests.support.servers import Server

Handler: TypeAlias = Callable[[WebSocket], Awaitable[None]]

P = TypeVar("P", bound=Peer)

PATIENCE = 60.0
"""Seconds after which a test that hangs fails."""


@dataclass(frozen=True, slots=True)
class Stage(Generic[P]):
    """A server with a client before it."""

    server: Server
    connect: Connect[P]

    @asynccontextmanager
    async def serve(self, app: Application) -> AsyncGenerator[str]:
        """Serve an application in the background of the block, and give its base URL."""
        with anyio.fail_after(PATIENCE):
            async with self.server.serve(app) as url:
                yield url

    @asynccontextmanager
    async def visit(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        debug: bool = False,
        headers: Headers = NO_HEADERS,
        subprotocols: Sequence[str] = (),
    ) -> AsyncGenerator[P]:
        """Serve one handler, and connect to it.

        Raises:
            Refused: The handshake was refused.
        """
        app = Application(limits=limits, debug=debug)
        app.ws("/")(handler)
        async with (
            self.serve(app) as url,
            self.connect(url, headers=headers, subprotocols=subprotocols) as peer,
        ):
            yield peer
