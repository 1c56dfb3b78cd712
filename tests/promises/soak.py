"""P7: connections of all kinds come and go, and nothing is left of them.

    make soak MINUTES=5 BACKEND=trio SEED=7
    .venv/bin/python -m tests.promises.soak --seconds 20

In a round very many clients come, each behaves in one of the ways of `WAYS`, and all go. Then the
server has to hold what it held after the first round, in which whatever is made once was made.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from herdwick.protocol import SUBPROTOCOL, Join, encode

from .crowd import PATIENCE, Client, Crowd
from .holdings import Holdings
from .report import Report
from .servers import Server, serving
from .site import FAILURES, IDLE

GROWTH: Final = 5.0
"""MiB that the process may have grown by in the end."""
PRESENT: Final = 400
"""Clients that are there at the same time, at most."""
ROOMS: Final = 300
"""Names of the rooms that are joined."""
STAY: Final = 0.2
"""Seconds that a client stays, at most."""

BACKENDS: Final = {"asyncio": ("asyncio", "own listener, asyncio"), "trio": ("trio",)}
"""The servers that are put to the test on each, one after another."""

OFFERED: Final = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"
REFUSED: Final = (
    ("/nowhere",),
    ("/echo/a", "Origin: https://evil.example"),
    ("/echo/a", "Sec-WebSocket-Version: 12"),
    ("/echo/%zz",),
    ("/echo/a", f"X: {'x' * 20_000}"),
)
"""Handshakes that the server refuses: a path, and more lines of the head."""


class Visits:
    """Clients that come, each to do something, and that go."""

    def __init__(self, crowd: Crowd, chance: random.Random) -> None:
        self.crowd = crowd
        self.chance = chance
        self._due: list[tuple[float, Callable[[], object]]] = []

    def come(self) -> None:
        """Let one come."""
        self.chance.choice(WAYS)(self)

    def go_on(self) -> None:
        """Do what is due now."""
        now = time.monotonic()
        due, self._due = self._due, []
        for moment, act in due:
            if moment <= now:
                act()
            else:
                self._due.append((moment, act))
        self.crowd.turn(0.002)

    def all_leave(self) -> None:
        """Let all do what they still have to, and go."""
        self.crowd.until(lambda: not self._go_on_due(), "all have done what they had to")
        for client in self.crowd:
            client.reset()

    def _go_on_due(self) -> int:
        self.go_on()
        return len(self._due)

    # ------------------------------------------------------------------ what they do

    def talk(self, end: Callable[[Client], object]) -> None:
        """Be answered a few times, now and then at length, and end it in this way."""
        client = self.crowd.connect("/echo/visitor")
        words = ["x" * self.chance.choice((1, 100, 20_000)) for _ in range(3)]
        client.on_open = partial(send_all, words)
        self.later(client, end)

    def later(self, client: Client, act: Callable[[Client], object]) -> None:
        """Do something with a client in a moment, and drop it a while later in any case."""
        now = time.monotonic()
        at = now + self.chance.uniform(0.01, STAY)
        self._due.append((at, lambda: act(client)))
        self._due.append((at + STAY, client.reset))


def send_all(texts: Sequence[str], client: Client) -> None:
    """Send messages, one after another."""
    for text in texts:
        client.send(text)


def come_and_go(visits: Visits) -> None:
    """Say goodbye, be reset, or be gone without a word."""
    visits.talk(visits.chance.choice((Client.close, Client.reset, Client.leave)))


def be_reset(visits: Visits) -> None:
    """Be reset."""
    visits.talk(Client.reset)


def be_cut_in_mid_message(visits: Visits) -> None:
    """Send half of a message."""
    visits.talk(lambda client: client.write(b"\x81\xfe\xff\xff\0\0\0\0and then"))


def be_cut_in_mid_handshake(visits: Visits) -> None:
    """Send half of a handshake, or nothing at all."""
    half = visits.chance.choice((b"", b"GET /echo/half HTTP/1.1\r\nHost: here\r\nUpgr"))
    visits.later(visits.crowd.begin(half), visits.chance.choice((Client.reset, Client.leave)))


def be_refused(visits: Visits) -> None:
    """Ask for what is not there, or not allowed, or in no proper way."""
    path, *lines = visits.chance.choice(REFUSED)
    visits.later(visits.crowd.connect(path, *lines), Client.leave)


def ask_by_http(visits: Visits) -> None:
    """Make a request, and perhaps read the answer."""
    client = visits.crowd.begin(b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n")
    visits.later(client, visits.chance.choice((Client.reset, Client.leave)))


def crash(visits: Visits) -> None:
    """Have the handler fail."""
    client = visits.crowd.connect(f"/fail/{visits.chance.choice([*FAILURES])}")
    client.on_open = lambda client: client.send("fail")
    visits.later(client, Client.close)


def join_rooms(visits: Visits) -> None:
    """Join rooms that nobody else needs, mostly, and go in any way."""
    client = visits.crowd.connect("/rooms", OFFERED)
    topics = [f"hut:{visits.chance.randrange(ROOMS)}", "tick", "nowhere:a"]
    client.on_open = partial(send_all, [encode(Join(1, topic)) for topic in topics])
    visits.later(client, visits.chance.choice((Client.close, Client.reset, Client.leave)))


def read_nothing(visits: Visits) -> None:
    """Be sent more than it reads."""
    client = visits.crowd.connect("/endless")
    client.on_open = Client.stop_reading
    visits.later(client, Client.reset)


Way: TypeAlias = Callable[[Visits], None]

WAYS: Final[Sequence[Way]] = (
    *5 * (be_reset,),
    *5 * (be_cut_in_mid_message,),
    *2 * (come_and_go,),
    be_cut_in_mid_handshake,
    be_refused,
    ask_by_http,
    join_rooms,
)
RARE: Final[Sequence[Way]] = (crash, read_nothing)
"""What costs the server much: one of them for every hundred of the others."""


# ---------------------------------------------------------------- a run


def soak(name: str, rounds: int, seconds: float, seed: int, report: Report) -> None:
    """Put one server to the test in rounds of so long; write down what is left of each."""
    with serving(name) as server, Crowd(server.port) as crowd:
        visits = Visits(crowd, random.Random(seed))
        first: Holdings | None = None
        warm_up(visits)
        for number in range(rounds):
            carry_on(visits, seconds)
            visits.all_leave()
            held = settled(server, first)
            report.row(name, number, crowd.connected, *shown(held))
            if first is None:
                first = held
            elif held.exact != first.exact:
                report.broken.append(f"{name}, round {number}: {held} is not {first}")
                return
        assert first is not None
        grown = server.holdings().mib - first.mib
        if grown > GROWTH:
            report.broken.append(f"{name}: it has grown by {grown:.1f} MiB")


def warm_up(visits: Visits) -> None:
    """Have made whatever is made once: by each way to come, and for the first publication."""
    heard: list[bytes] = []
    visits.crowd.connect("/member/tick", hear=lambda client, payload: heard.append(payload))
    for way in (*WAYS, *RARE):
        way(visits)
    visits.crowd.until(lambda: heard, "the first publication has come")


def carry_on(visits: Visits, seconds: float) -> None:
    """Let clients come and go for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        while len(visits.crowd) < PRESENT:
            visits.come()
            if visits.crowd.connected % 100 == 0:
                visits.chance.choice(RARE)(visits)
        visits.go_on()


