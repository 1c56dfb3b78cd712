"""The server under attack, and the bystander whose conversation must go on."""

import logging
import os
import socket
import struct
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import anyio
import pytest
from anyio.abc import SocketAttribute

from herdwick import Application, Limits, Request, Response, WebSocket
from herdwick import text as page_of
from tests.fire import ALL_SIZES
from tests.server.wire import Wire, connected, text
from tests.support.servers import Server

PATIENCE = 10.0
"""Seconds after which a peer that waits for what must come fails the test."""

BYSTANDER = 1.0 if ALL_SIZES else 10.0
"""Seconds in which the bystander has its echo, whatever the others do: 1 is promised, and asked of
a machine that does nothing else."""

Costs: TypeAlias = tuple[int, int, int]
"""Tasks, descriptors, threads."""


MIB = 1 << 20

POURED = 32
"""MiB that `/pour` sends: more than the kernel holds for a peer that does not read."""


def make_app(poured: list[int], limits: Limits | None = None) -> Application:
    """Make an application that echoes, is deaf, pours, says goodbye at once, and answers pages."""
    app = Application(limits=limits, origins=["https://friend.example"])

    @app.ws("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            await (
                websocket.send_text(message)
                if isinstance(message, str)
                else websocket.send_bytes(message)
            )

    @app.ws("/deaf", cancel_on_disconnect=True)
    async def deaf(websocket: WebSocket) -> None:
        await websocket.accept()
        await anyio.sleep_forever()

    @app.ws("/pour")
    async def pour(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(POURED):
            await websocket.send_bytes(bytes(MIB))
            poured.append(MIB)
        await websocket.wait_closed()

    @app.ws("/close")
    async def close(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000, "that is all")

    @app.get("/page")
    async def page(request: Request) -> Response:
        return page_of("a page")

    @app.post("/page")
    async def post(request: Request) -> Response:
        return page_of(f"{len(await request.read())} bytes")

    return app


@dataclass
class Field:
    """A server that runs, and one connection to it that nobody attacks."""

    url: str
    app: Application
    bystander: Wire
    poured: list[int]
    """What `/pour` was rid of."""
    descriptors: int = 0
    """How many were open before the case."""

    @asynccontextmanager
    async def attacker(self) -> AsyncGenerator[Wire]:
        """Connect, and see before and after that the bystander is served."""
        with anyio.fail_after(PATIENCE):
            async with connected(self.url) as wire:
                yield wire
                await self.echo()

    @asynccontextmanager
    async def client(self, path: str = "/") -> AsyncGenerator[Wire]:
        """Connect, and shake hands in order."""
        async with self.attacker() as wire:
            answer = await wire.upgrade(path)
            assert answer.status == 101
            yield wire

    @asynccontextmanager
    async def flooded(self, path: str = "/") -> AsyncGenerator[Wire]:
        """Shake hands in order; the bystander talks all the time."""
        async with self.client(path) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(self._talk)
            yield wire
            tasks.cancel_scope.cancel()

    async def echo(self) -> None:
        """See that the bystander has its echo in time."""
        with anyio.fail_after(BYSTANDER):
            await self.bystander.send(text("still there?"))
            assert await self.bystander.frame() == (1, b"still there?")

    async def _talk(self) -> None:
        while True:
            with anyio.CancelScope(shield=True):  # an echo that is cut in two fails the next one
                await self.echo()
            await anyio.lowlevel.checkpoint()

    async def let_go(self) -> None:
        """Wait until the server has closed its end of the one connection that is attacking."""
        while open_descriptors() > self.descriptors + 1:
            await anyio.lowlevel.checkpoint()

    def costs(self) -> Costs:
        """Count what each connection costs while it is open."""
        return len(anyio.get_running_tasks()), open_descriptors(), len(threads())

    async def recovered(self, before: Costs) -> None:
        """Wait until all that the attack cost is given back."""
        with anyio.move_on_after(PATIENCE):
            while not self._has_recovered(before):
                await anyio.lowlevel.checkpoint()
        assert self._has_recovered(before), (
            f"{self.costs()} after {before}, {self.app.connections} connections"
        )

    def _has_recovered(self, before: Costs) -> bool:
        # Fewer are as well: a thread that idled before may have ended.
        given_back = all(now <= then for now, then in zip(self.costs(), before, strict=True))
        return given_back and self.app.connections == 1


def threads() -> list[threading.Thread]:
    """List the threads that are not those of pytest's timer and of trio's guest mode."""
    return [
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading.Timer) and not thread.name.startswith("Trio thread")
    ]


def open_descriptors() -> int:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(folder))


@asynccontextmanager
async def open_field(server: Server, limits: Limits | None = None) -> AsyncGenerator[Field]:
    """Serve in the background of the block, with a bystander."""
    poured: list[int] = []
    app = make_app(poured, limits)
    async with server.serve(app) as url, connected(url) as bystander:
        assert (await bystander.upgrade()).status == 101
        field = Field(url, app, bystander, poured)
        await field.echo()
        yield field


def reset(wire: Wire) -> None:
    """Have the connection reset when it is closed."""
    raw: socket.socket = wire.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def close_code(wire: Wire) -> int:
    """Read up to the close frame and the end, and give the code."""
    code, _ = await wire.close_frame()
    assert await wire.rest() == b""
    return code


@asynccontextmanager
async def watched(field: Field, caplog: pytest.LogCaptureFixture) -> AsyncGenerator[Field]:
    """See that what the block does costs nothing that stays, and is no fault of the server's."""
    before = field.costs()
    field.descriptors = before[1]
    yield field
    await field.recovered(before)
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.records]
    faults = [record for record in records if record.exc_info or record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in faults] == []
