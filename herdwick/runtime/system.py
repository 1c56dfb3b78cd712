"""A system: one tree of actors, with all that its actors share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, cast

import anyio

from .backend import Clock, Nursery, current_clock, open_nursery, persist
from .child import Child
from .dynamic import Dynamic, DynamicSupervision, Pool, started
from .errors import ActorStopped
from .events import Events
from .exit import Exit
from .life import Life, Spec
from .ref import Ref
from .registry import Registry
from .slot import Slot
from .supervisor import Supervisor
from .timers import Timers

P = ParamSpec("P")
Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all actors of one system share."""

    clock: Clock
    timers: Timers
    events: Events
    registry: Registry
    fatal: Callable[[BaseException], None]
    """End the whole system, and raise this in its host."""


class System:
    """A tree of actors that runs while its `async with` block does.

    Entering starts the tree, top to bottom; leaving stops it, bottom to top, whatever ends the
    block: its end, an error, a cancellation. If the root gives up meanwhile, the block is
    cancelled and that one error is raised.

    Raises:
        StartFailed: A child did not start; those before it have been stopped again.
    """

    def __init__(self, root: Supervisor, /) -> None:
        self._root = root
        self._failure: BaseException | None = None
        self._shared: Surroundings | None = None
        self._ticking: anyio.CancelScope | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start the tree; cancelling it stops what has started."""
        if self._shared is not None:
            raise RuntimeError(f"the system {self._root.name!r} ran already; make another one")
        clock = current_clock()
        self._shared = Surroundings(clock, Timers(clock), Events(), Registry(), self._fail)
        self._open: AbstractAsyncContextManager[Nursery] = open_nursery()
        self._nursery = await self._open.__aenter__()
        self._start_ticking()
        self._slot = Slot(self._root.name, self._root, self._shared)
        self._body = anyio.CancelScope()
        self._life = self._slot.begin(self._nursery, copy_context(), self._root_ended)
        try:
            await self._started()
        except BaseException:
            await self._close()
            raise
        self._body.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Stop the tree in order; nothing cuts that short but the children's graces."""
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
    def events(self) -> Events:
        """What happens to its actors."""
        return self._surroundings.events

    @property
    def running(self) -> bool:
        """Whether the tree is up and nobody has asked it to stop."""
        return (
            self._shared is not None
            and self._life.acknowledged
            and self._life.stopping is None
            and not self._life.over
        )

    def ref(self, child: Child[Q], /) -> Ref[Q]:
        """Give the ref of a declared child; the spec itself is the key.

        Raises:
            ActorStopped: The child is in no part of this tree.
        """
        slot = self._surroundings.registry.find(child, child.name)
        return cast("Ref[Q]", slot.ref())

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

    def spawn(self, pool: Pool, child: Spec, *, context: Context | None = None) -> Slot:
        """Start a child of a pool in the caller's turn, without waiting for its start."""
        return self.pool(pool).spawn(child, context)

    def pool(self, pool: Pool) -> DynamicSupervision:
        """Give the running side of a pool.

        Raises:
            ActorStopped: The pool is in no part of this tree, or does not run now.
        """
        life = self._surroundings.registry.find(pool, pool.name).life
        if life is None or not isinstance(life.body, DynamicSupervision):
            raise ActorStopped(pool.name)
        return life.body

    @property
    def _surroundings(self) -> Surroundings:
        if self._shared is None:
            raise RuntimeError(f"the system {self._root.name!r} does not run; use `async with`")
        return self._shared

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

    async def _tick(self) -> None:
        try:
            with anyio.CancelScope(shield=True) as self._ticking:
                if not self._closed:
                    await self.timers.run()
        except (SystemExit, KeyboardInterrupt) as error:
            self._fail(error)

    def _root_ended(self, life: Life) -> None:
        life.slot.vacate()
        if life.stopping is None and life.acknowledged and life.reason != Exit("normal"):
            assert life.error is not None
            self._fail(life.error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._body.cancel()
            root = self._slot.life
            if root is not None and not root.acknowledged:
                root.stop()  # there is no body yet whose end would stop it

    async def _close(self) -> None:
        self._life.stop()
        try:
            await persist(self._life.over.wait)
        finally:
            self._closed = True
            if self._ticking is not None:
                self._ticking.cancel()
            await self._open.__aexit__(None, None, None)
