"""What peers do that flood or do not read, and what that takes of the server's memory."""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from ..wire.contestants import Contestant
from ..wire.processes import ROOT, Cores, Failed, Server, free_port, serving
from .app import LIMITS, MESSAGE

APP: Final = "benchmarks.pressure.app:app"


def _server(name: str, *command: str) -> Contestant:
    return Contestant(name, (*command, "--port", "{port}"))


SERVERS: Final = {
    each.name: each
    for each in (
        _server("asyncio", "herdwick", "run", APP),
        _server("trio", "herdwick", "run", APP, "--backend", "trio"),
        _server("plain ASGI", "uvicorn", APP),
    )
}
"""As `herdwick run` serves it, and as somebody else's uvicorn does."""

MIB: Final = 1024 * 1024
REHEARSAL: Final = 5
PATIENCE: Final = 60.0
"""Seconds after which those that should have been cut are said to have stayed."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What each of the peers does, until it is cut."""

    name: str
    path: str
    code: int
    """With which it is closed."""
    floods: bool = False
    inbox: bool = False
    """Whether an inbox fills up."""
    outbox: bool = False
    """Whether an outbox fills up."""
    publisher: str | None = None
    """The path of the one connection that has messages sent to the others."""

    @property
    def bound(self) -> float:
        """The MiB that the limits leave to a peer: what its messages may take."""
        return (self.inbox * LIMITS.inbox_bytes + self.outbox * LIMITS.outbox_bytes) / MIB


SCENES: Final = (
    Scene("floods, the handler does not read", "/unread", 1008, floods=True, inbox=True),
    Scene("floods, reads no answers", "/answered", 1013, floods=True, inbox=True, outbox=True),
    Scene("does not read what its handler sends", "/sent", 1013, outbox=True),
    Scene(
        "does not read what a topic sends, `Disconnect`",
        "/member/strict",
        1013,
        outbox=True,
        publisher="/publisher/strict",
    ),
    Scene(
        "does not read what a topic sends, `CatchUp`",
        "/member/patient",
        1013,
        outbox=True,
        publisher="/publisher/patient",
    ),
)


@dataclass(frozen=True, slots=True)
class Held:
    """What a scene has shown, in MiB for each peer."""

    most: float
    """The growth of the server's resident memory at its peak."""
    sent: float | None
    """What a peer could send in the first second."""


def play(scene: Scene, contestant: Contestant, count: int, folder: Path) -> Held:
    """Start a server, have so many peers do it, wait until all are cut, and give what it took.

    Raises:
        Failed: The server does not start, or a peer was cut otherwise than by its policy.
    """
    port = free_port()
    command, log = contestant.started_on(port), folder / "pressure.txt"
    with serving(command, port, Cores.of_this_machine().server, log) as server:
        with _peers(server, "wait", "/unread", REHEARSAL):
            pass
        ends = _ends(server, REHEARSAL)
        before = server.kib()
        with ExitStack() as stack:
            kind = "flood" if scene.floods else "wait"
            peers = stack.enter_context(_peers(server, kind, scene.path, count))
            if scene.publisher is not None:
                stack.enter_context(_peers(server, "wait", scene.publisher, 1))
            ends = _ends(server, REHEARSAL + count) - ends
            if ends != {str(scene.code): count}:
                raise Failed(f"connections ended by code: {dict(ends)}, not by {scene.code}")
            most = (server.most_kib() - before) / 1024 / count
            sent = median(peers.sent()) / MIB if scene.floods else None
    return Held(most, sent)


class Peers:
    """A process of peers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._expect("ready")

    def sent(self) -> list[int]:
        """Have them go, and give what each could send."""
        sent: list[int] = json.loads(self._process.communicate(timeout=PATIENCE)[0])
        return sent

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        if (told := self._process.stdout.readline().strip()) != line:
            raise Failed(f"the peers could not connect: {told}")


@contextmanager
def _peers(server: Server, kind: str, path: str, count: int) -> Generator[Peers]:
    command = [sys.executable, "-m", "benchmarks.peers", kind, f"{server.port}", path, f"{count}"]
    command += [f"{len(MESSAGE)}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Peers(process)
        finally:
            process.kill()


def _ends(server: Server, count: int) -> Counter[str]:
    """Wait until so many connections have ended, and count them by code."""
    deadline = time.monotonic() + PATIENCE
    while (ends := _ends_now(server)).total() < count:
        if time.monotonic() > deadline:
            raise Failed(f"only {ends.total()} of {count} connections have ended")
        time.sleep(0.1)
    return ends


def _ends_now(server: Server) -> Counter[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/ends", timeout=30) as answer:
        return Counter(json.load(answer))
