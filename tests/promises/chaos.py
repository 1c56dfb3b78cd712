"""P1, P3 and P4: whatever may die dies, and whoever lives misses nothing, or is told so.

    make chaos MINUTES=2 BACKEND=trio SEED=7
    .venv/bin/python -m tests.promises.chaos --seconds 20

Members of three rooms and a topic push and listen, others are echoed. Meanwhile rooms, pumps,
supervisors, a service and connections are killed, handlers raise, clients are reset or read
nothing for a while, and one room is poisoned until it is given up. In the end all is calm, and
everybody has to have heard everything.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from .crowd import LOST, Client, Crowd, Echoes, Missing, Pace
from .members import Books, Fan, Notices
from .report import Report
from .servers import Server, serving
from .site import FAILURES

TOPICS: Final = ("fell:a", "fell:b", "tick")
POISONED: Final = "fell:p"
"""The room that is poisoned; the last of the members are in there too."""
MEMBERS: Final = 60
IN_POISON: Final = 10
BYSTANDERS: Final = 40
MESSAGES: Final = 150
"""Pushes and echoes, a second each."""
BLOWS: Final = 10
"""A second."""
LONGEST_STALL: Final = 15.0
"""Seconds; patience with a member that is behind is shorter."""

SHARED: Final = (
    "root/services/tick",
    "root/services",
    "root/realtime",
    "root/realtime/pumps",
    "root/realtime/registry",
    "root/realtime/rooms",
    "root/presence",
)
"""Whose deaths are charged to one budget: of the root, or of the branch."""
ALONE: Final = tuple(
    f"root/realtime/{kind}/{topic}" for kind in ("rooms", "pumps") for topic in TOPICS[:2]
)
"""Each has a budget of its own."""


class Budget:
    """How often something may be killed before it would, rightly, be given up."""

    def __init__(self, times: int, period: float) -> None:
        self._period = period
        self._moments: deque[float] = deque([float("-inf")] * times, maxlen=times)

    def allows(self) -> bool:
        """Whether once more is not once too often; it counts as done then."""
        now = time.monotonic()
        allowed = self._moments[0] < now - self._period
        if allowed:
            self._moments.append(now)
        return allowed


class Chaos:
    """One server, all its clients, and what is done to them."""

    def __init__(self, server: Server, crowd: Crowd, seed: int) -> None:
        self.server = server
        self.crowd = crowd
        self.chance = random.Random(seed)
        self.books, self.notices, self.echoes = Books(), Notices(), Echoes()
        self.counts: Counter[str] = Counter()
        """What was done, and how often."""
        poisoned = (*TOPICS, POISONED)
        crowd.buffer = 128 * 1024  # or the kernel would hold for seconds what nobody reads
        self.fans = [
            Fan(crowd, f"{n}", poisoned if n < IN_POISON else TOPICS, self.books, self.notices)
            for n in range(MEMBERS)
        ]
        self.bystanders = crowd.gather(["/echo/bystander"] * BYSTANDERS)
        for each in self.bystanders:
            self.echoes.add(each)
        self.victims: dict[Client, str] = {}
        self._budgets = {path: Budget(5, 10.5) for path in ALONE}
        self._shared = Budget(2, 5.5)
        self._poison = Budget(1, 15.0)
        self._stalled: dict[Fan, float] = {}
        self._talk, self._strike = Pace(MESSAGES), Pace(BLOWS)

    def rage(self, seconds: float) -> None:
        """Let all happen, for so long."""
        for _ in self.crowd.during(seconds):
            for _ in self._talk.due():
                fan = self.chance.choice(self.fans)
                fan.say(self.chance.choice(TOPICS[:2]))
                self.echoes.say(self.chance.choice(self.bystanders))
            for _ in self._strike.due():
                self.chance.choice(BLOWS_OF_ALL_KINDS)(self)
            self._go_on()

    def calm(self) -> None:
        """Let everybody read, come back, and hear the rest.

        Raises:
            Missing: Somebody does not hear all, or has no answer.
        """
        for fan in list(self._stalled):
            self._read_on(fan)
        ends: list[dict[str, str]] = [{}]
        looked = [0.0]

        def quiet() -> bool:
            self._go_on()
            if time.monotonic() - looked[0] > 0.5:
                looked[0], ends[0] = time.monotonic(), self.server.ask("/positions")
            return all(fan.has_heard_all(ends[0] | self._now(fan)) for fan in self.fans)

        self.crowd.until(quiet, "every member has heard everything")
        self.crowd.until(lambda: self.echoes.answered == self.echoes.asked, "all echoes have come")
        self.crowd.until(lambda: all(each.end for each in self.victims), "all victims are told")

    def check(self) -> None:
        """Check what can only be seen in the end."""
        assert {each.phase for each in self.bystanders} == {"open"}, "a bystander was closed"
        for client, kind in self.victims.items():
            assert client.end is not None
            expected = 1000 if kind == "return" else 1011
            assert (client.end.code, client.end.reason) == (expected, ""), (kind, client.end)
        for topic in TOPICS[:2]:
            said = self.books.said(topic)
            assert len(said) == len(set(said)), f"something was said twice on {topic}"
            for fan in self.fans:
                own = [n for by, n in said if by == fan.name]
                assert own == sorted(own), f"{fan.name} was overtaken on {topic}"
                done = {n for where, n in fan.acknowledged if where == topic}
                assert done <= set(own), f"what {fan.name} was told to be done is not there"

    # ------------------------------------------------------------------ blows

    def kill(self) -> None:
        """Kill a room or a pump, a supervisor or a service."""
        path = self.chance.choice((*ALONE, *ALONE, *SHARED))
        budget = self._budgets.get(path, self._shared)
        if budget.allows() and self.server.ask(f"/crash/{path}", order=True):
            self.counts["killed " + path.removeprefix("root/").partition("/fell")[0]] += 1

    def kill_connection(self) -> None:
        """Kill the actor of a connection."""
        fan = self.chance.choice(self.fans)
        if fan.id is not None and fan.client.phase == "open":
            fan.may_end.add(1011)
            self.counts["killed a connection"] += 1
            self.server.ask(f"/crash/root/connections/{fan.id}", order=True)

    def fail(self) -> None:
        """Have a handler raise."""
        kind = self.chance.choice([*FAILURES])
        client = self.crowd.connect(f"/fail/{kind}")
        client.on_open = lambda client: client.send("fail")
        self.victims[client] = kind
        self.counts["handlers that raised"] += 1

    def reset(self) -> None:
        """Reset a client."""
        self.chance.choice(self.fans).reset()
        self.counts["clients reset"] += 1

    def stall(self) -> None:
        """Let one read nothing for a while."""
        fan = self.chance.choice(self.fans)
        if fan not in self._stalled and fan.client.phase == "open":
            fan.may_end |= {1013, LOST}  # who reads nothing does not hear that he is too slow
            fan.client.stop_reading()
            self._stalled[fan] = time.monotonic() + self.chance.uniform(0.1, LONGEST_STALL)
            self.counts["clients that stalled"] += 1

    def poison(self) -> None:
        """Poison a room until it is given up."""
        if self._poison.allows():
            self.counts["rooms poisoned"] += 1
            for _ in range(10):
                self.server.ask(f"/poison/{POISONED.partition(':')[2]}", order=True)

    # ------------------------------------------------------------------ time passes

    def _go_on(self) -> None:
        now = time.monotonic()
        for fan, until in list(self._stalled.items()):
            if until <= now:
                self._read_on(fan)
        for fan in self.fans:
            fan.go_on()

    def _read_on(self, fan: Fan) -> None:
        del self._stalled[fan]
        fan.client.read_on()

    def _now(self, fan: Fan) -> dict[str, str]:
        """Where the service's topic is, which never rests: wherever this one is."""
        return {"tick": str(fan.cursors["tick"].at)}


