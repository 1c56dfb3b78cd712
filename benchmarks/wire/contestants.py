"""Who is measured, and how each server is started."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SERVERS: Final = "benchmarks.wire.servers"

RAW: Final = "raw ASGI, uvicorn"
"""What all others are compared with."""

HYPERCORN: Final = "raw ASGI, hypercorn, trio"
"""What those on trio are compared with besides."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server, by the command that starts it on the port of our choice."""

    name: str
    command: tuple[str, ...]
    socketio: bool = False
    """Whether it speaks the protocol of Socket.IO."""
    trio: bool = False
    cannot: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """The workloads that make no sense for it, and why."""
    timeless: tuple[str, ...] = ()
    """What turns off the work that it does by the clock: where instructions are counted, all else
    takes 50 times as long, and such work would count 50 times."""

    def started_on(self, port: int) -> list[str]:
        """Give the command for one port."""
        return [sys.executable, "-m", *(word.format(port=port) for word in self.command)]


NO_WATCHDOG: Final = ("--blocked-after", "off")


def _uvicorn(module: str) -> tuple[str, ...]:
    options = "--host 127.0.0.1 --port {port} --loop uvloop --http httptools --no-access-log"
    return ("uvicorn", f"{SERVERS}.{module}_app:app", *options.split(), "--log-level", "warning")


def _hypercorn(module: str) -> tuple[str, ...]:
    # No workers: it serves in the process that we know.
    options = "--bind 127.0.0.1:{port} --worker-class trio --workers 0 --log-level WARNING"
    return ("hypercorn", f"{SERVERS}.{module}_app:app", *options.split())


def _herdwick(backend: str) -> tuple[str, ...]:
    options = f"--backend {backend} --port {{port}} --log-level warning"
    return ("herdwick", "run", f"{SERVERS}.herdwick_app:app", *options.split())


def _program(module: str) -> tuple[str, ...]:
    return (f"{SERVERS}.{module}_server", "{port}")


CONTESTANTS: Final = (
    Contestant(RAW, _uvicorn("raw")),
    Contestant("herdwick", _herdwick("asyncio"), timeless=NO_WATCHDOG),
    Contestant("herdwick, plain ASGI", _uvicorn("herdwick")),
    Contestant("Starlette", _uvicorn("starlette")),
    Contestant("BlackSheep", _uvicorn("blacksheep")),
    Contestant("Litestar, channels", _uvicorn("litestar")),
    Contestant("websockets", _program("websockets")),
    Contestant("picows", _program("picows")),
    Contestant(
        "python-socketio",
        _uvicorn("socketio"),
        socketio=True,
        cannot={
            "JSON echo": "its echo is JSON already",
            "connect": "its handshake has more steps than the WebSocket's",
        },
    ),
    Contestant(HYPERCORN, _hypercorn("raw"), trio=True),
    Contestant("herdwick, trio", _herdwick("trio"), trio=True, timeless=NO_WATCHDOG),
)

QUICK: Final = (RAW, "herdwick", "picows", HYPERCORN, "herdwick, trio")
GROWING: Final = (RAW, "herdwick", "picows", "herdwick, trio")
"""Those that are measured with more connections, and with fewer."""
