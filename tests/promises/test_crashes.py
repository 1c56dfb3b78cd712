"""P1: a handler's crash touches no other connection, whatever it raises."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import Final

import pytest

from tests.promises import ALL_SIZES
from tests.promises.crowd import Client, Crowd, Echoes, Pace
from tests.promises.report import note
from tests.promises.servers import serving
from tests.promises.site import FAILURES, SECRET

pytestmark = pytest.mark.heavy


@dataclass(frozen=True, slots=True)
class Size:
    """How many, and how fast."""

    bystanders: int
    victims: int
    messages: int
    """Of the bystanders, a second."""
    seconds: float
    """For each kind of failure."""


SIZE: Final = Size(800, 200, 2000, 1.5) if ALL_SIZES else Size(80, 20, 400, 0.2)


def fail_all(crowd: Crowd, echoes: Echoes, bystanders: list[Client], kind: str) -> list[float]:
    """Have all victims fail while the bystanders talk; give the ms until each was told."""
    victims = crowd.gather([f"/fail/{kind}"] * SIZE.victims)
    talk, failing = Pace(SIZE.messages), Pace(SIZE.victims / SIZE.seconds)
    asked: dict[Client, float] = {}
    for _ in crowd.during(SIZE.seconds + 0.1):
        for number in talk.due():
            echoes.say(bystanders[number % len(bystanders)])
        for number in failing.due():
            if number < len(victims):
                asked[victims[number]] = time.monotonic()
                victims[number].send("fail")
    crowd.until(lambda: all(each.end for each in victims), "all victims have been told")
    ends = [each.end for each in victims if each.end is not None]
    expected = 1000 if kind == "return" else 1011
    assert {(end.code, end.reason) for end in ends} == {(expected, "")}
    return [1000 * (each.end.at - asked[each]) for each in victims if each.end is not None]


@pytest.mark.parametrize("server_name", ["asyncio", "trio"])
def test_whatever_handlers_raise_no_other_connection_loses_a_message(server_name: str) -> None:
    echoes = Echoes()
    with serving(server_name, CLOSE_TIMEOUT="5") as server, Crowd(server.port) as crowd:
        bystanders = crowd.gather(["/echo/bystander"] * SIZE.bystanders)
        for each in bystanders:
            echoes.add(each)

        for kind in FAILURES:
            delays = fail_all(crowd, echoes, bystanders, kind)
            note(f"P1: {kind} to its close frame, ms", server_name, delays, bar=100)
        crowd.until(lambda: echoes.answered == echoes.asked, "all messages are answered")

        assert {each.phase for each in bystanders} == {"open"}
        assert server.holdings().connections == SIZE.bystanders
        server.send(signal.SIGTERM)
        server.exit_code()
        assert crashes_in(server.told) == SIZE.victims * (len(FAILURES) - 1)
        assert SECRET in server.told  # to us, and to no client


def crashes_in(told: str) -> int:
    """Count the crashes in a log, those too whose lines were left out."""
    lines = [line for line in told.splitlines() if " crashed: " in line]
    written = [line for line in lines if "not logged" not in line]
    held = [int(line.rpartition("suppressed=")[2]) for line in lines if "suppressed=" in line]
    return len(written) + sum(held)
