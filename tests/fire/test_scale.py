"""At full size: a room of ten thousand, a member that never reads, a hundred thousand rooms."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.abc
import pytest
import trio

from herdwick import Application, Limits, WebSocket
from herdwick.actors import (
    CatchUp,
    Conflate,
    Connection,
    Disconnect,
    Hall,
    History,
    Left,
    Member,
    Realtime,
    Room,
    Slow,
    from_member,
)
from herdwick.runtime import Ask, Crashed, slot_of
from herdwick.testing import crash, settle
from herdwick.websocket import Request
from tests.fire import ALL_SIZES

from .lines import Line

ROOMS: Final = 100_000
SLACK: Final = 8_000
"""Blocks that are left whatever the number of rooms: a thousand timers, taken back, say."""
OUTBOX: Final = 64 * 1024


def on_either(full: int, on_trio: int) -> int:
    """Give the full size on asyncio, and on trio too where all sizes are asked for."""
    return on_trio if trio.lowlevel.in_trio_run() and not ALL_SIZES else full


class Count(Ask[int]):
    """Say the number, after some time, and give the incarnation."""

    n: int
    seconds: float = 0.0


class Hut(Room[Count]):
    """Says what it is told, and in which incarnation."""

    reattached = 0
    left: Final[list[str]] = []

    def __init__(self, name: str) -> None: ...

    async def on_reattach(self, member: Member) -> None:
        Hut.reattached += 1

    async def on_leave(self, member: Member, reason: Left) -> None:
        Hut.left.append(reason.kind)

    @from_member(Count)
    async def count(self, message: Count, member: Member) -> int:
        await anyio.sleep(message.seconds)
        await self.broadcast({"n": message.n, "incarnation": self.ctx.incarnation})
        return self.ctx.incarnation


class Site:
    """An application with such rooms, and members that are connected in memory."""

    def __init__(self, slow: Slow | None = None, history: History | None = None) -> None:
        self.app = app = Application(limits=Limits(outbox_bytes=OUTBOX, connections=100_000))
        app.room("hut:{name}", slow=slow or Disconnect(), history=history)(Hut)
        self.answers: dict[int, object] = {}
        self.tasks: anyio.abc.TaskGroup

        @app.ws("/hut")
        async def hut(websocket: WebSocket) -> None:
            await websocket.accept()
            async with websocket.join(Hut, "a") as room:
                async for n, seconds in websocket.iter_json():
                    try:
                        self.answers[n] = await room.push(Count(n, seconds), timeout=1000)
                    except Crashed as error:
                        self.answers[n] = type(error)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with self.app.running():
            yield

    @property
    def realtime(self) -> Realtime:
        return self.app._rooms.realtime  # pyright: ignore[reportPrivateUsage]  # nobody else has it

    @property
    def hall(self) -> Hall:
        hall = self.realtime.topic("hut:a")
        assert isinstance(hall, Hall)
        return hall

    def connect(self, *, prompt: bool = True) -> tuple[Connection, Line]:
        line = Line(OUTBOX, prompt=prompt)
        scope: dict[str, object] = {
            "type": "websocket",
            "path": "/hut",
            "headers": [(b"host", b"here")],
            "query_string": b"",
            "subprotocols": [],
            "scheme": "ws",
            "client": ("127.0.0.1", 1),
            "state": {},
        }
        return self.app.connect(Request(scope), line), line


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_the_crash_of_a_room_of_ten_thousand_is_not_to_be_seen_on_any_connection() -> None:
    Hut.reattached, site, size = 0, Site(), on_either(10_000, 2_000)
    Hut.left.clear()
    async with site.running():
        crowd = [site.connect() for _ in range(size)]
        await anyio.sleep(1)
        before = dict(site.hall.members)
        crowd[0][0].deliver("[0, 1]")
        await settle()  # this one is in hand, and the others wait
        for n, (connection, _) in enumerate(crowd[1:50], 1):
            connection.deliver(f"[{n}, 0]")
        await settle()

        await crash(site.hall.ref(), OSError("boom"))
        await anyio.sleep(5)

        after = dict(site.hall.members)
        assert list(after) == list(before)
        assert all(after[name] is before[name] for name in before)
        assert {line.ending for _, line in crowd} == {None}
        assert site.app.connections == size
        assert site.answers == {0: Crashed, **dict.fromkeys(range(1, 50), 2)}
        told = [f'{{"n":{n},"incarnation":2}}' for n in range(1, 50)]
        assert sorted(map(str, crowd[0][1].received)) == sorted(told)
        assert all(line.received == crowd[0][1].received for _, line in crowd)
        assert Hut.reattached == size
        assert Hut.left == []


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_a_crash_of_the_whole_branch_is_not_to_be_seen_either() -> None:
    site = Site()
    async with site.running():
        crowd = [site.connect() for _ in range(on_either(10_000, 2_000))]
        await anyio.sleep(1)
        before = dict(site.hall.members)
        root = slot_of(site.hall.ref())
        assert root is not None

        await crash(site.app.system.ref(site.realtime.registry), OSError("boom"))
        crowd[0][0].deliver("[1, 0]")
        await anyio.sleep(5)

        assert site.hall.members == before
        assert {line.ending for _, line in crowd} == {None}
        assert {len(line.received) for _, line in crowd} == {1}


SLOW: Final = [
    pytest.param(Disconnect(), 1013, id="disconnect"),
    pytest.param(CatchUp(patience=1000.0), None, id="catch up"),
    pytest.param(CatchUp(patience=5.0), 1013, id="catch up, impatiently"),
    pytest.param(Conflate[dict[str, int]](lambda each: each["n"] % 7, patience=1000.0), None),
]


@pytest.mark.heavy
@pytest.mark.parametrize(("slow", "code"), SLOW)
async def test_a_member_that_never_reads_harms_nobody_and_holds_no_more_than_its_outbox(
    slow: Slow, code: int | None
) -> None:
    site = Site(slow, History(size=50))
    pad, end = "x" * 1000, on_either(5200, 1700)
    async with site.running():
        crowd = [site.connect() for _ in range(20)]
        _, dead = site.connect(prompt=False)
        await anyio.sleep(1)
        for n in range(200):
            await site.app.broadcast("hut:a", {"n": n, "pad": pad})
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for n in range(200, end):
            await site.app.broadcast("hut:a", {"n": n, "pad": pad})
            for _, line in crowd:
                assert len(line.received) == (n + 1 if n == 200 else 1)
                line.received.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await anyio.sleep(10)

        assert {line.ending for _, line in crowd} == {None}
        assert dead.most_bytes <= OUTBOX + 2 * len(pad)
        assert after - before < 4 * OUTBOX, (
            "1.5 MB and more went by, and what is kept of it is the history"
        )
        assert (dead.ending or (None,))[0] == code


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(("rooms", "history"), [(ROOMS, None), (2_000, History(size=10))])
async def test_idle_rooms_are_put_away_and_their_memory_comes_back_without_the_collector(
    rooms: int, history: History | None
) -> None:
    rooms = on_either(rooms, min(rooms, 10_000))
    site = Site(history=history)
    async with site.running():
        await visit(site, 100)
        await a_day()  # whatever is made once is there
        gc.collect()
        blocks, objects = sys.getallocatedblocks(), len(gc.get_objects())

        halls = await visit(site, rooms)
        busy = sys.getallocatedblocks()
        assert len(site.realtime.topics) == rooms
        await anyio.sleep(31)
        await settle()
        assert len(site.realtime.topics) == 0
        assert sum(hall() is not None for hall in halls) == 0
        del halls
        await a_day()  # for which the epochs of those are kept that have a history

        assert busy - blocks > 20 * rooms
        assert sys.getallocatedblocks() - blocks < 0.2 * rooms + SLACK
        assert len(gc.get_objects()) - objects < 0.02 * rooms + SLACK


async def a_day() -> None:
    for _ in range(25):
        await anyio.sleep(3600)


async def visit(site: Site, rooms: int) -> list[weakref.ref[object]]:
    """Have so many rooms started; nobody joins them."""
    halls: list[weakref.ref[object]] = []
    for number in range(rooms):
        hall = site.realtime.topic(f"hut:{number}")
        assert isinstance(hall, Hall)
        hall.ref()
        halls.append(weakref.ref(hall))
        if not number % 1000:
            await settle()
    await settle()
    return halls
