"""What the crash of a room costs its members: the time until each of them hears of it again.

    python -m benchmarks.rooms
    python -m benchmarks.rooms --backend trio --members 10000 --sockets 500 --repeats 5

README.md says what is measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from subprocess import PIPE
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from anyio.streams.buffered import BufferedByteReceiveStream

from herdwick import Application, Limits, WebSocket, serve
from herdwick.actors import (
    Bounds,
    Connection,
    Data,
    Hall,
    Member,
    Push,
    RawHeaders,
    Room,
    Shared,
    from_member,
)
from herdwick.runtime import Answer, Message, Once, slot_of
from herdwick.testing import settle
from herdwick.websocket import Request

BACKENDS: Final = ("asyncio", "uvloop", "trio")
CRASHES: Final = 5
"""Of one process: a room that fails more often within 10 s is given up."""

Where: TypeAlias = Literal["memory", "sockets"]


class Wrong(Exception):
    """What was measured did not do what it should."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the table."""
    options = _options(arguments)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {options.repeats} repeats")
    print(f"{'crash to first delivery, ms':28}{'members':>9}{'p50':>8}{'p99':>8}{'worst':>8}")
    measured: list[dict[str, object]] = []
    for cell in _cells(options):
        samples = [sample for _ in range(options.repeats) for sample in _in_a_process(cell)]
        cuts = quantiles(samples, n=100)
        row = {"p50": cuts[49], "p99": cuts[98], "worst": max(samples)}
        figures = "".join(f"{figure:8.1f}" for figure in row.values())
        print(f"{cell.backend + ', ' + cell.where:28}{cell.members:9}{figures}", flush=True)
        measured.append({**asdict(cell), **row})
    if options.json is not None:
        options.json.write_text(json.dumps({"python": sys.version, "measured": measured}, indent=1))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--members", type=int, default=10_000, help="in memory; 0: none")
    parser.add_argument("--sockets", type=int, default=500, help="over TCP; 0: none")
    parser.add_argument("--repeats", type=int, default=3, help=f"of {CRASHES} crashes each")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args(arguments)


def _cells(options: argparse.Namespace) -> Iterator[Cell]:
    for backend in options.backend or BACKENDS:
        if importlib.util.find_spec(backend) is not None:
            if options.members:
                yield Cell("memory", backend, options.members)
            if options.sockets:
                yield Cell("sockets", backend, options.sockets)


def _in_a_process(cell: Cell) -> list[float]:
    context = get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        return processes.submit(cell.run).result()


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement."""

    where: Where
    backend: str
    members: int

    def run(self) -> list[float]:
        """Give the milliseconds from each crash to each member's first delivery after it."""
        logging.disable()  # each crash would be written
        work = partial(in_memory if self.where == "memory" else over_sockets, self.members)
        if self.backend == "uvloop":
            return anyio.run(work, backend_options={"use_uvloop": True})
        return anyio.run(work, backend=self.backend)


# ---------------------------------------------------------------- what is measured


class Say(Message):
    """Broadcast the incarnation."""


class Hang(Message):
    """Be in hand when the room crashes."""


class Arena(Room):
    """Broadcasts in which incarnation it is."""

    def __init__(self, name: str) -> None: ...

    @from_member(Say)
    async def say(self, message: Say, member: Member) -> None:
        """Broadcast it."""
        await self.broadcast(self.ctx.incarnation)

    @from_member(Hang)
    async def hang(self, message: Hang, member: Member) -> None:
        """Wait for the crash."""
        await anyio.sleep_forever()


