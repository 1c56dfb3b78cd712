"""A supervisor of declared children: one_for_one, started in order, stopped in reverse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import copy_context
from typing import Any, TypeAlias

import anyio

from .backend import Nursery, open_nursery, persist
from .child import Child
from .dynamic import Dynamic, Pool
from .errors import RestartLimitReached, StartFailed
from .events import GaveUp, Restarted
from .exit import Exit
from .life import Life, Policy, Spec, part_of_path
from .mailbox import Mailbox
from .restart import RestartLimit, wants_restart
from .slot import Slot

Supervisable: TypeAlias = "Child[Any] | Dynamic[..., Any] | Pool | Supervisor"


class Supervisor:
    """A branch of the tree (OTP: supervisor).

    Its children start one after another, each complete before the next, and stop in reverse. A
    child that ends is started again if its restart policy says so. When that would be more than
    `max_restarts` restarts within `period` seconds, the supervisor gives up: it stops its
    children and crashes, and its own supervisor decides.
    """

    def __init__(
        self,
        name: str,
        /,
        *children: Supervisable,
        max_restarts: int = 3,
        period: float = 5.0,
    ) -> None:
        _check_kinds(name, children)
        _check_names(name, children)
        self.name = part_of_path(name)
        self.children = children
        self.limit = RestartLimit(max_restarts, period)
        self.terms = Policy(grace=float("inf"), start_timeout=float("inf"))
        _check_keys(list(_specs(self)))

    def embody(self, life: Life) -> Supervision:
        """Make the body of a new incarnation."""
        return Supervision(life, self)


def _check_kinds(supervisor: str, children: Sequence[object]) -> None:
    for child in children:
        if not isinstance(child, Child | Pool | Supervisor):
            actor = getattr(child, "__name__", "…")
            raise TypeError(
                f"supervisor {supervisor!r} cannot start {child!r}; give it `Child({actor})`, "
                f"or a Dynamic, a Pool or another Supervisor"
            )


def _check_names(supervisor: str, children: Sequence[Spec]) -> None:
    names = [child.name for child in children]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"supervisor {supervisor!r} has two children named {name!r}; "
                f"give one of them another name with `.named(…)`"
            )


def _specs(branch: Supervisor) -> Iterator[Spec]:
    for child in branch.children:
        yield child
        if isinstance(child, Supervisor):
            yield from _specs(child)


def _check_keys(specs: Sequence[Spec]) -> None:
    seen: set[int] = set()
    for spec in specs:
        if id(spec) in seen:
            raise ValueError(
                f"{spec.name!r} stands in the tree twice, and it is the key to one actor; "
                f"make another one for the second place"
            )
        seen.add(id(spec))


class Supervision:
    """A supervisor's life: a serial loop over the exits of its children.

    All that may take long, a start or the wait for an exit, stands in one scope that a stop
    cancels.
    """

    def __init__(self, life: Life, spec: Supervisor) -> None:
        self._life = life
        self._spec = spec
        self._slots: list[Slot] = []
        self._to_restart: Mailbox[Slot] = Mailbox(life.slot.path, capacity=None)
        self._work = anyio.CancelScope()
        self._log: list[float] = []

    async def live(self) -> None:
        """Start the children, and bring back those that end, until asked to stop."""
        async with open_nursery() as nursery:
            try:
                with self._work:
                    await self._supervise(nursery)
            finally:
                # Whatever ended the loop, no child may outlive its supervisor. Each wait in it
                # is bounded by the children's graces.
                await persist(self._stop_all)

    def stop(self) -> None:
        """Leave the loop, wherever it is; the children stop in its `finally`."""
        self._work.cancel()

    async def on_stop(self, reason: Exit) -> None:
        """Do nothing: the children have stopped before."""

    async def _supervise(self, nursery: Nursery) -> None:
        for spec in self._spec.children:
            path, surroundings = f"{self._life.slot.path}/{spec.name}", self._life.surroundings
            slot = surroundings.registry.declare(Slot(path, spec, surroundings))
            self._slots.append(slot)
            await self._start(slot, nursery)
        self._life.started()
        while True:
            await self._restart(await self._to_restart.get(), nursery)

    async def _start(self, slot: Slot, nursery: Nursery) -> None:
        life = slot.begin(nursery, copy_context(), self._ended)
        await life.settled.wait()
        if life.acknowledged:
            return
        if isinstance(slot.spec, Supervisor) and isinstance(life.error, StartFailed):
            raise life.error  # the child of it that failed is already named
        raise StartFailed(slot.path, str(life.reason)) from life.error

    def _ended(self, life: Life) -> None:
        if not life.acknowledged:
            return  # whoever started it is told by `settled`
        assert life.reason is not None
        if self._life.stopping is None and wants_restart(life.slot.spec.terms.restart, life.reason):
            life.slot.restarting()
            self._to_restart.put_nowait(life.slot)
        else:
            life.slot.vacate()

    async def _restart(self, slot: Slot, nursery: Nursery) -> None:
        """Charge one restart and do it; a failed one is tried and charged again."""
        clock, limit = self._life.surroundings.clock, self._spec.limit
        self._log = limit.charged(self._log, clock())
        assert slot.life is not None
        if limit.exceeded(self._log):
            self._life.surroundings.events.emit(GaveUp(slot.path, limit.restarts, limit.period))
            raise RestartLimitReached(slot.path, limit.restarts, limit.period) from slot.life.error
        try:
            await self._start(slot, nursery)
        except StartFailed:
            slot.restarting()
            self._to_restart.put_nowait(slot)
        else:
            self._life.surroundings.events.emit(Restarted(slot.path, slot.incarnation))

    async def _stop_all(self) -> None:
        for slot in reversed(self._slots):
            if slot.life is not None:
                slot.life.stop()
                await slot.life.over.wait()
            if not slot.gone:
                slot.vacate()
