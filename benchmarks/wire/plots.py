"""The figures of a run as pictures: SVG, by matplotlib, which only `make bench` installs."""

# The type checkers' environment has no matplotlib.
# mypy: disable-error-code="import-not-found, no-any-return"
# pyright: basic, reportMissingImports=false

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .contestants import RAW
from .report import compared_workloads, series
from .results import Results, Spread
from .workloads import Workload

OURS = "#4c7a34"
THEIRS = "#a9b3bd"

Figure = Callable[[str, Workload], Spread | None]


def plot(results: Results, folder: Path) -> list[Path]:
    """Draw all pictures, and give their files.

    Raises:
        ModuleNotFoundError: There is no matplotlib.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text, not its outlines: a tenth of the size
    compared = compared_workloads(results)
    paid = [workload for workload in compared if workload.kind != "idle"]
    idle = [workload for workload in compared if workload.kind == "idle"]

    def ratio(name: str, workload: Workload) -> Spread | None:
        return results.ratio(name, workload, RAW)

    pictures = [
        ("ratio", paid, ratio, "times cheaper than raw ASGI on uvicorn: more is better"),
        ("cpu", paid, results.cost, "µs of CPU time a message: less is better"),
        ("memory", idle, results.cost, "KiB an idle connection: less is better"),
    ]
    files = [
        _bars(folder / f"{name}.svg", results.contestants, workloads, figure, title)
        for name, workloads, figure, title in pictures
        if workloads
    ]
    return files + ([_lines(folder / "growth.svg", results)] if series(results) else [])


def _bars(
    file: Path, names: Sequence[str], workloads: Sequence[Workload], figure: Figure, title: str
) -> Path:
    """Draw a chart for each workload, with a bar for each contestant."""
    drawing, axes = _charts(len(workloads), title, height=0.5 + 0.28 * len(names))
    for axis, workload in zip(axes, workloads, strict=True):
        figures = {name: figure(name, workload) for name in reversed(names)}
        shown = {name: each for name, each in figures.items() if each is not None}
        middles = [each.middle for each in shown.values()]
        below = [each.middle - each.least for each in shown.values()]
        above = [each.most - each.middle for each in shown.values()]
        colours = [OURS if name.startswith("herdwick") else THEIRS for name in shown]
        axis.barh(list(shown), middles, xerr=[below, above], color=colours, ecolor="#444")
        axis.set_title(str(workload), fontsize=9)
    return _saved(drawing, file)


def _lines(file: Path, results: Results) -> Path:
    """Draw a chart for each workload that was measured at more than one size."""
    drawing, axes = _charts(len(series(results)), "growth with the number of connections", height=3)
    for axis, (name, sizes) in zip(axes, series(results).items(), strict=True):
        for contestant in results.contestants:
            costs = [(size.connections, results.cost(contestant, size)) for size in sizes]
            points = [(size, cost.middle) for size, cost in costs if cost is not None]
            if len(points) > 1:
                axis.plot(*zip(*points, strict=True), marker="o", label=contestant)
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_title(f"{name}, {sizes[0].unit}", fontsize=9)
        axis.legend(fontsize=7)
    return _saved(drawing, file)


def _charts(count: int, title: str, *, height: float) -> tuple[Any, list[Any]]:
    from matplotlib import pyplot

    drawing, axes = pyplot.subplots(count, 1, figsize=(7, height * count), squeeze=False)
    drawing.suptitle(title, fontsize=11)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return drawing, list(axes.flat)


def _saved(drawing: Any, file: Path) -> Path:
    from matplotlib import pyplot

    drawing.tight_layout(rect=(0, 0, 1, 0.99))
    drawing.savefig(file, metadata={"Date": None})
    pyplot.close(drawing)
    return file
