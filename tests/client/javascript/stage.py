"""A WebSocket server that plays a script: what the server does in a scene of scenes.mjs."""

import http
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

import anyio
import msgspec
from anyio.from_thread import start_blocking_portal
from anyio.streams.memory import MemoryObjectReceiveStream
from websockets import Request, Response, Subprotocol
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from herdwick.protocol.v1 import (
    SUBPROTOCOL,
    ClientFrame,
    Join,
    Joined,
    Ping,
    ServerFrame,
    decode_client,
    encode,
)

PATIENCE = 30.0

F = TypeVar("F", bound=ClientFrame)


def raw(data: object) -> msgspec.Raw:
    """Give data as it stands in a frame."""
    return msgspec.Raw(msgspec.json.encode(data))


@dataclass(frozen=True, slots=True)
class Visitor:
    """One connection of the client, as the script sees it."""

    connection: ServerConnection

    @property
    def token(self) -> str | None:
        """What the client offers besides the subprotocol."""
        assert self.connection.request is not None
        offered = self.connection.request.headers["Sec-WebSocket-Protocol"].split(",")
        assert offered[0] == SUBPROTOCOL
        return offered[1].strip().removeprefix("bearer.") if len(offered) > 1 else None

    async def receive(self, kind: type[F]) -> F:
        """Receive the next frame, which must be of that kind."""
        with anyio.fail_after(PATIENCE):
            frame = decode_client(await self.connection.recv())
        assert isinstance(frame, kind), frame
        return frame

    async def send(self, *frames: ServerFrame) -> None:
        for frame in frames:
            await self.connection.send(encode(frame))

    async def send_text(self, text: str) -> None:
        await self.connection.send(text)

    async def take_in(self, *, since: str | None = None, **fields: Any) -> Join:
        """Receive a `join` that asks for that position, and answer `joined` with the fields."""
        join = await self.receive(Join)
        assert join.since == since, join
        await self.send(Joined(join.ref, join.topic, **fields))
        return join

    async def close(self, code: int, reason: str = "") -> None:
        await self.connection.close(code, reason)

    async def lose(self) -> None:
        """Let the connection break, once the client has all that was sent before."""
        with anyio.fail_after(PATIENCE):
            await (await self.connection.ping())
        self.connection.transport.abort()

    async def closing(self) -> int | None:
        """Wait until the client has closed, and give its code; pings may come before."""
        try:
            while True:
                await self.receive(Ping)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


@dataclass(slots=True)
class Stage:
    """Where the script meets the client."""

    arriving: MemoryObjectReceiveStream[Visitor]
    handshakes: int = 0
    refusals: list[int] = field(default_factory=list[int])
    """The HTTP statuses that the next handshakes are refused with."""

    async def visitor(self) -> Visitor:
        """Wait for the client to connect, for the first time or again."""
        with anyio.fail_after(PATIENCE):
            return await self.arriving.receive()

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        if not self.refusals:
            return None
        return connection.respond(http.HTTPStatus(self.refusals.pop(0)), "no")


Script: TypeAlias = Callable[[Stage], Awaitable[None]]


@contextmanager
def played(script: Script) -> Generator[str]:
    """Play the script on a thread; at the end of the block it must have come to its own."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_played(script)) as url,
    ):
        yield url


@asynccontextmanager
async def _played(script: Script) -> AsyncGenerator[str]:
    arrived, arriving = anyio.create_memory_object_stream[Visitor](100)
    stage = Stage(arriving)

    async def visit(connection: ServerConnection) -> None:
        arrived.send_nowait(Visitor(connection))
        await connection.wait_closed()

    protocols = [Subprotocol(SUBPROTOCOL)]
    with arrived, arriving:
        async with (
            serve(
                visit, "127.0.0.1", 0, subprotocols=protocols, process_request=stage.answer
            ) as server,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_perform, script, stage)
            host, port = cast(tuple[str, int], next(iter(server.sockets)).getsockname())
            yield f"http://{host}:{port}/live"
            tasks.cancel_scope.deadline = anyio.current_time() + PATIENCE
        assert not tasks.cancel_scope.cancelled_caught, "the script has not come to its end"


async def _perform(script: Script, stage: Stage) -> None:
    await script(stage)
