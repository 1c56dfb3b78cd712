"""The benchmark of actors runs and prints its table, and refuses what was done wrong."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.cell import Wrong, ask, live, tell
from benchmarks.contestants import Crowd, OpenCrowd
from benchmarks.contestants.crowd import Add, Get
from benchmarks.table import ROWS

ROOT = Path(__file__).parents[2]


@pytest.mark.heavy
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_quick_benchmark_prints_its_table(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.actors", "--quick", "--backend", backend]
    command += ["--peer", "bare", "--actors", "50", "--repeats", "1", "--json", str(file)]

    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    labels = [line[:24].strip() for line in printed.splitlines()]
    assert labels[1:] == [backend, *(row.label for row in ROWS), ""]
    measured = json.loads(file.read_text())["measured"]
    assert {each["contestant"] for each in measured} == {"herdwick", "bare"}
    assert all(len(each["figures"]) == 1 for each in measured)


class Counter:
    def __init__(self, number: int) -> None:
        self.number = number

    def tell(self, message: Add) -> None:
        self.number += 1

    async def ask(self, message: Get) -> int:
        return self.number


class Forgetful(Counter):
    def tell(self, message: Add) -> None:
        self.number |= 1


class Liar(Counter):
    async def ask(self, message: Get) -> int:
        return 5


async def end(counter: Counter) -> None:
    """End nothing."""


async def stop() -> None:
    """Stop nothing."""


def crowd_of(kind: type[Counter], *, counted: int = 1) -> OpenCrowd[Counter]:
    async def start(number: int) -> Counter:
        return kind(number)

    @asynccontextmanager
    async def open_crowd() -> AsyncGenerator[Crowd[Counter]]:
        yield Crowd(start, end, stop, lambda: counted)

    return open_crowd


async def test_a_lost_message_is_refused() -> None:
    with pytest.raises(Wrong, match="told and counted: 1, not 10"):
        await tell(crowd_of(Forgetful), 10)


async def test_a_wrong_answer_is_refused() -> None:
    with pytest.raises(Wrong, match="answers"):
        await ask(crowd_of(Liar), 10)


async def test_an_actor_that_is_left_over_is_refused() -> None:
    with pytest.raises(Wrong, match="actors that still run: 3, not 0"):
        await live(crowd_of(Counter, counted=3), 3, starters=1)
