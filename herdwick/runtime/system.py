"""A system: one tree of actors, with all that its actors share."""

from __future__ import annotations

import logging
import os
import random as chance
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Never, ParamSpec, Self, TypeAlias, TypeVar, cast

import anyio

from .backend import Clock, Nursery, current_clock, open_nursery, persist
from .child import Child
from .dynamic import Dynamic, Pool
from .errors import ActorStopped, NotFound, RestartLimitReached
from .events import Events, Stuck
from .exit import Exit
from .letters import DeadLetters
from .life import Life
from .logs import LogFilter
from .pool import PoolSupervision, started
from .ref import Ref, slot_of
from .registry import Registry
from .roles import Owner, Spec
from .slot import Slot
from .supervision import Supervision
from .supervisor import Supervisable, Supervisor, check_kind
from .timers import Timers
from .tree import (
    ChildCounts,
    ChildInfo,
    Node,
    Statistics,
    child_counts,
    child_info,
    children_of,
    snapshot,
    statistics_of,
)

P = ParamSpec("P")
Q = TypeVar("Q")
OnStuck: TypeAlias = Literal["wait", "exit"]
"""What follows when an actor swallows its cancellation: wait for it, or exit the process."""

EX_SOFTWARE: Final = 70
"""The exit status of a process with an actor that cannot be ended (BSD: sysexits.h)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all actors of one system share."""

    clock: Clock
    timers: Timers
    events: Events
    letters: DeadLetters
    registry: Registry
    random: Callable[[], float]
    system: System
    fatal: Callable[[BaseException], None]
    """End the whole system, and raise this in its host."""
    doomed: Callable[[], bool]
    """Whether something has ended the whole system."""
    stuck: Callable[[Stuck], None]
    """Report an actor that cannot be ended, and do what the system is to do then."""


