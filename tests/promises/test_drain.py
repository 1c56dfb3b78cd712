"""P5 and P8: a drain under load loses nobody and nothing, and comes to its end."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from tests.promises import ALL_SIZES
from tests.promises.crowd import LOST, PATIENCE, Client, Crowd, Echoes, Pace
from tests.promises.report import note
from tests.promises.servers import SERVERS, Server, serving
from tests.promises.site import CLOSE_TIMEOUT

pytestmark = pytest.mark.heavy


@dataclass(frozen=True, slots=True)
class Size:
    """How many, and how fast."""

    clients: int
    deaf: int
    """Clients that do not read."""
    messages: int
    """A second."""
    newcomers: int
    """A second."""
    seconds: float
    """Until the signal comes."""


SIZE: Final = Size(2000, 50, 5000, 50, 3.0) if ALL_SIZES else Size(100, 5, 500, 50, 0.3)

BOTH: Final = ["asyncio", "trio"]
OURS: Final = [*BOTH, "own listener, asyncio"]
PROGRAMS: Final = [name for name in SERVERS if name.startswith("program") and ALL_SIZES]
"""`herdwick.run` in a program is what the command does."""


class Drain:
    """A crowd that talks, while others come, and a server that is told to stop."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.echoes = Echoes()
        self.deaf: list[Client] = []
        self.newcomers: list[Client] = []
        self.clients: list[Client] = []
        self._talk = Pace(SIZE.messages)
        self._come = Pace(SIZE.newcomers)

    def gather(self) -> None:
        """Let all come, those who do not read too."""
        self.clients = self.crowd.gather([f"/echo/{name}" for name in range(SIZE.clients)])
        for each in self.clients:
            self.echoes.add(each)
        self.deaf = self.crowd.gather(["/endless"] * SIZE.deaf)
        for each in self.deaf:
            each.stop_reading()

    def go_on(self) -> None:
        """Let those talk who are to talk now, and those come who are to come now."""
        for number in self._talk.due():
            client = self.clients[number % len(self.clients)]
            if client.phase == "open":
                self.echoes.say(client)
        for _ in self._come.due():
            self.newcomers.append(self.crowd.connect("/echo/newcomer"))

    def check(self, answered: Mapping[str, int]) -> None:
        """Check that all were closed with 1012, and have read all that was answered."""
        assert codes(self.clients) == {1012: SIZE.clients}
        for name, client in enumerate(self.clients):
            assert self.echoes.heard[client] >= answered.get(f"{name}", 0)


def codes(clients: Sequence[Client]) -> Counter[int]:
    return Counter(each.end.code for each in clients if each.end is not None)


def stop(server: Server, drain: Drain) -> tuple[float, float]:
    """Let it stop while all goes on; give when it was told to, and how long it took."""
    server.send(signal.SIGTERM)
    told = time.monotonic()
    while not server.has_ended:
        assert time.monotonic() < told + PATIENCE, server.told
        drain.go_on()
        drain.crowd.turn(0.001)
    took = time.monotonic() - told
    for each in drain.deaf:
        each.read_on()
    drain.crowd.until(lambda: not len(drain.crowd), "all have heard of the end")
    return told, took


@pytest.mark.parametrize("server_name", [*OURS, *PROGRAMS])
def test_a_drain_under_load_loses_nothing_and_ends_in_time(server_name: str) -> None:
    with serving(server_name) as server, Crowd(server.port) as crowd:
        drain = Drain(crowd)
        drain.gather()
        for _ in crowd.during(SIZE.seconds):
            drain.go_on()
        told, took = stop(server, drain)

        assert server.exit_code() == 0
        assert "Traceback" not in server.told
        drain.check(server.answered)
        assert codes(drain.deaf).keys() <= {LOST, 1012}  # the kernel may have taken the rest
        statuses = Counter(each.status for each in drain.newcomers)
        assert statuses[503] > 0
        assert set(statuses) <= {101, 503, None}
        # It listens until the last peer has had its time; only then nobody answers.
        unanswered = [each.began - told for each in drain.newcomers if each.status is None]
        assert all(moment > CLOSE_TIMEOUT / 2 for moment in unanswered), unanswered
    note("P5: SIGTERM to the end, s", server_name, [took], bar=CLOSE_TIMEOUT + 1)


# Such a uvicorn closes its ears before it tells us to stop: newcomers are not answered.
def test_a_uvicorn_that_others_start_loses_nothing_either() -> None:
    with serving("uvicorn, our classes") as server, Crowd(server.port) as crowd:
        drain = Drain(crowd)
        drain.gather()
        for _ in crowd.during(SIZE.seconds):
            drain.go_on()
        _, took = stop(server, drain)

        assert server.exit_code() in (0, -signal.SIGTERM)  # uvicorn raises it once more
        assert "Traceback" not in server.told
        drain.check(server.answered)
        assert codes(drain.deaf).keys() <= {LOST, 1012}  # the kernel may have taken the rest
    note("P5: SIGTERM to the end, s", "uvicorn, our classes", [took], bar=CLOSE_TIMEOUT + 1)


@pytest.mark.parametrize("server_name", [*BOTH, *PROGRAMS])
def test_a_second_signal_ends_a_drain_at_once(server_name: str) -> None:
    with serving(server_name) as server, Crowd(server.port) as crowd:
        drain = Drain(crowd)
        drain.gather()
        server.send(signal.SIGTERM)
        crowd.until(lambda: codes(drain.clients)[1012] > 0, "the drain has begun")
        server.send(signal.SIGTERM)

        assert server.exit_code() == 128 + signal.SIGTERM
        assert "Traceback" not in server.told
