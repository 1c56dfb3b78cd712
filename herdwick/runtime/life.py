"""One incarnation of an actor: its task, from the spawn to the exit reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast, get_args

import anyio
import anyio.lowlevel

from .backend import Nursery, Once, persist
from .errors import ActorStopped, ForeignCancellation
from .exit import KILLED, NORMAL, SHUTDOWN, Exit, crash
from .restart import Restart

if TYPE_CHECKING:
    from .slot import Slot
    from .system import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a supervisor treats a child."""

    restart: Restart = "permanent"
    """permanent: always comes back; transient: after an abnormal exit; temporary: never."""

    grace: float = 5.0
    """Seconds that a stop may take before it becomes a cancellation."""

    start_timeout: float = 30.0
    """Seconds that a start may take before it has failed."""

    hook_timeout: float = 5.0
    """Seconds that the stop hook may take before it is cancelled."""

    mailbox: int | None = 1000
    """Messages that may wait; None for no bound."""

    contain_exits: bool = False
    """SystemExit and KeyboardInterrupt are crashes like any other, not the program's end."""

    def __post_init__(self) -> None:
        if self.restart not in get_args(Restart):
            raise ValueError(f"restart is {self.restart!r}; it must be one of {get_args(Restart)}")
        for name in ("grace", "start_timeout", "hook_timeout"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be 0 seconds or more")
        if self.mailbox is not None and self.mailbox < 1:
            raise ValueError(f"mailbox is {self.mailbox}; it must hold at least 1 message")


def part_of_path(name: str) -> str:
    """Give the name of a child back if it can stand in a path."""
    if not name or "/" in name:
        raise ValueError(f"a child's name is a part of a path, not {name!r}")
    return name


class Body(Protocol):
    """What an actor does in one incarnation."""

    async def live(self) -> None:
        """Start, call `Life.started`, and go on until the end."""
        ...

    def stop(self) -> None:
        """Be asked to come to an end; called in any task, once, after the start."""
        ...

    async def on_stop(self, reason: Exit) -> None:
        """Clean up; shielded, within a deadline."""
        ...


class Spec(Protocol):
    """What a supervisor needs to know of a child."""

    @property
    def name(self) -> str:
        """The child's name, unique under its supervisor."""
        ...

    @property
    def terms(self) -> Policy:
        """How the supervisor treats it."""
        ...

    def embody(self, life: Life) -> Body:
        """Make the body of a new incarnation; an error is a failed start."""
        ...


class Life:
    """One incarnation of an actor.

    Its task runs in a shielded scope of its own, so that nobody but its supervisor ends it, and
    every end becomes an exit reason: no exception leaves the task.
    """

    def __init__(
        self,
        slot: Slot,
        nursery: Nursery,
        surroundings: Surroundings,
        ended: Callable[[Life], None],
    ) -> None:
        self.slot = slot
        self.surroundings = surroundings
        self.reason: Exit | None = None
        """How it ended; None while it lives."""
        self.error: BaseException | None = None
        """The error that it ended with, if any."""
        self.acknowledged = False
        """Whether its start is complete."""
        self.settled = Once()
        """Its start has succeeded or failed."""
        self.over = Once()
        """Its task is completely gone."""
        self.stopping: Exit | None = None
        """The reason that a stop has recorded; None while nobody asked for one."""
        self.dismissed = False
        """Whether its supervisor has asked for the stop, so that no other life follows."""
        self._nursery = nursery
        self._ended = ended
        self.body: Body | None = None
        """What it does; there once its task has begun."""
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self._brutal = False
        self._helpers: set[_Helper] = set()
        self._winding_up = False

    def spawn(self, context: Context) -> None:
        """Start the task; in a callback too."""
        self._nursery.spawn(self._main, context, self.slot.path, self._over)
        timeout = self.slot.spec.terms.start_timeout
        if timeout < float("inf") and not self.settled:
            timer = self.surroundings.timers.call_later(timeout, self._start_late)
            self.settled.then(timer.cancel)

    def started(self) -> None:
        """Acknowledge the start."""
        self.acknowledged = True
        self.settled.happen()

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a helper task that belongs to this life: its crash is ours, our end is its end.

        Raises:
            ActorStopped: This life ends, and its helpers with it.
        """
        if self._winding_up:
            raise ActorStopped(self.slot.path)
        helper = _Helper(self, function, args)
        self._helpers.add(helper)
        name = f"{self.slot.path}:{getattr(function, '__name__', 'helper')}"
        self._nursery.spawn(helper.main, copy_context(), name, helper.ended)

    def forget(self, helper: _Helper) -> None:
        """Let a helper go that has ended."""
        self._helpers.discard(helper)

    def stop(self) -> None:
        """Ask for an ordered end on the supervisor's behalf; after the grace, cancel."""
        if self.dismissed or self.over:
            return
        self.dismissed = True
        grace = self.slot.spec.terms.grace
        if grace < float("inf"):
            timer = self.surroundings.timers.call_later(grace, self.kill)
            self.over.then(timer.cancel)
        self.leave(SHUTDOWN)

    def leave(self, reason: Exit) -> None:
        """Come to an ordered end on the actor's own behalf; whether it comes back is open."""
        if self.stopping is not None or self.over:
            return
        self.stopping = reason
        self.slot.closing()
        if self.body is None or not self.acknowledged:
            self.cancel(reason)
        else:
            self.body.stop()

    def kill(self, *, brutal: bool = False) -> None:
        """End it now: the running handler is cancelled; `brutal` skips the stop hook too."""
        self._brutal = self._brutal or brutal
        self.cancel(KILLED)

    def fail(self, error: BaseException) -> None:
        """Crash it with `error`, in whatever it does."""
        self._look_for_exit(error)
        if self.error is None and self.reason is None:
            self.error = error
            self.cancel(crash(error))

    def cancel(self, reason: Exit) -> None:
        """Cancel whatever runs; `reason` becomes the exit reason."""
        self.stopping = reason
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def _main(self) -> None:
        reason = await self._guard(self._live, None)
        if self._cancelled:
            await _absorb_cancellation()
        self._settle(await self._guard(partial(self._wind_up, reason), reason))

    async def _live(self) -> Exit:
        self.body = self.slot.spec.embody(self)
        await self.body.live()
        return self.stopping or NORMAL

    async def _guard(self, run: Callable[[], Awaitable[Exit]], after: Exit | None) -> Exit:
        """Run something in a shielded scope, and make a reason of however it ends.

        The attribution of a cancellation is our own flag, looked at outside of the scope: the
        scope has by then stripped its own cancellations out of groups, and what is left over
        was somebody else's, or ours and somebody else's at once.
        """
        try:
            with anyio.CancelScope(shield=True) as scope:
                if after is None:
                    self._scope = scope
                    if self._cancelled:
                        scope.cancel()
                return await run()
        except anyio.get_cancelled_exc_class():
            if after is None and self._cancelled:
                return self.stopping or SHUTDOWN
            return self._record(ForeignCancellation(self.slot.path), after)
        except BaseException as error:
            return self._record(error, after)
        return self.stopping or after or NORMAL

    def _record(self, error: BaseException, after: Exit | None) -> Exit:
        self._look_for_exit(error)
        if after is None and self.stopping is not None and self.stopping.kind == "crash":
            return self.stopping
        if error.__context__ is None and error is not self.error:
            error.__context__ = self.error
        self.error = error
        return crash(error)

    def _look_for_exit(self, error: BaseException) -> None:
        if not self.slot.spec.terms.contain_exits:
            for end in _exits(error):
                self.surroundings.fatal(end)

    async def _wind_up(self, reason: Exit) -> Exit:
        """End the helpers, then run the stop hook."""
        self._winding_up = True
        if self._helpers:
            await persist(self._end_helpers)
        if self.error is not None and not reason.abnormal:  # a helper's, in its last moments
            reason = crash(self.error)
        if self.body is None or not self.acknowledged or self._brutal:
            return reason
        with anyio.move_on_after(self.slot.spec.terms.hook_timeout) as scope:
            await self.body.on_stop(reason)
        return KILLED if scope.cancelled_caught else reason

    async def _end_helpers(self) -> None:
        for helper in self._helpers:
            helper.cancel()
        while self._helpers:
            await next(iter(self._helpers)).over.wait()

    def _start_late(self) -> None:
        timeout = self.slot.spec.terms.start_timeout
        self.fail(TimeoutError(f"it was not ready within {timeout:g} s"))

    def _settle(self, reason: Exit) -> None:
        self.reason = reason
        self.slot.ended(reason, self.error)

    def _over(self) -> None:
        if self.reason is None:  # cancelled from outside, before its first step
            self.error = ForeignCancellation(self.slot.path)
            self._settle(crash(self.error))
        self.settled.happen()
        self._ended(self)
        self.over.happen()
        self.body = self._scope = None  # cuts the cycles: nothing waits for the collector


async def _absorb_cancellation() -> None:
    """Take what asyncio may still owe: our own cancellation, where nothing was awaited since.

    Before 3.13 it outlasts its scope, and would hit the stop hook.
    """
    with anyio.CancelScope(shield=True):
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            pass


def _exits(error: BaseException) -> Iterator[BaseException]:
    """Find what ends the program, in groups too: on trio it may have passed a nursery."""
    if isinstance(error, SystemExit | KeyboardInterrupt):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _exits(each)


class _Helper:
    """A task that belongs to a life."""

    def __init__(
        self,
        life: Life,
        function: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
    ) -> None:
        self.over = Once()
        self._life = life
        self._function = function
        self._args = args
        self._scope: anyio.CancelScope | None = None
        self._begun = False
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def main(self) -> None:
        self._begun = True
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                await self._function(*self._args)
        except anyio.get_cancelled_exc_class():
            self._cancelled_from_outside()
        except BaseException as error:
            self._life.fail(error)

    def ended(self) -> None:
        if not self._begun:
            self._cancelled_from_outside()
        self._life.forget(self)
        self.over.happen()

    def _cancelled_from_outside(self) -> None:
        if not self._cancelled:
            self._life.fail(ForeignCancellation(self._life.slot.path))
