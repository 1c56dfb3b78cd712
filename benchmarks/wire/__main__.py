"""WebSocket servers side by side, in one interleaved run.

    make bench
    make bench QUICK=1
    python -m benchmarks.wire --contestant herdwick --workload echo --repeats 9

README.md, one folder up, says what is measured, and how to read the tables.
"""

import argparse
import json
import math
import os
import platform
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .contestants import CONTESTANTS, GROWING, QUICK, RAW, Contestant
from .measuring import Bench
from .plots import plot
from .processes import Cores, Failed, NoCompiler, build_generator
from .report import report
from .results import Measurement, Results
from .workloads import GROWTH, WORKLOADS, Workload

SPARE: Final = 100
"""Descriptors that a process needs besides its connections."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 0 where every measurement could be made."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers end, as by Ctrl-C
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        generator = build_generator(options.out)
    except NoCompiler as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    machine = _machine(options)
    plan, notes = _possible(_plan(options), _raise_descriptors())
    bench = Bench(generator, options.out, Cores.of_this_machine(), options.seconds)
    results = Results(_carry_out(plan, bench))
    _write(results, machine, [*notes, *_misfits(options)], options)
    return 1 if results.failures else 0


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement to be made."""

    contestant: Contestant
    workload: Workload
    repeat: int


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [contestant.name for contestant in CONTESTANTS]
    workloads = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wire", description="Measure WebSocket servers side by side."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer peers, one repeat: done within a minute")
    add("--contestant", choices=names, action="append", help="raw and this one; may be repeated")
    add("--workload", choices=workloads, action="append", help="only this one; may be repeated")
    add("--repeats", type=int, help="of each measurement: 3, or 1 where it is quick")
    add("--seconds", type=float, help="of traffic: 0.4, or 0.3 where it is quick")
    add("--no-growth", action="store_true", help="leave out what is measured at several sizes")
    add("--out", type=Path, default=Path("artefacts/wire"), help="the folder of what is written")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.seconds = options.seconds or (0.3 if options.quick else 0.4)
    chosen = options.contestant or (QUICK if options.quick else names)
    options.contestants = [each for each in CONTESTANTS if each.name in (RAW, *chosen)]
    return options


def _plan(options: argparse.Namespace) -> Iterator[Step]:
    """Give the measurements in their order; those that are compared are neighbours."""
    for repeat in range(options.repeats):
        for workload in _chosen(WORKLOADS, options):
            if repeat and workload.kind == "idle":
                continue  # memory does not depend on what else the machine does
            for contestant in options.contestants:
                if workload.name not in contestant.cannot:
                    yield Step(contestant, workload, repeat)
        if repeat == 0 and not (options.quick or options.no_growth):
            for workload in _chosen(GROWTH, options):
                for contestant in options.contestants:
                    if contestant.name in GROWING:
                        yield Step(contestant, workload, repeat)


def _chosen(workloads: Iterable[Workload], options: argparse.Namespace) -> Iterator[Workload]:
    for workload in workloads:
        if not options.workload or workload.name in options.workload:
            yield workload


def _raise_descriptors() -> float:
    """Allow us, and all that we start, as many descriptors as may be; give their number."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return math.inf if most == resource.RLIM_INFINITY else most


def _possible(plan: Iterable[Step], descriptors: float) -> tuple[list[Step], list[str]]:
    """Leave out what needs more descriptors than there are, and say so."""
    steps: dict[bool, list[Step]] = {True: [], False: []}
    for step in plan:
        steps[step.workload.connections + SPARE <= descriptors].append(step)
    notes = dict.fromkeys(
        f"{step.workload}: a process may have {descriptors:,} descriptors only"
        for step in steps[False]
    )
    return steps[True], list(notes)


def _misfits(options: argparse.Namespace) -> Iterator[str]:
    for contestant in options.contestants:
        for workload, reason in contestant.cannot.items():
            yield f"{contestant.name}, {workload}: {reason}"


def _carry_out(plan: Sequence[Step], bench: Bench) -> Iterator[Measurement]:
    for number, step in enumerate(plan, 1):
        _show(f"{number}/{len(plan)} {step.workload}: {step.contestant.name}")
        subject = (step.contestant.name, step.workload, step.repeat)
        try:
            yield Measurement(*subject, bench.measure(step.contestant, step.workload))
        except Failed as error:
            yield Measurement(*subject, failure=str(error))
    _show("")


def _write(
    results: Results, machine: str, notes: Sequence[str], options: argparse.Namespace
) -> None:
    trio = [contestant.name for contestant in options.contestants if contestant.trio]
    text = f"{machine}\n\n{report(results, trio, notes)}"
    print(text)
    (options.out / "report.md").write_text(text)
    measured = [each.as_dict() for each in results.measurements]
    figures = {"machine": machine, "measured": measured}
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1))
    try:
        files = plot(results, options.out)
    except ModuleNotFoundError:
        print("no pictures: matplotlib is not installed; `make bench` has it")
    else:
        print(*("pictures:", *files))


def _machine(options: argparse.Namespace) -> str:
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores, "
        f"{options.repeats} repeats of {options.seconds:g} s; load average {load:.1f} before"
    )


def _show(progress: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