class System:
    """A tree of actors that runs while its `async with` block does.

    Entering starts the tree, top to bottom; leaving stops it, bottom to top, whatever ends the
    block: its end, an error, a cancellation. If the root gives up meanwhile, the block is
    cancelled and that one error is raised.

    Args:
        root: The supervisor at the top.
        stop_timeout: Seconds that the whole stop may take before all that still lives is
            cancelled at once, whatever grace it has left. Stop hooks keep their own deadlines.
        on_stuck: What follows when an actor swallows its cancellation and goes on. wait: a
            `Stuck` event, and the stop waits for it; exit: the process ends at once, with 70.
        events: The stream to emit on, for those who subscribe before the start.
        random: The chance in the backoffs, from 0 up to 1.

    Raises:
        StartFailed: A child did not start; those before it have been stopped again.
    """

    def __init__(
        self,
        root: Supervisor,
        /,
        *,
        stop_timeout: float = 30.0,
        on_stuck: OnStuck = "wait",
        events: Events | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        if not stop_timeout >= 0:
            raise ValueError(f"stop_timeout is {stop_timeout:g}; it must be 0 seconds or more")
        if on_stuck not in ("wait", "exit"):
            raise ValueError(f"on_stuck is {on_stuck!r}; it must be 'wait' or 'exit'")
        self.events = Events() if events is None else events
        """What happens to its actors; it can be subscribed to before the start."""
        self._root = root
        self._stop_timeout = stop_timeout
        self._exit_if_stuck = on_stuck == "exit"
        self._random = random
        self._failure: BaseException | None = None
        self._shared: Surroundings | None = None
        self._ticking: anyio.CancelScope | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start the tree; cancelling it stops what has started."""
        if self._shared is not None:
            raise RuntimeError(f"the system {self._root.name!r} ran already; make another one")
        self._shared = self._surround()
        self._logs = LogFilter(self.clock).standing()
        self._open: AbstractAsyncContextManager[Nursery] = open_nursery()
        self._nursery = await self._open.__aenter__()
        self._start_ticking()
        self._slot = self._declare(self._root, self._root.name)
        self._body = anyio.CancelScope()
        self._logs.__enter__()
        self._life = self._slot.begin(self._nursery, None, _Top(self._root_ended))
        try:
            await self._started()
        except BaseException:
            await self._close()
            if self._failure is not None:  # of a hook, perhaps, that ended the program
                raise self._failure from None
            raise
        self._body.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Stop the tree in order; nothing cuts that short but its `stop_timeout`."""
        absorbed = bool(self._body.__exit__(kind, error, traceback))
        try:
            await self._close()
        finally:
            if self._failure is not None:
                raise self._failure
        return absorbed

    @property
    def clock(self) -> Clock:
        """The clock of the loop that it runs on, in seconds."""
        return self._surroundings.clock

    @property
    def timers(self) -> Timers:
        """Its timers, for what is no actor."""
        return self._surroundings.timers

    @property
    def dead_letters(self) -> int:
        """How many messages were told and reached nobody."""
        return self._surroundings.letters.total

    @property
    def running(self) -> bool:
        """Whether the tree is up and nobody has asked it to stop."""
        return (
            self._shared is not None
            and self._life.acknowledged
            and self._life.stopping is None
            and not self._life.over
        )

    # ------------------------------------------------------------------ finding and starting

    def ref(self, child: Child[Q], /) -> Ref[Q]:
        """Give the ref of a declared child; the spec itself is the key.

        Raises:
            NotFound: The child is in no part of this tree.
        """
        return cast("Ref[Q]", self._place(child).ref())

    async def start(self, children: Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs) -> Ref[Q]:
        """Start one more child of a dynamic supervisor, and wait until it is ready.

        Cancelling leaves the child running.

        Raises:
            StartFailed: Its start failed, took over 10 s, or there are too many already.
        """
        pool = self.pool(children)
        slot = pool.spawn(children.child(pool.next_name(), *args, **kwargs))
        await started(slot)
        return cast("Ref[Q]", slot.ref())

    async def get(self, children: Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs) -> Ref[Q]:
        """Give the child with these arguments; start it where there is none.

        However many call at once, one child is started, and all of them wait for it. One that is
        stopping is waited for, and followed by a new one. Cancelling leaves the child running.

        Raises:
            StartFailed: Its start failed, took over 10 s, or there are too many already.
            TypeError: An argument cannot be hashed.
        """
        key = children.key(*args, **kwargs)
        while True:
            pool = self.pool(children)
            slot = pool.find(key)
            if slot is None:
                name = pool.name_for((*args, *kwargs.values()))
                slot = pool.spawn(children.child(name, *args, **kwargs), key=key)
                await started(slot)
            elif slot.ends:
                await slot.gone.wait()
                continue
            elif slot.state == "starting":
                await started(slot)
            return cast("Ref[Q]", slot.ref())

    def find(self, children: Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs) -> Ref[Q] | None:
        """Give the child that was got with these arguments, if it is there; start none."""
        slot = self.pool(children).find(children.key(*args, **kwargs))
        return None if slot is None or slot.ends else cast("Ref[Q]", slot.ref())

    def spawn(self, pool: Pool, child: Spec, *, context: Context | None = None) -> Slot:
        """Start a child of a pool in the caller's turn, without waiting for its start."""
        return self.pool(pool).spawn(child, context)

    def pool(self, pool: Pool) -> PoolSupervision:
        """Give the running side of a pool.

        Raises:
            NotFound: The pool is in no part of this tree.
            ActorStopped: It does not run now.
        """
        life = self._place(pool).life
        if life is None or not isinstance(life.body, PoolSupervision):
            raise ActorStopped(pool.name)
        return life.body

    # ------------------------------------------------------------------ looking after it

    def which_children(self, supervisor: Supervisor | Pool, /) -> tuple[ChildInfo, ...]:
        """List the children of a supervisor (OTP: supervisor:which_children/1)."""
        return tuple(child_info(slot) for slot in children_of(self._place(supervisor)))

    def count_children(self, supervisor: Supervisor | Pool, /) -> ChildCounts:
        """Count the children of a supervisor (OTP: supervisor:count_children/1)."""
        return child_counts(children_of(self._place(supervisor)))

    async def start_child(self, supervisor: Supervisor, child: Supervisable, /) -> None:
        """Start one more child of a supervisor, after the others (OTP: start_child/2).

        It is restarted and stopped as they are, and gone when the supervisor itself restarts.
        Orders to one supervisor are carried out one after another, between its restarts;
        cancelling the wait takes none back.

        Raises:
            StartFailed: Its start failed; the supervisor does not keep it.
            ChildStands: There is a child of that name, or the spec has a place elsewhere.
            TypeError: It is no supervisor, but a pool; or the child is no spec.
            ActorStopped: The supervisor has ended.
        """
        check_kind(supervisor.name, child)
        life = self._place(supervisor).life
        body = None if life is None else life.body
        if isinstance(body, PoolSupervision):
            raise TypeError(f"{supervisor.name!r} is a pool; `start` or `spawn` start its children")
        if not isinstance(body, Supervision):
            raise ActorStopped(supervisor.name)
        await body.start_child(child)

    async def terminate_child(
        self, child: Supervisable | Ref[Never], /, *, kill: bool = False
    ) -> None:
        """Stop a child in order, and do not bring it back (OTP: terminate_child/2).

        The supervisor keeps its spec, so that `restart_child`, or a restart of its group, starts
        it again; a temporary child, and one of a pool, is forgotten. Nothing happens to one that
        has stopped. Waits until it is completely gone. With `kill` it is cancelled at once, and
        its stop hook does not run (OTP: brutal_kill).

        Raises:
            NotFound: Nobody knows it.
            ActorStopped: Its supervisor has ended.
        """
        slot = self._place(child)
        await self._owner(slot).terminate(slot, kill=kill)

    async def restart_child(self, child: Supervisable | Ref[Never], /) -> None:
        """Start a child again that is stopped, or now where it waits (OTP: restart_child/2).

        It is charged to no restart limit. Waits until it is ready.

        Raises:
            ChildStands: It runs.
            StartFailed: Its start failed; it stays stopped, or goes on waiting.
            NotFound: Nobody knows it.
            ActorStopped: Its supervisor has ended.
        """
        slot = self._place(child)
        await self._owner(slot).restart(slot)

    async def delete_child(self, child: Supervisable | Ref[Never], /) -> None:
        """Let a supervisor forget a child that is stopped (OTP: delete_child/2).

        One that waits for its backoff, or is passive, is forgotten as well.

        Raises:
            ChildStands: It runs; terminate it first.
            NotFound: Nobody knows it.
            ActorStopped: Its supervisor has ended.
        """
        slot = self._place(child)
        await self._owner(slot).delete(slot)

    def statistics(self, actor: Supervisable | Ref[Never], /) -> Statistics:
        """Take a snapshot of what an actor, or a supervisor, does now.

        Raises:
            NotFound: Nobody knows it.
        """
        return statistics_of(self._place(actor), self.clock())

    def tree(self) -> Node:
        """Take a snapshot of the whole tree; `str` of it is a text."""
        return snapshot(self._slot, self.clock())

    # ------------------------------------------------------------------ inside

    @property
    def _surroundings(self) -> Surroundings:
        if self._shared is None:
            raise RuntimeError(f"the system {self._root.name!r} does not run; use `async with`")
        return self._shared

    def _surround(self) -> Surroundings:
        clock = current_clock()
        return Surroundings(
            clock=clock,
            timers=Timers(clock),
            events=self.events,
            letters=DeadLetters(self.events),
            registry=Registry(),
            random=self._random,
            system=self,
            fatal=self._fail,
            doomed=lambda: self._failure is not None,
            stuck=self._report_stuck,
        )

    def _declare(self, spec: Spec, path: str) -> Slot:
        """Give all that stands in the tree its place: refs are valid before the actors run."""
        slot = Slot(path, spec, self._surroundings)
        slot.vacate()
        for child in spec.children if isinstance(spec, Supervisor) else ():
            self._declare(child, f"{path}/{child.name}")
        return self._surroundings.registry.declare(slot)

    def _place(self, actor: Supervisable | Ref[Never]) -> Slot:
        if not isinstance(actor, Ref):
            return self._surroundings.registry.find(actor, actor.name)
        slot = slot_of(actor)
        if slot is None or not slot.belongs_to(self._surroundings):
            raise NotFound(actor.path)
        return slot

    def _owner(self, slot: Slot) -> Owner:
        if slot.owner is None or isinstance(slot.owner, _Top):
            raise NotFound(f"a supervisor of {slot.path}")
        return slot.owner

    async def _started(self) -> None:
        await self._life.settled.wait()
        if self._failure is not None:
            raise self._failure
        if not self._life.acknowledged:
            assert self._life.error is not None
            raise self._life.error

    def _start_ticking(self) -> None:
        """Run the timers; graces depend on them, so whoever ends them starts them again."""
        if not self._closed:
            name = f"{self._root.name}:timers"
            self._nursery.spawn(self._tick, copy_context(), name, self._start_ticking)

    async def _tick(self, over: Callable[[], None]) -> None:
        try:
            with anyio.CancelScope(shield=True) as self._ticking:
                if not self._closed:
                    await self.timers.run()
        except (SystemExit, KeyboardInterrupt) as error:
            self._fail(error)
        finally:
            over()

    def _root_ended(self, life: Life) -> None:
        gave_up = isinstance(life.error, RestartLimitReached)  # a stop at once does not hide it
        if life.error is not None and life.acknowledged and (gave_up or life.stopping is None):
            self._fail(life.error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._body.cancel()
            root = self._slot.life
            if root is not None and not root.acknowledged:
                root.stop()  # there is no body yet whose end would stop it

    def _report_stuck(self, stuck: Stuck) -> None:
        self.events.emit(stuck)
        if self._exit_if_stuck:
            logging.shutdown()
            os._exit(EX_SOFTWARE)

    async def _close(self) -> None:
        if self._stop_timeout < float("inf"):
            deadline = self.timers.call_later(self._stop_timeout, self._cut)
            self._life.over.then(deadline.cancel)
        self._life.stop()
        try:
            await persist(self._life.over.wait)
        finally:
            self._closed = True
            if self._ticking is not None:
                self._ticking.cancel()
            try:
                await self._open.__aexit__(None, None, None)
                self._surroundings.letters.sum_up()
            finally:
                self._logs.__exit__(None, None, None)

    def _cut(self) -> None:
        """Cancel all that still lives; the supervisors end with what they have."""
        for slot in list(_all(self._slot)):
            if slot.life is not None and children_of(slot):
                slot.life.stop()  # or it would bring back what is killed below it
            elif slot.life is not None:
                slot.life.kill()


class _Top:
    """The owner of the root."""

    def __init__(self, root_ended: Callable[[Life], None]) -> None:
        self._root_ended = root_ended
        self.context = copy_context()

    def comes_back(self, life: Life, reason: Exit) -> bool:
        return False

    def release(self, life: Life) -> None:
        pass

    def ended(self, life: Life) -> None:
        self._root_ended(life)

    def revive(self, slot: Slot) -> None:
        raise ActorStopped(slot.path)

    async def terminate(self, slot: Slot, *, kill: bool) -> None:
        raise NotFound(slot.path)

    async def restart(self, slot: Slot) -> None:
        raise NotFound(slot.path)

    delete = restart


def _all(slot: Slot) -> Iterator[Slot]:
    yield slot
    for child in children_of(slot):
        yield from _all(child)
