"""What an idle connection, and an actor, takes of memory, and what that is made of.

    python -m benchmarks.memory
    python -m benchmarks.memory --subject connection --backend trio --by line --least 50

README.md, one folder up, says how to read it.
"""

import argparse
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from .cell import Cell
from .scales import Weight, Weights
from .subjects import SUBJECTS

BACKENDS: Final = ("uvloop", "trio")


def main(arguments: Sequence[str] | None = None) -> None:
    """Weigh what the command line asks for, and print a table for each subject, as Markdown."""
    options = _options(arguments)
    backends = options.backend or BACKENDS
    print(f"Python {platform.python_version()}, {options.count:,} of each kind")
    for subject in options.subject or SUBJECTS:
        weights, resident = (
            {each: Cell(subject, each, by, options.count).weigh() for each in backends}
            for by in (options.by, "resident")
        )
        lines = _table(f"{subject}: {options.by}", weights, resident, options.least)
        print("", *lines, sep="\n", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    add = parser.add_argument
    add("--subject", choices=SUBJECTS, action="append", help="only this one; may be repeated")
    add("--backend", choices=BACKENDS, action="append")
    add("--by", choices=("object", "line"), default="object", help="line: that which allocated")
    add("--count", type=int, default=1000)
    add("--least", type=float, default=100.0, help="bytes that are worth a line of their own")
    return parser.parse_args(arguments)


def _table(
    title: str, weights: Mapping[str, Weights], resident: Mapping[str, Weights], least: float
) -> Iterator[str]:
    """Give the lines of a table with a column for each backend, the heaviest first."""
    columns = weights.values()
    yield f"| {title} | {' | '.join(weights)} |"
    yield f"| --- |{' ---: |' * len(weights)}"
    most = {
        name: max(abs(column[name].bytes) for column in columns if name in column)
        for name in chain(*columns)
    }
    heavy = [name for name in sorted(most, key=lambda name: -most[name]) if most[name] >= least]
    for name in heavy:
        yield _row(f"`{name}`", [column.get(name) for column in columns])
    rest = [[weight for name, weight in each.items() if name not in heavy] for each in columns]
    yield _row("the rest", [sum(each, Weight()) for each in rest])
    yield _row("all of them", [sum(each.values(), Weight()) for each in columns])
    yield _row("resident memory", [each["resident"] for each in resident.values()])


def _row(name: str, weights: Iterable[Weight | None]) -> str:
    return f"| {name} | {' | '.join(map(_cell, weights))} |"


def _cell(weight: Weight | None) -> str:
    if weight is None or abs(weight.bytes) < 1:
        return ""
    pieces = f" ({weight.pieces:.1f})" if weight.pieces >= 0.1 else ""
    return f"{weight.bytes:,.0f}{pieces}"


if __name__ == "__main__":
    main()
