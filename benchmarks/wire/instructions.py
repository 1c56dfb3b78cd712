"""The instructions that a server takes for each message: a figure that nothing else disturbs.

    python -m benchmarks.wire.instructions herdwick echo

The server runs in valgrind's callgrind, some fifty times slower, which counts only while the load
is on. What the kernel does is not counted.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from .contestants import CONTESTANTS, Contestant
from .processes import Failed, build_generator, free_port, loading, serving
from .workloads import WORKLOADS, Workload

SECONDS: Final = 5.0
"""Of traffic: thousands of messages, even so."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Count for one contestant and one workload."""
    contestants = {each.name: each for each in CONTESTANTS}
    workloads = {each.name: each for each in WORKLOADS if each.kind != "idle"}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire.instructions")
    parser.add_argument("contestant", choices=contestants)
    parser.add_argument("workload", choices=workloads)
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("benchmarks: valgrind is missing: `apt-get install valgrind`", file=sys.stderr)
        return 2
    contestant, workload = contestants[options.contestant], workloads[options.workload]
    with TemporaryDirectory() as folder:
        count, messages = count_instructions(contestant, workload, Path(folder))
    print(f"{contestant.name}, {workload}: {count / messages:,.0f} instructions a message")
    return 0


def count_instructions(contestant: Contestant, workload: Workload, folder: Path) -> tuple[int, int]:
    """Give the instructions, and the messages that took them.

    Raises:
        Failed: The server does not start, or an answer is wrong, out of order or lost.
    """
    port, counts = free_port(), folder / "counts"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet"]
    valgrind += [f"--callgrind-out-file={counts}"]
    command = [*valgrind, *contestant.started_on(port), *contestant.timeless]
    load_command = [str(build_generator(folder)), *workload.arguments(socketio=contestant.socketio)]
    load_command += ["--port", str(port), "--seconds", str(SECONDS)]
    with serving(command, port, None, folder / "log.txt") as server:
        with loading(load_command, None) as load:
            _control(server.pid, "--instr=on")
            figures = load.run()
            _control(server.pid, "--instr=off")
        _control(server.pid, "--dump")
    # The first dump bears the number 1; what ended with the process is of no interest.
    total = re.search(r"^totals: (\d+)", counts.with_suffix(".1").read_text(), re.MULTILINE)
    if total is None:
        raise Failed("callgrind has counted nothing")
    return int(total[1]), int(figures["messages"])


def _control(pid: int, order: str) -> None:
    subprocess.run(
        ["callgrind_control", order, str(pid)], check=True, timeout=60, capture_output=True
    )


if __name__ == "__main__":
    sys.exit(main())
