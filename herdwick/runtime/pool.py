"""A running pool: children that are spawned in callbacks, and restarted each for itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from contextvars import Context, copy_context
from functools import partial
from itertools import count
from typing import Final, Protocol
from weakref import WeakValueDictionary

import anyio

from .backend import Nursery, Once, open_nursery, persist
from .errors import (
    ActorStopped,
    ChildStands,
    NotFound,
    NotHandled,
    RestartLimitReached,
    StartFailed,
    TooManyChildren,
)
from .events import GaveUp
from .exit import Exit
from .life import Life
from .restart import RestartLimit, wants_restart
from .roles import Spec
from .slot import Slot
from .timers import Timer

STOP_AT_ONCE: Final = 64

BATCHES_APART: Final = 0.05
"""Seconds between two batches, where a stop is spread."""


class PoolSpec(Spec, Protocol):
    """What a running pool needs of its own spec."""

    max_children: int | None
    limit: RestartLimit
    shared_budget: bool


class PoolSupervision:
    """A pool's life: its own task only keeps the children, and no child's restart delays another.

    Passive children are held weakly: while somebody has a ref, he can wake them; else their
    memory comes back, and `get` makes new ones.
    """

    starts_idle = False
    on_end = on_stop = None
    """The children have stopped before."""

    def __init__(self, life: Life, spec: PoolSpec) -> None:
        self._life = life
        self._spec = spec
        self._slots: dict[str, Slot] = {}
        self._passive: WeakValueDictionary[str, Slot] = WeakValueDictionary()
        self._keyed: WeakValueDictionary[Hashable, Slot] = WeakValueDictionary()
        """Those that are known by their arguments, whether they run or are passive."""
        self._waits: dict[Slot, Timer] = {}
        """Those that wait for their backoff."""
        self._log: tuple[float, ...] = ()
        """When children were restarted, where the budget is shared."""
        self._numbers = count(1)
        self._nursery: Nursery | None = None
        """Where new children go; None before the start and from the end on."""
        self.context = copy_context()
        self._stop = Once()
        self._failure: RestartLimitReached | None = None

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def slots(self) -> Iterable[Slot]:
        """The places of its children, in the order of their start."""
        return self._slots.values()

    # ------------------------------------------------------------------ its own life

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
                await persist(self._end_children)
        if self._failure is not None:
            raise self._failure from self._failure.__cause__

    def stop(self) -> None:
        """Leave the wait; the children stop in its `finally`."""
        self._stop.happen()

    async def stop_children(self, window: float = 0.0) -> None:
        """Stop all children, evenly over `window` seconds; wait until the last has ended.

        Each has its grace, from its own turn on. None of them comes back.
        """
        for slot in list(self._waits):
            self._forget(slot)
        lives = [slot.life for slot in self._slots.values() if slot.life is not None]
        batch = max(
            1,
            min(STOP_AT_ONCE, int(len(lives) * BATCHES_APART / window) if window else STOP_AT_ONCE),
        )
        for number, life in enumerate(lives, 1):
            life.stop()
            if not number % batch:
                # Or the graces of very many would pass before the last of them had a turn.
                await anyio.sleep(window * batch / len(lives))
        for life in lives:
            await life.over.wait()

    async def _end_children(self) -> None:
        await self.stop_children()
        for slot in list(self._passive.values()):
            self._forget(slot)  # vacated but found, it would let `get` turn without end

    # ------------------------------------------------------------------ new children

    def next_name(self) -> str:
        """Give the name of the next child that has none of its own: a number."""
        return next(name for number in self._numbers if not self._taken(name := f"{number}"))

    def name_for(self, arguments: Sequence[object]) -> str:
        """Give the name of a child that is known by its arguments: their text, if it serves."""
        plain = all(isinstance(argument, str | int) for argument in arguments)
        name = ",".join(str(argument) for argument in arguments)
        serves = plain and name and len(name) <= 100 and "/" not in name and name.isprintable()
        return name if serves and not self._taken(name) else self.next_name()

    def spawn(
        self,
        spec: Spec,
        context: Context | None = None,
        key: Hashable = None,
        *,
        place: Slot | None = None,
        comeback: bool | None = None,
    ) -> Slot:
        """Start a child, in a callback too; do not wait for its start.

        `place`: one where it stood before and has ended for good, so that old refs find it again.
        `comeback`: whether it is started again should this start fail.

        Raises:
            ActorStopped: The supervisor is stopping.
            TooManyChildren: It has as many as it may.
            StartFailed: It has one of that name.
        """
        path = f"{self._life.slot.path}/{spec.name}"
        nursery = self._open_nursery()
        if len(self._slots) == self._spec.max_children:
            raise TooManyChildren(path, len(self._slots))
        if self._taken(spec.name):
            raise StartFailed(path, "there is one of that name already")
        slot = place or Slot(path, spec, self._life.surroundings)
        slot.key, slot.attempts, slot.restarted_at = key, 0, ()
        self._enter(slot)
        slot.begin(nursery, context, self, comeback=comeback)
        return slot

    @property
    def open(self) -> bool:
        """Whether it takes new children."""
        return self._nursery is not None and self._life.stopping is None

    def find(self, key: Hashable) -> Slot | None:
        """Give the place of the child that was got by these arguments, if there is one."""
        return self._keyed.get(key)

    def _taken(self, name: str) -> bool:
        return name in self._slots or name in self._passive

    def _open_nursery(self) -> Nursery:
        if self._nursery is None or self._life.stopping is not None:
            raise ActorStopped(self._life.slot.path)
        return self._nursery

    def _enter(self, slot: Slot) -> None:
        self._slots[slot.spec.name] = slot
        if slot.key is not None:
            self._keyed[slot.key] = slot

    def _leave(self, slot: Slot) -> None:
        wait = self._waits.pop(slot, None)
        if wait is not None:
            wait.cancel()
        self._slots.pop(slot.spec.name, None)
        self._passive.pop(slot.spec.name, None)
        if slot.key is not None:
            self._keyed.pop(slot.key, None)

    def _forget(self, slot: Slot) -> None:
        self._leave(slot)
        slot.vacate()

    # ------------------------------------------------------------------ the owner of its children

    def comes_back(self, life: Life, reason: Exit) -> bool:
        """Tell whether another life is to follow one that ends so."""
        return self._wants_back(life, reason) and not self._failed_too_often(life)

    def release(self, life: Life) -> None:
        """Let go of the name of a child that has ended for good: nobody is to find it."""
        self._leave(life.slot)

    def ended(self, life: Life) -> None:
        """Decide at once: nothing here waits."""
        slot = life.slot
        match slot.state:
            case "waiting":
                self._restart(slot, life)
            case "passive":
                self._passive[slot.spec.name] = self._slots.pop(slot.spec.name)
                if not slot.mailbox.empty:
                    self._revive_or_forget(slot)
            case _:
                self._tell_if_given_up(life)

    def revive(self, slot: Slot) -> None:
        """Start a passive child, which is needed again."""
        nursery = self._open_nursery()
        if len(self._slots) == self._spec.max_children:
            raise NotHandled(f"{slot.path} is passive, and there are too many others to wake it")
        del self._passive[slot.spec.name]
        self._enter(slot)
        slot.begin(nursery, None, self, comeback=True)

    def _revive_or_forget(self, slot: Slot) -> None:
        try:
            self.revive(slot)
        except ActorStopped:  # all are being stopped
            self._forget(slot)

    def _wants_back(self, life: Life, reason: Exit) -> bool:
        if not wants_restart(life.slot.spec.terms.restart, reason):
            return False
        begun = life.acknowledged or life.comeback is True
        ends = self._nursery is None or self._life.stopping is not None
        if not begun or life.dismissed or ends or self._failure is not None:
            return False
        return not self._life.surroundings.doomed()

    def _failed_too_often(self, life: Life) -> bool:
        """Tell whether one more restart, now, is one too many."""
        backoff = life.slot.spec.terms.backoff
        if backoff is not None:
            return backoff.exhausted(life.slot.attempts_made)
        return self._spec.limit.exceeded(self._charged(life.slot))

    def _charged(self, slot: Slot) -> tuple[float, ...]:
        log = self._log if self._spec.shared_budget else slot.restarted_at
        return self._spec.limit.charged(log, self._life.surroundings.clock())

    def _restart(self, slot: Slot, life: Life) -> None:
        if slot.spec.terms.backoff is not None:
            again = partial(self._begin_again, slot, life)
            timers = self._life.surroundings.timers
            self._waits[slot] = timers.call_later(slot.next_delay(), again)
            return
        log = self._charged(slot)
        if self._spec.shared_budget:
            self._log = log
        else:
            slot.restarted_at = log
        self._begin_again(slot, life)

    def _begin_again(self, slot: Slot, life: Life) -> None:
        wait = self._waits.pop(slot, None)
        if wait is not None:
            wait.cancel()
        doomed = self._life.surroundings.doomed()
        if self._nursery is not None and slot.life is life and not doomed:
            slot.begin(self._nursery, None, self, comeback=True, restarts=True)

    def _tell_if_given_up(self, life: Life) -> None:
        """Say that a child stays down that its policy would have brought back."""
        assert life.reason is not None
        if not self._wants_back(life, life.reason):
            return
        slot, limit = life.slot, self._spec.limit
        often = (
            (limit.restarts, limit.period)
            if slot.spec.terms.backoff is None
            else (slot.attempts, None)
        )
        self._life.surroundings.events.emit(GaveUp(slot.path, *often))
        if self._spec.shared_budget:
            log = self._log or slot.restarted_at
            self._failure = RestartLimitReached(slot.path, often[0], often[1], log)
            self._failure.__cause__ = life.error
            self._stop.happen()

    # ------------------------------------------------------------------ orders from outside

    async def terminate(self, slot: Slot, *, kill: bool) -> None:
        """Stop a child, or kill it; it does not come back."""
        life = slot.life
        if self._slots.get(slot.spec.name) is not slot and slot.state != "passive":
            raise NotFound(slot.path)
        if slot.state in ("waiting", "passive"):
            self._forget(slot)
        elif life is not None:
            life.stop()
            if kill:
                life.kill(brutal=True)
            await life.over.wait()

    async def restart(self, slot: Slot) -> None:
        """Start a child that waits for its backoff now; no other of a pool can be stopped."""
        life = slot.life
        if slot.state != "waiting" or life is None:
            raise ChildStands(slot.path, slot.state, "a pool forgets its children; start a new one")
        self._open_nursery()
        self._begin_again(slot, life)
        await started(slot)

    async def delete(self, slot: Slot) -> None:
        """Refuse: a pool forgets its children when they have stopped."""
        raise ChildStands(slot.path, slot.state, "a pool forgets its children by itself")


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
