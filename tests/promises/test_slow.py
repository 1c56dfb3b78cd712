"""P6: members that never read cost what their limits allow, and the others next to nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final

import pytest

from herdwick import Limits
from herdwick.server.carrier import WRITE_BYTES
from tests.promises import ALL_SIZES
from tests.promises.crowd import Client, Crowd
from tests.promises.report import note
from tests.promises.servers import serving

pytestmark = pytest.mark.heavy


@dataclass(frozen=True, slots=True)
class Size:
    """How many, and how fast."""

    slow: int
    readers: int
    each_second: int
    """Messages, a second."""
    message: int
    """Bytes of each."""
    seconds: float


SIZE: Final = Size(500, 20, 1000, 1024, 12.0) if ALL_SIZES else Size(50, 5, 400, 16 * 1024, 2.0)

MIB: Final = 1024 * 1024
CUT_WITHIN: Final = 30.0
"""Seconds."""
SLACK: Final = 8.0
"""MiB that a process may grow by for reasons of its own."""


@dataclass
class Reader:
    """A member that reads at once: it counts, and takes the time."""

    heard: int = 0
    delays: list[float] = field(default_factory=list[float])

    def hear(self, client: Client, payload: bytes) -> None:
        number, sent = payload.split(b" ", 2)[:2]
        assert int(number) == self.heard, f"{number!r} is not what follows {self.heard}"
        self.heard += 1
        self.delays.append(1000 * (time.monotonic() - float(sent)))


def broadcast(crowd: Crowd, seconds: float) -> list[Reader]:
    """Broadcast for so long to those who read; each of them hears all."""
    readers = [Reader() for _ in range(SIZE.readers)]
    for reader, client in zip(readers, list(crowd)[: SIZE.readers], strict=True):
        client.hear = reader.hear
    [publisher] = crowd.gather([f"/flood/{SIZE.each_second}/{SIZE.message}"])
    publisher.send(f"{seconds}")
    count = int(seconds * SIZE.each_second)
    crowd.until(lambda: all(each.heard == count for each in readers), "all have heard all")
    publisher.close()
    return readers


def p99(readers: list[Reader]) -> float:
    return quantiles([delay for each in readers for delay in each.delays], n=100)[98]


@pytest.mark.parametrize("server_name", ["asyncio", "trio"])
def test_members_that_never_read_cost_no_more_than_their_limits(server_name: str) -> None:
    with serving(server_name) as server, Crowd(server.port) as crowd:
        crowd.gather(["/member/flood"] * SIZE.readers)
        before = broadcast(crowd, SIZE.seconds / 3)
        crowd.buffer = 4096  # or the kernel would hold for seconds what nobody reads
        for each in crowd.gather(["/member/flood"] * SIZE.slow):
            each.stop_reading()
        held = server.most_mib
        beside = broadcast(crowd, SIZE.seconds)
        grown = server.most_mib - held

        left = SIZE.readers
        crowd.until(lambda: server.holdings().connections == left, "the slow are cut", CUT_WITHIN)
    # What waits is shared by all; what is being written is a copy for each.
    assert grown < (SIZE.slow * WRITE_BYTES + Limits().outbox_bytes) / MIB + SLACK
    limit = (SIZE.slow + 1) * Limits().outbox_bytes / MIB
    note("P6: growth, MiB", server_name, [grown], bar=limit)
    ratio = p99(beside) / p99(before)
    note("P6: p99 of those who read, to that without slow ones", server_name, [ratio], bar=1.5)
