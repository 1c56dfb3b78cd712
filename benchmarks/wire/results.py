"""What a run has measured: medians, their spreads, and ratios within the same repeat."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Self

from .measuring import Figures
from .workloads import Workload


@dataclass(frozen=True, slots=True)
class Measurement:
    """One contestant under one workload, in one repeat."""

    contestant: str
    workload: Workload
    repeat: int
    figures: Figures = field(default_factory=dict[str, float])
    failure: str = ""
    """Why there are no figures."""

    def as_dict(self) -> dict[str, object]:
        """Give it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of some repeats."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Self:
        """Give that of figures, of which there is one at least."""
        return cls(median(figures), min(figures), max(figures))

    @property
    def share(self) -> float:
        """Half the distance from the least to the most, as a share of the middle."""
        return (self.most - self.least) / 2 / self.middle if self.middle else 0.0


class Results:
    """What was measured, to be asked by contestant and workload."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self.measurements = list(measurements)
        self._costs: dict[tuple[str, Workload], dict[int, float]] = {}
        for each in self.measurements:
            if not each.failure:
                costs = self._costs.setdefault((each.contestant, each.workload), {})
                costs[each.repeat] = each.figures["cost"]

    @property
    def contestants(self) -> list[str]:
        """All that were measured, in the order of the run."""
        return list(dict.fromkeys(each.contestant for each in self.measurements))

    @property
    def workloads(self) -> list[Workload]:
        """All that were carried out, in the order of the run."""
        return list(dict.fromkeys(each.workload for each in self.measurements))

    @property
    def failures(self) -> list[Measurement]:
        """Those that gave no figures."""
        return [each for each in self.measurements if each.failure]

    def cost(self, contestant: str, workload: Workload) -> Spread | None:
        """Give what it cost: µs a message or KiB a connection; None where nothing was measured."""
        costs = self._costs.get((contestant, workload))
        return Spread.of(list(costs.values())) if costs else None

    def ratio(self, contestant: str, workload: Workload, base: str) -> Spread | None:
        """Give how many times as much the base costs, repeat by repeat: above 1 is better."""
        return self._compared((base, workload), (contestant, workload))

    def growth(self, contestant: str, larger: Workload, smaller: Workload) -> Spread | None:
        """Give how many times as much it costs at another size: 1 is flat."""
        return self._compared((contestant, larger), (contestant, smaller))

    def _compared(self, above: tuple[str, Workload], below: tuple[str, Workload]) -> Spread | None:
        dividends, divisors = self._costs.get(above, {}), self._costs.get(below, {})
        ratios = [
            dividends[repeat] / divisors[repeat] for repeat in dividends if divisors.get(repeat)
        ]
        return Spread.of(ratios) if ratios else None
