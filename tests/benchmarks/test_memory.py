"""The scales weigh what is there, and the table of memory has a line for all that weighs much."""

import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.memory.scales import Weight, by_object

ROOT = Path(__file__).parents[2]


class Sheep:
    __slots__ = ("wool",)

    def __init__(self) -> None:
        self.wool = deque([1.5])


def what_an_object_holds_is_weighed_as_its_own() -> None:
    weigh = by_object()
    before = weigh()
    flock = [Sheep() for _ in range(10)]
    after = weigh()

    gained = {name: after[name] - before.get(name, Weight()) for name in after}
    assert gained["Sheep"] == Weight(10, 10 * 48)
    assert gained["deque of Sheep"].pieces == 10
    assert gained["float of Sheep"] == Weight(1, 32), "they share the constant"
    assert len(flock) == 10


def to_weigh_weighs_nothing() -> None:
    weigh = by_object()
    weigh()  # what is made but once

    before, after = weigh(), weigh()

    assert sum(after.values(), Weight()).bytes - sum(before.values(), Weight()).bytes < 5000


@pytest.mark.parametrize(
    "claim", [what_an_object_holds_is_weighed_as_its_own, to_weigh_weighs_nothing]
)
def test_in_a_small_process(claim: Callable[[], None]) -> None:
    """All that there is gets weighed, and in the tests' own process that is a lot."""
    program = f"from {__name__} import {claim.__name__} as claim; claim()"

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )

    assert not ended.returncode, ended.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("subject", "backend", "by"),
    [
        ("connection in a room", "uvloop", "line"),
        ("actor, asked once", "trio", "object"),
    ],
)
def test_little_of_the_resident_memory_is_left_unexplained(
    subject: str, backend: str, by: str
) -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "--count", "200"]
    command += ["--subject", subject, "--backend", backend, "--by", by]

    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    _, _, head, _, *_, explained, resident = printed.splitlines()
    assert head == f"| {subject}: {by} | {backend} |"
    assert 0.5 < figure(explained) / figure(resident) < 2


def figure(row: str) -> float:
    """Give the bytes of a row, without the number of pieces."""
    return float(row.split("|")[-2].split()[0].replace(",", ""))