BLOWS_OF_ALL_KINDS: Final[Sequence[Callable[[Chaos], None]]] = (
    *3 * (Chaos.kill,),
    *3 * (Chaos.fail,),
    Chaos.kill_connection,
    Chaos.reset,
    Chaos.stall,
    Chaos.poison,
)


def unleash(name: str, seconds: float, seed: int, report: Report) -> None:
    """Put one server to the test for so long, and write down what came of it."""
    # As by default: this machine may be busy, and who is closed has to hear of it.
    with serving(name, CLOSE_TIMEOUT="5") as server, Crowd(server.port) as crowd:
        try:
            chaos = Chaos(server, crowd, seed)
            chaos.rage(seconds)
            chaos.calm()
            chaos.check()
        except (AssertionError, Missing, OSError) as error:
            report.broken.append(f"{name}: {error}")
            return
        heard = sum(len(page) for page in chaos.books.pages.values())
        for what, how_often in sorted(chaos.counts.items()):
            report.row(name, what, how_often)
        report.row(name, "publications", heard)
        report.row(name, "echoes", chaos.echoes.answered)
        report.row(name, "recovered without a gap", chaos.notices.recovered)
        report.row(name, "gaps that were told", chaos.notices.gaps)
        report.row(name, "memberships of the poisoned room ended", chaos.notices.left)
        for code, how_many in sorted(chaos.notices.ends.items()):
            report.row(name, f"members' connections closed with {code}", how_many)
        if "bug" in server.told:
            report.broken.append(f"{name}: the log tells of a bug")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; 0 where every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises.chaos")
    add = parser.add_argument
    add("--backend", choices=("asyncio", "trio"), action="append", help="only this one")
    add("--seconds", type=float, default=60, help="of chaos, on each backend")
    add("--seed", type=int, default=random.randrange(10**6), help="of what happens")
    options = parser.parse_args(arguments)
    title = f"Chaos, {options.seconds:g} s on each backend, seed {options.seed}"
    report = Report(title, ("server", "what", "how often"))
    report.begin()
    for name in options.backend or ("asyncio", "trio"):
        unleash(name, options.seconds, options.seed, report)
    return report.end("chaos.md")


if __name__ == "__main__":
    sys.exit(main())
