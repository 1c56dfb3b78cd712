"""One crowd on one scale, in a process that does nothing else."""

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Final

import anyio

from .scales import Scale, Weight, Weights, by_line, by_object, resident
from .subjects import SUBJECTS

SCALES: Final[dict[str, Callable[[], Scale]]] = {
    "object": by_object,
    "line": by_line,
    "resident": resident,
}

REHEARSAL: Final = 10
"""That are there already: what is made but once is no share of the others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is weighed, where and how."""

    subject: str
    backend: str
    by: str
    count: int

    def weigh(self) -> Weights:
        """Give what one of the crowd takes, by name, from a process of its own."""
        context = get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
            return processes.submit(self.run).result()

    def run(self) -> Weights:
        """Give it from this process, which should be a fresh one."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        work = partial(self._run, SCALES[self.by]())
        if self.backend == "uvloop":
            return anyio.run(work, backend_options={"use_uvloop": True})
        return anyio.run(work, backend=self.backend)

    async def _run(self, weigh: Scale) -> Weights:
        async with SUBJECTS[self.subject](self.backend) as add:
            await add(REHEARSAL)
            before = weigh()
            await add(self.count)
            after = weigh()
        return {
            name: (weight - before.get(name, Weight())).each(self.count)
            for name, weight in after.items()
        }
