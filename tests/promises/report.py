"""What a run has found, as a table in Markdown: printed, and kept in artefacts/promises."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "artefacts" / "promises"


def note(what: str, server: str, figures: Sequence[float], *, bar: float | None = None) -> None:
    """Keep a line of figures; a bar stands beside them and fails nothing: machines are busy."""
    cuts = quantiles(figures, n=100) if len(figures) > 1 else [*figures] * 99
    columns = [what, server, f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", f"{max(figures):.1f}"]
    columns.append("" if bar is None else f"{bar:g}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "figures.md").open("a") as table:
        table.write(f"| {' | '.join(columns)} |\n")


@dataclass
class Report:
    """A table that grows line by line, and what was broken."""

    title: str
    columns: Sequence[str]
    broken: list[str] = field(default_factory=list[str])
    """The promises that were not kept, one sentence each."""
    _lines: list[str] = field(default_factory=list[str])

    def begin(self) -> None:
        """Print the head."""
        self._say(f"# {self.title}\n")
        self._say(f"Python {platform.python_version()}\n")
        self.row(*self.columns)
        self.row(*("---:" for _ in self.columns))

    def row(self, *cells: object) -> None:
        """Print a line of the table."""
        self._say(f"| {' | '.join(map(str, cells))} |")

    def end(self, name: str) -> int:
        """Print the verdict, keep all of it, and give the exit code."""
        self._say("")
        for sentence in self.broken:
            self._say(f"* broken: {sentence}")
        if not self.broken:
            self._say("All promises were kept.")
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text("\n".join(self._lines) + "\n")
        return 1 if self.broken else 0

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self._lines.append(line)
