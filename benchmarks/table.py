"""The table of a run: medians, their spread and growth, and how they compare to the peers'."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import median
from typing import Final, TypeAlias

from .cell import THREADS, Cell, Figures

Samples: TypeAlias = dict[Cell, list[Figures]]
"""What each repeat of each cell measured."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a workload."""

    label: str
    workload: str
    figure: str


ROWS: Final = (
    Row("tell, µs", "tell", "tell"),
    Row("ask, µs", "ask", "ask"),
    Row("start one by one, µs", "one by one", "start"),
    Row("start 100 at once, µs", "at once", "start"),
    Row("ask each once, µs", "one by one", "ask each"),
    Row("stop, µs", "one by one", "stop"),
    Row("start, ask, stop one, µs", "come and go", "life"),
    Row("KiB, started", "one by one", "KiB started"),
    Row("KiB, asked once", "one by one", "KiB asked"),
    Row("start, ask, stop all, s", "one by one", "seconds"),
)


class Table:
    """A block for each backend, with a line for each figure and size.

    The growth is that of herdwick's figure against its smallest size; a ratio is herdwick's
    figure divided by the peer's.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._own = [cell for cell in samples if cell.contestant == "herdwick"]
        names = dict.fromkeys(cell.contestant for cell in samples)
        self._peers = [name for name in names if name != "herdwick"]

    def __str__(self) -> str:
        """Give it as text, in columns."""
        return _aligned(list(self._lines()))

    def _lines(self) -> Iterator[list[str]]:
        peers = [title for peer in self._peers for title in (peer, "ratio")]
        for backend in dict.fromkeys(cell.backend for cell in self._own):
            yield [backend, "size", "herdwick", "spread", "growth", *peers]
            own = [cell for cell in self._own if cell.backend == backend]
            for row in ROWS:
                yield from self._sizes(row, [cell for cell in own if cell.workload == row.workload])
            yield []

    def _sizes(self, row: Row, cells: Sequence[Cell]) -> Iterator[list[str]]:
        smallest = median(self._figures(row, cells[0]))
        for cell in cells:
            figures = self._figures(row, cell)
            middle = median(figures)
            spread = (max(figures) - min(figures)) / 2 / (middle or 1.0)
            growth = "" if cell is cells[0] else _ratio(middle, smallest)
            line = [row.label, f"{cell.size:,}", f"{middle:.2f}", f"±{spread:.0%}", growth]
            yield line + self._beside(row, cell, middle)

    def _beside(self, row: Row, cell: Cell, own: float) -> list[str]:
        texts: list[str] = []
        for peer in self._peers:
            backend = THREADS if peer == "pykka" else cell.backend
            figures = self._figures(row, replace(cell, contestant=peer, backend=backend))
            theirs = median(figures or [0.0])
            texts += [f"{theirs:.2f}", _ratio(own, theirs)] if figures else ["", ""]
        return texts

    def _figures(self, row: Row, cell: Cell) -> list[float]:
        return [figures[row.figure] for figures in self._samples.get(cell, ())]


def _ratio(figure: float, other: float) -> str:
    """Give a ratio; nothing where a crowd is too small for its memory to be seen."""
    return f"{figure / other:.2f}" if other else ""


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Put the labels to the left of their column, and all else to the right."""
    widths = [max(map(len, column)) for column in zip_longest(*lines, fillvalue="")]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )
