"""What a run has measured, and whether promises were kept: kept in artefacts/, and printed."""

from collections.abc import Sequence
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
