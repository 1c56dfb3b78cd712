"""Supervisors of children that come and go: connections, rooms, an actor per device."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from typing import Generic, ParamSpec

from typing_extensions import TypeVar

from .actor import Actor
from .backend import Nursery, Once, open_nursery, persist
from .child import Child
from .errors import ActorStopped, StartFailed
from .events import GaveUp, Restarted
from .exit import Exit
from .life import Life, Policy, Spec, part_of_path
from .restart import Restart, RestartLimit, wants_restart
from .slot import Slot

P = ParamSpec("P")
M_contra = TypeVar("M_contra", contravariant=True)


class Pool:
    """A branch whose children are spawned one by one (OTP: DynamicSupervisor).

    They start concurrently, stop all at once, and each has a restart budget of its own, so that
    one bad child never takes the others down.
    """

    def __init__(
        self,
        name: str,
        /,
        *,
        max_children: int | None = None,
        max_restarts: int = 3,
        period: float = 5.0,
    ) -> None:
        if max_children is not None and max_children < 1:
            raise ValueError(f"max_children is {max_children}; it must be 1 or more")
        self.name = part_of_path(name)
        self.max_children = max_children
        self.limit = RestartLimit(max_restarts, period)
        self.terms = Policy(grace=float("inf"), start_timeout=float("inf"))

    def embody(self, life: Life) -> DynamicSupervision:
        """Make the body of a new incarnation."""
        return DynamicSupervision(life, self)


class Dynamic(Pool, Generic[P, M_contra]):
    """A pool whose children are all made by one factory, from typed arguments."""

    def __init__(
        self,
        name: str,
        factory: Callable[P, Actor[M_contra]],
        /,
        *,
        restart: Restart = "temporary",
        max_children: int | None = None,
        max_restarts: int = 3,
        period: float = 5.0,
    ) -> None:
        super().__init__(name, max_children=max_children, max_restarts=max_restarts, period=period)
        self._factory = factory
        self._child_terms = Policy(restart=restart, start_timeout=10.0)

    def child(self, name: str, /, *args: P.args, **kwargs: P.kwargs) -> Child[M_contra]:
        """Make the spec of one child."""
        child, terms = Child(self._factory, *args, **kwargs).named(name), self._child_terms
        return child.policy(restart=terms.restart, start_timeout=terms.start_timeout)


class DynamicSupervision:
    """A pool's life: children are spawned in callbacks, and its own task only keeps them."""

    def __init__(self, life: Life, spec: Pool) -> None:
        self._life = life
        self._spec = spec
        self._slots: dict[str, Slot] = {}
        self._numbers = count(1)
        self._nursery: Nursery | None = None
        """Where new children go; None before the start and from the end on."""
        self._context = copy_context()
        self._stop = Once()

    async def live(self) -> None:
        """Keep the children until asked to stop, then stop all of them at once."""
        async with open_nursery() as self._nursery:
            self._life.started()
            try:
                await self._stop.wait()
            finally:
                # Whatever ended the wait, no child may outlive its supervisor; bounded by
                # their graces.
                self._nursery = None
                await persist(self.stop_children)

    def stop(self) -> None:
        """Leave the wait; the children stop in its `finally`."""
        self._stop.happen()

    async def on_stop(self, reason: Exit) -> None:
        """Do nothing: the children have stopped before."""

    def __len__(self) -> int:
        return len(self._slots)

    def next_name(self) -> str:
        """Give the name of the next child that has none of its own: a number."""
        return f"{next(self._numbers)}"

    def spawn(self, spec: Spec, context: Context | None = None) -> Slot:
        """Start a child, in a callback too; do not wait for its start.

        Raises:
            ActorStopped: The supervisor is stopping.
            StartFailed: It has as many children as it may, or one of that name.
        """
        path = f"{self._life.slot.path}/{spec.name}"
        nursery = self._nursery
        if nursery is None or self._life.stopping is not None:
            raise ActorStopped(self._life.slot.path)
        if len(self._slots) == self._spec.max_children:
            raise StartFailed(path, f"there are {self._spec.max_children} children already")
        if spec.name in self._slots:
            raise StartFailed(path, "there is one of that name already")
        slot = Slot(path, spec, self._life.surroundings)
        self._slots[spec.name] = slot
        self._life.surroundings.registry.enter(slot)
        slot.begin(nursery, context or self._context.copy(), self._ended)
        return slot

    async def stop_children(self) -> None:
        """Stop all children at once, and wait until the last has ended, within their graces.

        None of them comes back.
        """
        lives = [slot.life for slot in self._slots.values() if slot.life is not None]
        for life in lives:
            life.stop()
        for life in lives:
            await life.over.wait()

    def _ended(self, life: Life) -> None:
        """Decide at once: nothing here waits, so one child's restart delays no other."""
        assert life.reason is not None
        slot, limit, nursery = life.slot, self._spec.limit, self._nursery
        if nursery is None or not self._comes_back(life, life.reason):
            self._forget(slot)
            return
        slot.restarted_at = limit.charged(slot.restarted_at, self._life.surroundings.clock())
        if limit.exceeded(slot.restarted_at):
            self._life.surroundings.events.emit(GaveUp(slot.path, limit.restarts, limit.period))
            self._forget(slot)
            return
        slot.restarting()
        slot.begin(nursery, self._context.copy(), self._ended)
        self._life.surroundings.events.emit(Restarted(slot.path, slot.incarnation))

    def _comes_back(self, life: Life, reason: Exit) -> bool:
        begun = life.acknowledged or life.slot.incarnation > 1
        told = life.dismissed or self._life.stopping is not None
        return begun and not told and wants_restart(life.slot.spec.terms.restart, reason)

    def _forget(self, slot: Slot) -> None:
        del self._slots[slot.spec.name]
        slot.vacate()


async def started(slot: Slot) -> None:
    """Wait until a spawned child is ready.

    Raises:
        StartFailed: Its start failed, or took too long.
    """
    assert slot.life is not None
    life = slot.life
    await life.settled.wait()
    if not life.acknowledged:
        raise StartFailed(slot.path, str(life.reason)) from life.error
