"""What is measured: each workload is one run of the generator."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["echo", "fanout", "connect", "idle"]

IN_A_ROOM: Final = "idle in a room"
SOCKETIO: Final = "/socket.io/?EIO=4&transport=websocket"


@dataclass(frozen=True, slots=True)
class Workload:
    """What so many connections do."""

    name: str
    kind: Kind
    connections: int
    window: int = 1
    """Messages in flight: of each connection that echoes, or of the one that publishes."""
    json: bool = False

    def __str__(self) -> str:
        """Name it, with its size."""
        return f"{self.name}, {self.connections:,} connections"

    @property
    def unit(self) -> str:
        """What its figure is."""
        return "KiB" if self.kind == "idle" else "µs"

    @property
    def path(self) -> str:
        """Where the connections go."""
        if self.kind == "fanout" or self.name == IN_A_ROOM:
            return "/room"
        return "/json" if self.json else "/echo"

    def arguments(self, *, socketio: bool) -> list[str]:
        """Give the generator's arguments: all but the port and the time."""
        path, publish = (
            (f"{SOCKETIO}&path={self.path}", SOCKETIO) if socketio else (self.path, "/publish")
        )
        arguments = [self.kind, "--path", path, "--publish", publish]
        arguments += ["--connections", str(self.connections), "--window", str(self.window)]
        arguments += ["--json"] * self.json + ["--socketio"] * socketio
        return arguments


def echo(connections: int) -> Workload:
    """Each client sends a text of 32 characters as soon as the one before has come back."""
    return Workload("echo", "echo", connections)


def fan_out(connections: int) -> Workload:
    """A publisher sends the next message as soon as every member of its room has the one before."""
    return Workload("fan-out", "fanout", connections)


def idle(connections: int) -> Workload:
    """Each client waits, in no room."""
    return Workload("idle", "idle", connections)


WORKLOADS: Final = (
    echo(100),
    Workload("JSON echo", "echo", 100, json=True),
    fan_out(1000),
    Workload("fan-out, 8 in flight", "fanout", 1000, window=8),
    Workload("connect", "connect", 32),
    idle(1000),
    Workload(IN_A_ROOM, "idle", 1000),
)

GROWTH: Final = (
    echo(1000),
    echo(10_000),
    fan_out(100),
    fan_out(5000),
    idle(10_000),
)
