"""The tables of a run, as Markdown."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from .contestants import HYPERCORN, RAW
from .results import Results, Spread
from .workloads import Workload


def report(results: Results, trio: Sequence[str], notes: Iterable[str]) -> str:
    """Give all tables; `trio` are the contestants that are compared with hypercorn as well."""
    compared = compared_workloads(results)
    paid = [workload for workload in compared if workload.kind != "idle"]
    everybody = [name for name in results.contestants if _has_figures(results, name)]
    sections = [
        (
            "Times cheaper than raw ASGI on uvicorn",
            _table(everybody, paid, lambda name, work: results.ratio(name, work, RAW)),
        ),
        (
            "µs of CPU time a message, or a connection; KiB an idle connection",
            _table(everybody, compared, results.cost),
        ),
        (
            "On trio: times cheaper than raw ASGI on hypercorn",
            _table(
                [name for name in trio if name in everybody],
                paid,
                lambda name, work: results.ratio(name, work, HYPERCORN),
            )
            if HYPERCORN in everybody
            else [],
        ),
        ("Growth with the number of connections", _growth(results)),
        ("Left out", [f"* {note}" for note in [*notes, *_failed(results)]]),
    ]
    return "\n".join(
        line for title, lines in sections if lines for line in (f"### {title}", "", *lines, "")
    )


def series(results: Results) -> dict[str, list[Workload]]:
    """Give, by name, the workloads that were measured at more than one size, the smallest first."""
    named: dict[str, list[Workload]] = {}
    for workload in results.workloads:
        named.setdefault(workload.name, []).append(workload)
    return {
        name: sorted(sizes, key=lambda workload: workload.connections)
        for name, sizes in named.items()
        if len(sizes) > 1
    }


def compared_workloads(results: Results) -> list[Workload]:
    """Give those in which contestants are compared: of each name, the first that was measured."""
    first = {workload.name: workload for workload in reversed(results.workloads)}
    return [workload for workload in results.workloads if first[workload.name] == workload]


def _table(
    names: Sequence[str],
    workloads: Sequence[Workload],
    figure: Callable[[str, Workload], Spread | None],
) -> list[str]:
    if not names or not workloads:
        return []
    return [
        _row(["", *(f"{workload.name} ({workload.connections:,})" for workload in workloads)]),
        _row(["---", *("---:" for _ in workloads)]),
        *(_row([name, *(_text(figure(name, each)) for each in workloads)]) for name in names),
    ]


def _growth(results: Results) -> list[str]:
    rows = list(_growth_rows(results))
    return rows and [
        _row(["", "", "connections", "µs or KiB", "against the fewest"]),
        _row(["---", "---", "---:", "---:", "---:"]),
        *rows,
    ]


def _growth_rows(results: Results) -> Iterator[str]:
    for name, sizes in series(results).items():
        for contestant in results.contestants:
            if sum(results.cost(contestant, size) is not None for size in sizes) < 2:
                continue
            for size in sizes:
                grown = results.growth(contestant, size, sizes[0]) if size != sizes[0] else None
                cost = _text(results.cost(contestant, size))
                yield _row([name, contestant, f"{size.connections:,}", cost, _text(grown)])


def _has_figures(results: Results, name: str) -> bool:
    return any(results.cost(name, workload) for workload in results.workloads)


def _failed(results: Results) -> Iterator[str]:
    for each in results.failures:
        yield f"{each.contestant}, {each.workload}, repeat {each.repeat}: {each.failure}"


def _text(figure: Spread | None) -> str:
    if figure is None:
        return ""
    middle = f"{figure.middle:.2f}" if figure.middle < 100 else f"{figure.middle:.0f}"
    return middle if figure.least == figure.most else f"{middle} ±{figure.share:.0%}"


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
