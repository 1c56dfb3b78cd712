"""One server under one workload, each measured in processes of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from .contestants import Contestant
from .processes import Cores, Server, free_port, loading, serving
from .workloads import Workload, idle

Figures: TypeAlias = dict[str, float]
"""What a measurement has shown; `cost` is what it is judged by: µs a message, KiB a connection."""

REHEARSAL: Final = idle(10)
"""What makes a server import and allocate all that it needs but once."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it is measured, and for how long."""

    generator: Path
    logs: Path
    cores: Cores
    seconds: float

    def measure(self, contestant: Contestant, workload: Workload) -> Figures:
        """Start a server, put the load on it, and give what that cost.

        Raises:
            Failed: The server does not start, or an answer is wrong, out of order or lost.
        """
        port = free_port()
        log = self.logs / f"{contestant.name}.txt"
        with serving(contestant.started_on(port), port, self.cores.server, log) as server:
            if workload.kind == "idle":
                return self._memory(contestant, workload, server)
            return self._cpu(contestant, workload, server)

    def _cpu(self, contestant: Contestant, workload: Workload, server: Server) -> Figures:
        command = self._command(contestant, workload, server, self.seconds)
        with loading(command, self.cores.generator) as load:
            before = server.cpu()
            figures = load.run()
            seconds = server.cpu() - before
        figures["server_cpu"] = seconds
        figures["cost"] = seconds / figures["messages"] * 1e6
        return figures

    def _memory(self, contestant: Contestant, workload: Workload, server: Server) -> Figures:
        with loading(self._command(contestant, REHEARSAL, server, 0), self.cores.generator):
            pass
        before = server.kib()
        with loading(self._command(contestant, workload, server, 0), self.cores.generator) as load:
            after = server.kib()
            load.run()
        return {"cost": (after - before) / workload.connections}

    def _command(
        self, contestant: Contestant, workload: Workload, server: Server, seconds: float
    ) -> list[str]:
        arguments = workload.arguments(socketio=contestant.socketio)
        return [
            *(str(self.generator), *arguments),
            *("--port", str(server.port), "--seconds", str(seconds)),
        ]
