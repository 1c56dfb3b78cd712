"""What peers that flood, and peers that do not read, can make a server hold in memory.

    python -m benchmarks.pressure
    python -m benchmarks.pressure --server trio --peers 100

README.md, one folder up, says how to read it.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..wire.processes import Failed
from .scenes import SCENES, SERVERS, Held, play


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the scenes that the command line asks for, and print the table, as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pressure")
    add = parser.add_argument
    add("--server", choices=SERVERS, action="append", help="only this one; may be repeated")
    add("--peers", type=int, default=50)
    options = parser.parse_args(arguments)
    servers = options.server or list(SERVERS)
    print(f"Python {platform.python_version()}, {options.peers} peers, MiB for each of them\n")
    print(f"| a peer | bound | {' | '.join(servers)} |")
    print(f"| --- | ---: |{' ---: |' * len(servers)}")
    failures: list[str] = []
    with TemporaryDirectory() as folder:
        for scene in SCENES:
            cells: list[str] = []
            for name in servers:
                try:
                    cells.append(_cell(play(scene, SERVERS[name], options.peers, Path(folder))))
                except Failed as error:
                    cells.append("failed")
                    failures.append(f"{scene.name}, {name}: {error}")
            print(f"| {scene.name} | {scene.bound:g} | {' | '.join(cells)} |", flush=True)
    print(*failures, sep="\n", end="\n" * bool(failures), file=sys.stderr)
    return 1 if failures else 0


def _cell(held: Held) -> str:
    sent = "" if held.sent is None else f" (sent {held.sent:.1f})"
    return f"{held.most:.2f}{sent}"


if __name__ == "__main__":
    sys.exit(main())