class Site:
    """The application, and its one room."""

    def __init__(self) -> None:
        self.app = Application(limits=Limits(connections=1_000_000))
        self.app.room("arena:{name}")(Arena)

        @self.app.ws("/")
        async def arena(websocket: WebSocket) -> None:
            await websocket.serve_rooms()

    @property
    def hall(self) -> Hall:
        """The room's topic."""
        hall = self.app._rooms.realtime.topic("arena:a")  # pyright: ignore[reportPrivateUsage]
        assert isinstance(hall, Hall)
        return hall

    async def crash(self) -> float:
        """Crash the room, with one push in hand and one that waits; give the moment."""
        hall, answer = self.hall, Answer[object]()
        slot = slot_of(hall.ref())
        assert slot is not None
        before = dict(hall.members)
        member = next(iter(before.values()))
        hall.submit(Push(Hang(), member, Answer()))
        while slot.current is None:
            await anyio.lowlevel.checkpoint()
        hall.submit(Push(Say(), member, answer))
        assert slot.life is not None
        began = time.perf_counter()
        slot.life.fail(OSError("of the benchmark"))
        await answer.wait()
        _check("members", hall.members == before, True)
        return began


async def in_memory(members: int) -> list[float]:
    """Measure members that are connected in memory."""
    site, clocks = Site(), [Clock() for _ in range(members)]
    samples: list[float] = []
    async with site.app.running():
        connections = [site.app.connect(Request(SCOPE), clock) for clock in clocks]
        for clock, connection in zip(clocks, connections, strict=True):
            await clock.answered.wait()
            join(connection)
        await settle()
        _check("members", len(site.hall.members), members)
        for _ in range(CRASHES):
            await anyio.sleep(0.1)
            for clock in clocks:
                clock.first = None
            began = await site.crash()
            times = [clock.first for clock in clocks if clock.first is not None]
            _check("deliveries", len(times), members)
            samples += [1000 * (moment - began) for moment in times]
        _check("connections", site.app.connections, members)
        _check("closed", sum(clock.closed for clock in clocks), 0)
    return samples


async def over_sockets(members: int) -> list[float]:
    """Measure the clients of another process: until they have read it from their sockets."""
    site = Site()
    async with serve(site.app) as url:
        command = [sys.executable, "-m", "benchmarks.sockets", f"{urlsplit(url).port}"]
        command += [f"{members}", f"{CRASHES}"]
        async with await anyio.open_process(command, stdout=PIPE, stderr=None) as clients:
            assert clients.stdout is not None
            lines = BufferedByteReceiveStream(clients.stdout)
            _check("clients", await lines.receive_until(b"\n", 100), b"ready")
            began: list[float] = []
            for _ in range(CRASHES):
                await anyio.sleep(0.2)
                began.append(await site.crash())
            times: list[list[float]] = json.loads(await lines.receive_until(b"\n", 10**8))
            _check("connections", site.app.connections, members)
    return [
        1000 * (moment - crash) for each in times for moment, crash in zip(each, began, strict=True)
    ]


def _check(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise Wrong(f"{what}: {actual}, not {expected}")


# ---------------------------------------------------------------- members in memory

SCOPE: Final[dict[str, object]] = {
    "type": "websocket",
    "path": "/",
    "scheme": "ws",
    "headers": [(b"host", b"here"), (b"sec-websocket-protocol", b"herdwick.v1")],
    "query_string": b"",
    "subprotocols": ["herdwick.v1"],
    "client": ("127.0.0.1", 1),
    "state": {},
}


def join(connection: Connection) -> None:
    """Let its client join."""
    connection.deliver('{"type":"join","ref":1,"topic":"arena:a"}')


class Clock:
    """A transport that takes the time of the first message since it was set back."""

    longest_pause = float("inf")

    def __init__(self) -> None:
        self.first: float | None = None
        self.answered = Once()
        self.closed = False

    def limit(self, bounds: Bounds) -> None:
        """Bound nothing."""

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Let the client go on."""
        self.answered.happen()

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Be refused."""
        self.closed = True
        self.answered.happen()

    def offer(self, data: Data) -> bool:
        """Take the time; the client reads at once."""
        if self.first is None:
            self.first = time.perf_counter()
        return False

    def share(self, message: Shared) -> bool:
        """Take the time."""
        return self.offer(message.data)

    async def drained(self) -> None:
        """Be drained always."""

    def close(self, code: int, reason: str = "") -> None:
        """Be closed."""
        self.closed = True

    def abort(self) -> None:
        """Be closed."""
        self.closed = True

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    main()