def settled(server: Server, first: Holdings | None) -> Holdings:
    """Wait until it holds what it held first, or has come to rest, and give what it holds."""
    deadline = time.monotonic() + PATIENCE
    held = server.holdings()
    while time.monotonic() < deadline and (first is None or held.exact != first.exact):
        time.sleep(1.5 * IDLE)  # rooms that nobody needs are put away
        before, held = held, server.holdings()
        if first is None and held.exact == before.exact:
            break
    return held


def shown(held: Holdings) -> list[object]:
    """Give the cells of a row."""
    objects = sum(held.objects.values())
    return [held.tasks, held.descriptors, held.threads, held.timers, objects, f"{held.mib:.1f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; 0 where nothing is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.soak")
    add = parser.add_argument
    add("--backend", choices=BACKENDS, action="append", help="only this one")
    add("--seconds", type=float, default=300, help="of load, for each backend")
    add("--rounds", type=int, default=10, help="of each server; the first one only warms up")
    add("--seed", type=int, default=random.randrange(10**6), help="of what the clients do")
    options = parser.parse_args(arguments)
    columns = ("server", "round", "connections", "tasks", "descriptors", "threads", "timers")
    title = f"Soak, {options.seconds:g} s for each backend, seed {options.seed}"
    report = Report(title, (*columns, "objects", "MiB"))
    report.begin()
    for backend in options.backend or BACKENDS:
        servers = BACKENDS[backend]
        for name in servers:
            seconds = options.seconds / len(servers) / options.rounds
            soak(name, options.rounds, seconds, options.seed, report)
    return report.end("soak.md")


if __name__ == "__main__":
    sys.exit(main())
