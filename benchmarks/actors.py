"""What actors cost: herdwick's beside others', on each backend, in one interleaved run.

    python -m benchmarks.actors --quick
    python -m benchmarks.actors --backend uvloop --actors 100000 --json actors.json

README.md says what is measured, and how to read the table.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from .cell import THREADS, Cell, Figures
from .table import Samples, Table

BACKENDS: Final = ("asyncio", "uvloop", "trio")
PEERS: Final = ("bare", "queues", "pykka")

SMALL: Final = 1000
"""Actors of the crowd that larger ones are compared with, and threads at most."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, and print the table."""
    options = _options(arguments)
    cells = list(_cells(options))
    samples = measure(cells, options.repeats)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {options.repeats} repeats")
    print(Table(samples))
    if options.json is not None:
        options.json.write_text(_as_json(samples))


def measure(cells: Sequence[Cell], repeats: int) -> Samples:
    """Measure each cell once, then each once more, and so on; each in a fresh process."""
    samples: Samples = {cell: [] for cell in cells}
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.cell"])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        for number in range(repeats):
            for cell in cells:
                _show(f"{number + 1}/{repeats} {cell}")
                samples[cell].append(_measured(cell, processes))
    _show("")
    return samples


def _measured(cell: Cell, processes: Executor) -> Figures:
    try:
        return processes.submit(cell.run).result()
    except Exception as error:
        error.add_note(f"while it measured {cell}")
        raise


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.actors", description="Measure what actors cost."
    )
    add = parser.add_argument
    add("--backend", choices=BACKENDS, action="append", help="only this one; may be repeated")
    add("--peer", choices=PEERS, action="append", help="only this one; may be repeated")
    add("--quick", action="store_true", help="small numbers: done within a minute")
    add("--actors", type=int, help="in the largest crowd: 100,000, or 1,000 where it is quick")
    add("--repeats", type=int, help="of each measurement: 5, or 2 where it is quick")
    add("--json", type=Path, metavar="FILE", help="where every single figure is to go")
    options = parser.parse_args(arguments)
    options.actors = options.actors or (SMALL if options.quick else 100_000)
    options.repeats = options.repeats or (2 if options.quick else 5)
    return options


def _cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Give the cells of one repeat; those that are compared are neighbours."""
    backends = [name for name in options.backend or BACKENDS if _installed(name)]
    peers = [name for name in options.peer or PEERS if _installed(name)]
    for workload, size in _workloads(options):
        for backend in backends:
            for contestant in ("herdwick", *peers):
                if contestant != "pykka":
                    yield Cell(contestant, backend, workload, size)
        if "pykka" in peers and (size <= SMALL or workload in ("tell", "ask", "come and go")):
            yield Cell("pykka", THREADS, workload, size)


def _workloads(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    yield "tell", 45_000 if options.quick else 450_000
    yield "ask", 2_000 if options.quick else 20_000
    yield "come and go", 2_000 if options.quick else 10_000
    largest: int = options.actors
    for actors in sorted({min(SMALL, largest), max(min(SMALL, largest), largest // 10), largest}):
        yield "one by one", actors
        yield "at once", actors


def _installed(module: str) -> bool:
    """Tell whether a backend or a peer can be imported; bare and queues are our own."""
    return module in ("bare", "queues") or importlib.util.find_spec(module) is not None


def _show(progress: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)


def _as_json(samples: Samples) -> str:
    measured = [asdict(cell) | {"figures": figures} for cell, figures in samples.items()]
    return json.dumps({"python": sys.version, "measured": measured}, indent=1)


if __name__ == "__main__":
    main()
