"""A running supervisor: a serial loop over exits, orders and waits that are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from typing import Protocol, TypeAlias

import anyio

from .ask import Answer
from .backend import Nursery, Waiter, open_nursery, persist
from .errors import (
    ActorStopped,
    ChildStands,
    NotFound,
    NotHandled,
    RestartLimitReached,
    StartFailed,
)
from .events import GaveUp
from .exit import Exit
from .life import Life
from .restart import RestartLimit, Strategy, restart_group, wants_restart
from .roles import Spec
from .slot import Slot
from .timers import Timer

Order: TypeAlias = Callable[[], Awaitable[None]]


class Branch(Spec, Protocol):
    """What a running supervisor needs of its own spec."""

    @property
    def children(self) -> Sequence[Spec]:
        """Its children, in the order of their start."""
        ...

    @property
    def strategy(self) -> Strategy:
        """Who restarts with whom."""
        ...

    @property
    def limit(self) -> RestartLimit:
        """How many restarts are too many."""
        ...


class Wait:
    """One restart that is to come: the order for it counts only while the slot still waits so."""

    __slots__ = ("timer",)

    def __init__(self) -> None:
        self.timer: Timer | None = None

    def cancel(self) -> None:
        """Let the time that it waits for pass without a word."""
        if self.timer is not None:
            self.timer.cancel()


class Supervision:
    """A supervisor's life.

    All that changes its children is an order in one queue, carried out one after another. What
    may take long, a start or the wait for an exit, stands in one scope that a stop cancels.
    """

    starts_idle = False
    on_end = on_stop = None
    """The children have stopped before."""

    def __init__(self, life: Life, spec: Branch) -> None:
        self.context = copy_context()
        self._life = life
        self._spec = spec
        self._slots: list[Slot] = []
        self._orders: deque[Order] = deque()
        self._ordered = Waiter()
        self._work = anyio.CancelScope()
        self._log: tuple[float, ...] = ()
        self._waits: dict[Slot, Wait] = {}
        """Those that have ended and whose own restart is to come."""
        self._calls: set[Answer[None]] = set()
        self._nursery: Nursery | None = None
        """Where new children go; None before the start and from the end on."""

    @property
    def _doomed(self) -> bool:
        """Whether the whole system is to stop: nobody comes back for a moment."""
        return self._life.surroundings.doomed()

    @property
    def slots(self) -> Sequence[Slot]:
        """The places of its children, in the order of their start."""
        return self._slots

    # ------------------------------------------------------------------ its own life

    async def live(self) -> None:
        """Start the children, and bring back those that end, until asked to stop."""
        async with open_nursery() as self._nursery:
            try:
                with self._work:
                    await self._supervise()
            finally:
                # Whatever ended the loop, no child may outlive its supervisor. Each wait in it
                # is bounded by the children's graces.
                self._nursery = None
                self._refuse_calls()
                await persist(self._stop_all)

    def stop(self) -> None:
        """Leave the loop, wherever it is; the children stop in its `finally`."""
        self._work.cancel()

    async def _supervise(self) -> None:
        for spec in self._spec.children:
            await self._start(self._declare(spec))
        self._life.started()
        while True:
            while not self._orders:
                await self._ordered.wait()
            await self._orders.popleft()()

    def _declare(self, spec: Spec) -> Slot:
        path, surroundings = f"{self._life.slot.path}/{spec.name}", self._life.surroundings
        slot = surroundings.registry.declare(Slot(path, spec, surroundings))
        slot.attempts, slot.restarted_at = 0, ()
        self._slots.append(slot)
        return slot

    async def _stop_all(self) -> None:
        for slot in list(reversed(self._slots)):
            self._forget_wait(slot)
            await self._stop(slot, comeback=False)
            if not slot.gone:
                slot.vacate()
        for slot in self._slots:
            self._disown(slot)

    # ------------------------------------------------------------------ the owner of its children

    def comes_back(self, life: Life, reason: Exit) -> bool:
        """Tell whether another life is to follow one that ends so."""
        if self._nursery is None or self._life.stopping is not None or self._doomed:
            return False
        if life.dismissed or not life.acknowledged:
            return life.comeback is True
        return wants_restart(life.slot.spec.terms.restart, reason)

    def release(self, life: Life) -> None:
        """Forget a temporary child that has ended by itself."""
        by_itself = life.acknowledged and not life.dismissed
        if by_itself and life.slot.spec.terms.restart == "temporary":
            self._drop(life.slot)

    def ended(self, life: Life) -> None:
        """Order what follows; whoever stopped or started it himself goes on by himself."""
        slot = life.slot
        if slot.state == "passive":
            if not slot.mailbox.empty:
                self._revive_or_forget(slot)
        elif life.dismissed or not life.acknowledged:
            pass
        elif slot.state == "waiting":
            self._restart_soon(slot)

    def revive(self, slot: Slot) -> None:
        """Start a passive child, which is needed again."""
        if self._nursery is None:
            raise ActorStopped(slot.path)
        slot.wake()
        self._expect(slot, self._bring_back)

    def _revive_or_forget(self, slot: Slot) -> None:
        if self._nursery is None:  # all are being stopped
            slot.vacate()
        else:
            self.revive(slot)

    def _restart_soon(self, slot: Slot) -> None:
        self._expect(slot, self._restart)

    def _expect(
        self, slot: Slot, then: Callable[[Slot], Awaitable[None]], *, delay: float | None = None
    ) -> None:
        """Order what brings a slot back; it is not carried out once something else did."""
        self._forget_wait(slot)
        self._waits[slot] = wait = Wait()
        order = partial(self._order, partial(self._carry_out, slot, wait, then))
        if delay is None:
            order()
        else:
            wait.timer = self._life.surroundings.timers.call_later(delay, order)

    async def _carry_out(
        self, slot: Slot, wait: Wait, then: Callable[[Slot], Awaitable[None]]
    ) -> None:
        if self._waits.get(slot) is wait and not self._doomed:
            del self._waits[slot]
            await then(slot)

    def _forget_wait(self, slot: Slot) -> None:
        wait = self._waits.pop(slot, None)
        if wait is not None:
            wait.cancel()

    def _order(self, order: Order) -> None:
        self._orders.append(order)
        self._ordered.wake()

    # ------------------------------------------------------------------ restarts

    async def _restart(self, slot: Slot) -> None:
        """Bring back a child that has ended, and its group; charge it, or let it wait before."""
        if slot.spec.terms.backoff is None:
            self._charge(slot)
            await self._restart_group(slot)
        else:
            self._expect(slot, self._restart_group, delay=self._next_delay(slot))
            await self._stop_group(slot)

    async def _bring_back(self, slot: Slot) -> None:
        """Start a passive child, which is no restart; from the first failure on, it is one."""
        comes_back = slot.spec.terms.restart != "temporary"
        try:
            await self._start(slot, comeback=comes_back)
        except StartFailed:
            if comes_back:
                self._restart_soon(slot)
            else:
                self._drop(slot)

    def _charge(self, slot: Slot) -> None:
        limit = self._spec.limit
        self._log = limit.charged(self._log, self._life.surroundings.clock())
        if limit.exceeded(self._log):
            self._give_up(slot, limit.restarts, limit.period, self._log)

    def _next_delay(self, slot: Slot) -> float:
        backoff, attempts = slot.spec.terms.backoff, slot.attempts_made
        assert backoff is not None
        if backoff.exhausted(attempts):
            self._give_up(slot, attempts, None, slot.restarted_at)
        return slot.next_delay()

    def _give_up(
        self, slot: Slot, restarts: int, period: float | None, restarted_at: Sequence[float]
    ) -> None:
        assert slot.life is not None
        self._life.surroundings.events.emit(GaveUp(slot.path, restarts, period))
        error = RestartLimitReached(slot.path, restarts, period, restarted_at)
        raise error from slot.life.error

    def _group(self, slot: Slot) -> list[Slot]:
        places = restart_group(self._spec.strategy, self._slots.index(slot), len(self._slots))
        return [self._slots[place] for place in places]

    async def _stop_group(self, slot: Slot) -> None:
        """Stop all that restart with a child; the temporary among them are forgotten."""
        for member in reversed(self._group(slot)):
            if member is slot:
                continue
            self._forget_wait(member)
            permanent = member.spec.terms.restart != "temporary"
            await self._stop(member, comeback=permanent)
            if not permanent and member in self._slots:
                self._drop(member)
                if not member.gone:  # it was passive
                    member.vacate()

    async def _restart_group(self, slot: Slot) -> None:
        """Stop what restarts with a child, and start it all in order; a failure is tried again."""
        await self._stop_group(slot)
        for member in self._group(slot):
            if not await self._start_again(member):
                self._restart_soon(member)
                return

    async def _start_again(self, slot: Slot) -> bool:
        try:
            await self._start(slot, comeback=True, restarts=True)
        except StartFailed:
            return False
        return True

    async def _start(self, slot: Slot, *, comeback: bool = False, restarts: bool = False) -> None:
        assert self._nursery is not None
        life = slot.begin(self._nursery, None, self, comeback=comeback, restarts=restarts)
        await life.settled.wait()
        if life.acknowledged:
            life.comeback = None
            return
        if isinstance(slot.spec, type(self._spec)) and isinstance(life.error, StartFailed):
            raise life.error  # the child of it that failed is already named
        raise StartFailed(slot.path, str(life.reason)) from life.error

    async def _stop(self, slot: Slot, *, comeback: bool, kill: bool = False) -> None:
        """Stop a child, and wait until it is completely gone."""
        life = slot.life
        if life is None or life.over:
            return
        life.comeback = comeback
        life.stop()
        if kill:
            life.kill(brutal=True)
        await life.over.wait()

    # ------------------------------------------------------------------ orders from outside

    async def start_child(self, spec: Spec) -> Slot:
        """Start one more child, after the others; it is gone with this incarnation."""
        await self._call(lambda: self._start_new(spec))
        return self._life.surroundings.registry.find(spec, spec.name)

    async def terminate(self, slot: Slot, *, kill: bool) -> None:
        """Stop a child, or kill it, and do not bring it back; a temporary one is forgotten."""
        await self._call(lambda: self._terminate(slot, kill))

    async def restart(self, slot: Slot) -> None:
        """Start a child that is stopped, or waits for its backoff; this is charged to nobody."""
        await self._call(lambda: self._restart_stopped(slot))

    async def delete(self, slot: Slot) -> None:
        """Forget a child that is stopped."""
        await self._call(lambda: self._delete(slot))

    async def _call(self, work: Order) -> None:
        """Have something done by the loop, and wait for it; cancelling lets it be done.

        Raises:
            ActorStopped: The supervisor has ended before.
        """
        if self._nursery is None:
            raise ActorStopped(self._life.slot.path)
        answer: Answer[None] = Answer()
        self._calls.add(answer)
        self._order(partial(self._serve, work, answer))
        await answer.wait()

    async def _serve(self, work: Order, answer: Answer[None]) -> None:
        try:
            await work()
        except (StartFailed, ChildStands, NotHandled) as error:
            answer.fail(error)
        else:
            answer.give(None)
        self._calls.discard(answer)

    def _refuse_calls(self) -> None:
        for answer in self._calls:
            answer.fail(ActorStopped(self._life.slot.path))
        self._calls.clear()

    async def _start_new(self, spec: Spec) -> None:
        if any(slot.spec.name == spec.name for slot in self._slots):
            raise ChildStands(f"{self._life.slot.path}/{spec.name}", "there", "name the other one")
        self._life.surroundings.registry.clear(dict(_places(self._life.slot.path, spec)))
        slot = self._declare(spec)
        try:
            await self._start(slot)
        except StartFailed:
            self._drop(slot)
            self._forget(spec)
            raise

    async def _terminate(self, slot: Slot, kill: bool) -> None:
        if slot not in self._slots:
            raise NotFound(slot.path)
        await self._stop(slot, comeback=False, kill=kill)
        self._let_rest(slot)
        if slot.spec.terms.restart == "temporary" and slot in self._slots:
            self._drop(slot)

    def _let_rest(self, slot: Slot) -> None:
        """Let a child be stopped that waited to come back, and those that waited for it."""
        group_waits = slot in self._waits and self._spec.strategy != "one_for_one"
        for member in self._group(slot) if group_waits else [slot]:
            if member is not slot and member in self._waits:
                continue  # a restart of its own is to come
            self._forget_wait(member)
            if not member.gone and member.state in ("waiting", "passive"):
                member.vacate()

    async def _restart_stopped(self, slot: Slot) -> None:
        if slot not in self._slots:
            raise NotFound(slot.path)
        if slot in self._waits:
            self._forget_wait(slot)
            await self._restart_group(slot)
            if slot.state == "waiting":
                raise StartFailed(slot.path, f"{slot.last_exit}; it goes on waiting")
            return
        if slot.state not in ("stopped", "waiting", "passive"):
            raise ChildStands(slot.path, slot.state, "terminate it first, or let it be")
        await self._start(slot, restarts=True)

    async def _delete(self, slot: Slot) -> None:
        if slot not in self._slots:
            raise NotFound(slot.path)
        if slot.state not in ("stopped", "waiting", "passive"):
            raise ChildStands(slot.path, slot.state, "terminate it before you delete it")
        self._let_rest(slot)
        self._drop(slot)
        self._forget(slot.spec)

    def _drop(self, slot: Slot) -> None:
        self._slots.remove(slot)
        self._disown(slot)
        if slot.spec not in self._spec.children:
            self._forget(slot.spec)

    def _disown(self, slot: Slot) -> None:
        """Let a child that is gone start elsewhere, unless our own restart brings it back."""
        if slot.spec not in self._spec.children:
            specs = (slot.spec, *specs_below(slot.spec))
            self._life.surroundings.registry.release(specs)

    def _forget(self, spec: Spec) -> None:
        for each in (spec, *specs_below(spec)):
            self._life.surroundings.registry.forget(each)


def specs_below(spec: Spec) -> Iterator[Spec]:
    """Yield all that stands below a spec in the tree."""
    children: Sequence[Spec] = getattr(spec, "children", ())
    for child in children:
        yield child
        yield from specs_below(child)


def _places(parent: str, spec: Spec) -> Iterator[tuple[Spec, str]]:
    """Yield a spec that is to stand under a path, and all below it, with their paths."""
    path = f"{parent}/{spec.name}"
    yield spec, path
    children: Sequence[Spec] = getattr(spec, "children", ())
    for child in children:
        yield from _places(path, child)
