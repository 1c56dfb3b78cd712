"""One incarnation of an actor: its task, from the spawn to the exit reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import anyio

from .ask import Answer, Place, asker
from .backend import (
    HAPPENED,
    Nursery,
    Once,
    Scope,
    absorb_cancellation,
    persist,
    shielded_task,
    stack_of,
)
from .errors import ActorStopped, Crashed, ForeignCancellation
from .events import Stuck
from .exit import KILLED, NORMAL, SHUTDOWN, Exit, crash, exits_in
from .helper import Helper
from .monitors import Monitor, Monitors
from .roles import Body
from .schedule import Schedule
from .timers import Timer

if TYPE_CHECKING:
    from .slot import Slot
    from .system import Surroundings


STUCK_AFTER: Final = 5.0
"""Seconds, beyond those of its hook, after which a cancelled actor that goes on is reported."""

IDLE: Final = Exit("shutdown", "idle")


class Life:
    """One incarnation of an actor.

    Its task runs in a shielded scope of its own, so that nobody but its supervisor ends it, and
    every end becomes an exit reason: no exception leaves the task.
    """

    parked = True
    """It stands in the mailbox for the task that would wait there."""

    __slots__ = (
        "__weakref__",
        "_asleep",
        "_brutal",
        "_cancelled",
        "_context",
        "_helpers",
        "_hook",
        "_idle",
        "_initialised",
        "_misbegotten",
        "_monitors",
        "_nursery",
        "_over",
        "_owed",
        "_patience",
        "_schedule",
        "_scope",
        "_settled",
        "_watched",
        "acknowledged",
        "asks",
        "body",
        "comeback",
        "dismissed",
        "drains",
        "ended_at",
        "error",
        "incarnation",
        "passivating",
        "reason",
        "restarts",
        "slot",
        "started_at",
        "stopping",
        "surroundings",
        "task",
        "winding_up",
    )

    def __init__(self, slot: Slot, nursery: Nursery, surroundings: Surroundings) -> None:
        self.slot = slot
        self.surroundings = surroundings
        self.incarnation = slot.incarnation
        self.reason: Exit | None = None
        """How it ended; None while it lives."""
        self.error: BaseException | None = None
        """The error that it ended with, if any."""
        self.acknowledged = False
        """Whether its start is complete."""
        self.started_at = 0.0
        """When its start was complete, by the system's clock."""
        self.ended_at: float | None = None
        """When it ended, by the system's clock; None while it lives."""
        self._settled: Once | None = None
        self._over: Once | None = None
        self.stopping: Exit | None = None
        """The reason that a stop has recorded; None while nobody asked for one."""
        self.dismissed = False
        """Whether its supervisor has asked for the stop."""
        self.comeback: bool | None = None
        """Whether its supervisor wants another life after its stop, or its failed start."""
        self.drains = False
        """Whether its stop first handles what waits."""
        self.restarts = False
        """Whether it follows one that has ended, and not of its own accord."""
        self.passivating = False
        """Whether it stops because nobody needs it now."""
        self.task: object = None
        """Its own task, while it runs."""
        self.asks: tuple[Place, Answer[Any]] | None = None
        """Whose answer its own task waits for now, and its cell."""
        self.body: Body | None = None
        """What it does; there once its task has begun."""
        self._nursery = nursery
        self._scope: Scope | None = None
        self._hook: anyio.CancelScope | None = None
        self._cancelled = False
        self._initialised = False
        self._brutal = False
        self._misbegotten: BaseException | None = None
        self._asleep = False
        """Whether it has no task yet, for it was idle from its start."""
        self._context: Context | None = None
        """What that task is to run in: what its constructor has set stands there."""
        self.winding_up = False
        """Whether it handles no more: what the mailbox holds is the next life's, or nobody's."""
        self._patience: Timer | None = None
        self._idle: Timer | None = None
        # Most actors have none of these.
        self._helpers: set[Helper] | None = None
        self._watched: dict[Monitor, None] | None = None
        self._monitors: Monitors | None = None
        self._schedule: Schedule | None = None
        self._owed: WeakSet[Answer[object]] | None = None

    # ------------------------------------------------------------------ its supervisor's side

    def spawn(self, context: Context | None) -> None:
        """Make the body and start the task, in a context or in a copy of its supervisor's.

        In a callback too.

        A body that starts idle gets its task from the first message: until then, and very many
        actors never go further, it costs a fifth of the time and a tenth of the memory.
        """
        assert self.slot.owner is not None
        own = context or self.slot.owner.context.copy()
        try:
            self.body = own.run(self.slot.spec.embody, self)
        except BaseException as error:
            self._misbegotten = error  # told by the task, as any other failure of a start
        if self.body is not None and self.body.starts_idle:
            self._asleep, self._context = True, own
            self.slot.mailbox.sleep(self)
            self.started()
            return
        self._nursery.spawn(self._main, own, self.slot.path, self._end)
        timeout = self.slot.spec.terms.start_timeout
        if timeout < float("inf") and not self.settled:
            timer = self.surroundings.timers.call_later(timeout, self._start_late)
            self.settled.then(timer.cancel)

    def stop(self) -> None:
        """Ask for an ordered end on the supervisor's behalf; after the grace, cancel."""
        if self.dismissed or self.over:
            return
        self.dismissed = True
        if self.ending:
            self.slot.closing(comes_back=self._comes_back(SHUTDOWN), drains=self.drains)
        grace = self.slot.spec.terms.grace
        if grace < float("inf"):
            timer = self.surroundings.timers.call_later(grace, self.kill)
            self.over.then(timer.cancel)
        self.leave(SHUTDOWN)

    def kill(self, *, brutal: bool = False) -> None:
        """End it now: the running handler is cancelled; `brutal` cuts the stop hook too."""
        if brutal:
            self._brutal = True
            if self._hook is not None:
                self._hook.cancel()
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
        elif self._asleep:
            self.wake()
        self._expect_end()

    def _expect_end(self) -> None:
        """Report it as stuck if it goes on for longer than its hook may; from now on."""
        patience = self.slot.spec.terms.hook_timeout + STUCK_AFTER
        if self.over or patience == float("inf"):  # a supervisor waits for its children
            return
        if self._patience is None:
            self.over.then(self._forget_patience)
        else:
            self._patience.cancel()
        self._patience = self.surroundings.timers.call_later(patience, self._report_stuck)

    def _forget_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    @property
    def settled(self) -> Once:
        """Its start has succeeded or failed."""
        if self._settled is None:
            self._settled = Once()
        return self._settled

    def _settle(self) -> None:
        settled, self._settled = self._settled, HAPPENED
        if settled is not None:
            settled.happen()

    @property
    def over(self) -> Once:
        """Its task is completely gone."""
        if self._over is None:
            self._over = Once()
        return self._over

    @property
    def ran(self) -> float:
        """Seconds from its complete start to its end, or to now; 0 where the start failed."""
        end = self.surroundings.clock() if self.ended_at is None else self.ended_at
        return end - self.started_at if self.acknowledged else 0.0

    @property
    def goes_on(self) -> bool:
        """Whether there is another message to handle, or to wait for."""
        if self.stopping is None:
            return not self.winding_up
        return self.drains and not self.winding_up and not self.slot.mailbox.empty

    @property
    def ending(self) -> bool:
        """Whether it was asked to stop, or winds up."""
        return self.stopping is not None or self.winding_up

    # ------------------------------------------------------------------ the actor's side

    def started(self) -> None:
        """Acknowledge the start."""
        self._initialised = True
        if self.stopping is not None and self.stopping.abnormal:
            return  # too late: whoever waited for it has been told
        self.acknowledged = True
        self.started_at = self.surroundings.clock()
        self._settle()
        self.surroundings.events.started(self.slot.path, self.incarnation)
        if self.restarts:
            self.slot.restarted()
        idle = self.slot.spec.terms.idle_timeout
        if idle is not None:
            self.slot.idle_since = self.started_at
            self._look_again(idle)

    def leave(self, reason: Exit) -> None:
        """Come to an ordered end on the actor's own behalf; whether it comes back is open."""
        if self.stopping is not None or self.over:
            return
        self.stopping = reason
        comes_back = self._comes_back(reason)
        self.drains = self.slot.spec.terms.drain and not comes_back
        if self._asleep and self.body is not None and self.body.on_stop is None:
            self.slot.mailbox.awake()  # or the closing would give it a task
        self.slot.closing(comes_back=comes_back, drains=self.drains)
        self._stop_body(reason)

    def passivate(self) -> None:
        """Stop, because nobody needs it now; whoever speaks to it starts it again."""
        if not self.ending:
            self.passivating = True
            self.stopping = IDLE
            self._stop_body(IDLE)

    def _stop_body(self, reason: Exit) -> None:
        if self.body is None or not self.acknowledged:
            self.cancel(reason)
        elif self._asleep and self.body.on_stop is None:
            self._asleep, self.reason = False, reason
            self.slot.mailbox.awake()
            self._end()
        else:
            self.body.stop()

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a helper task that belongs to this life: its crash is ours, our end is its end.

        Raises:
            ActorStopped: This life ends, and its helpers with it.
        """
        if self.winding_up:
            raise ActorStopped(self.slot.path)
        helper = Helper(self, function, args)
        if self._helpers is None:
            self._helpers = set()
        self._helpers.add(helper)
        name = f"{self.slot.path}:{getattr(function, '__name__', 'helper')}"
        self._nursery.spawn(helper.main, copy_context(), name, helper.ended)

    @property
    def schedule(self) -> Schedule:
        """Its timers."""
        if self.over:
            raise ActorStopped(self.slot.path)
        if self._schedule is None:
            self._schedule = Schedule(self.surroundings.timers, self.slot.mailbox)
        return self._schedule

    @property
    def monitors(self) -> Monitors:
        """The monitors that it has set."""
        if self.over:
            raise ActorStopped(self.slot.path)
        if self._monitors is None:
            self._monitors = Monitors(self.slot.mailbox)
        return self._monitors

    def owe(self, answer: Answer[object]) -> None:
        """Promise an answer: where this life ends first, the question fails."""
        answer.deferred = True
        if self._owed is None:
            self._owed = WeakSet()
        self._owed.add(answer)

    # ------------------------------------------------------------------ everybody else's side

    @property
    def place(self) -> Place:
        """Where it lives."""
        return self.slot

    def watch(self, monitor: Monitor) -> None:
        """Tell a monitor how it ends."""
        if self._watched is None:
            self._watched = {}
        monitor.watched = self._watched
        self._watched[monitor] = None

    def forget(self, helper: Helper) -> None:
        """Let a helper go that has ended."""
        if self._helpers is not None:
            self._helpers.discard(helper)
        if self.slot.spec.terms.idle_timeout is not None and self.slot.current is None:
            self.slot.idle_since = self.surroundings.clock()

    # ------------------------------------------------------------------ its task

    async def _main(self, over: Callable[[], None]) -> None:
        asker.set(self)
        try:
            try:
                self.task, self._scope = shielded_task()
                with self._scope:
                    if self._cancelled:
                        self._scope.cancel()
                    await self._live()
                reason = self.stopping or NORMAL
            except BaseException as error:
                reason = self._reason_of(error)
            if self.body is not None and self.body.on_end is not None:
                reason = self._tell_body(self.body.on_end, reason)
            self.winding_up = True
            self._let_go_of_messages(reason)
            if self._cancelled:
                await absorb_cancellation()
            if self._helpers or self._on_stop is not None:
                self._expect_end()
                reason = await self._wind_up(reason)
            self.reason = reason
        finally:
            over()

    def _live(self) -> Awaitable[None]:
        if self._misbegotten is not None:
            raise self._misbegotten
        assert self.body is not None
        return self.body.live()

    def _tell_body(self, on_end: Callable[[Exit], None], reason: Exit) -> Exit:
        try:
            on_end(reason)
        except Exception as error:
            return self._record(error, reason)
        return reason

    def _let_go_of_messages(self, reason: Exit) -> None:
        """Fail the question in hand at once, and those that wait: the hook may take its time."""
        self.slot.drop_current(reason, self.error)
        if self.stopping is None or self.stopping.abnormal:
            comes_back = self.passivating or self._comes_back(reason)
            self.slot.closing(comes_back=comes_back, drains=False)

    def _reason_of(self, error: BaseException, after: Exit | None = None) -> Exit:
        """Make a reason of an error that has left the shielded scope of a part of the task.

        The attribution of a cancellation is our own flag, looked at outside of the scope: the
        scope has by then stripped its own cancellations out of groups, and what is left over
        was somebody else's, or ours and somebody else's at once.
        """
        if not isinstance(error, anyio.get_cancelled_exc_class()):
            return self._record(error, after)
        if after is None and self._cancelled:
            return self.stopping or SHUTDOWN
        return self._record(ForeignCancellation(self.slot.path), after)

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
            for end in exits_in(error):
                self.surroundings.fatal(end)

    @property
    def _on_stop(self) -> Callable[[Exit], Awaitable[None]] | None:
        """The hook that is to run, if any."""
        if self.body is None or not self._initialised or self._brutal:
            return None
        return self.body.on_stop

    async def _wind_up(self, reason: Exit) -> Exit:
        """End the helpers, then run the stop hook; give the reason that it ends with after all."""
        try:
            with anyio.CancelScope(shield=True):
                return await self._clean_up(reason)
            return reason  # nobody cancels that scope
        except BaseException as error:
            return self._reason_of(error, reason)

    async def _clean_up(self, reason: Exit) -> Exit:
        if self._helpers:
            await persist(self._end_helpers)
        if self.error is not None and not reason.abnormal:  # a helper's, in its last moments
            reason = crash(self.error)
        on_stop = self._on_stop
        if on_stop is None:
            return reason
        # A timer of ours: asyncio's would hold this task's context, and all in it, until it is due.
        with anyio.CancelScope() as self._hook:
            timeout = self.slot.spec.terms.hook_timeout
            deadline = self.surroundings.timers.call_later(timeout, self._hook.cancel)
            try:
                await on_stop(reason)
            finally:
                deadline.cancel()
        return KILLED if self._hook.cancel_called else reason

    async def _end_helpers(self) -> None:
        assert self._helpers is not None
        for helper in self._helpers:
            helper.cancel()
        while self._helpers:
            await next(iter(self._helpers)).over.wait()

    # ------------------------------------------------------------------ called back

    def wake(self) -> None:
        """Start the task of an actor that was idle from its start: there is something to do."""
        self._asleep = False
        self.slot.mailbox.awake()
        context, self._context = self._context, None
        assert context is not None
        self._nursery.spawn_soon(self._main, context, self.slot.path, self._end)

    def _start_late(self) -> None:
        timeout = self.slot.spec.terms.start_timeout
        self.fail(TimeoutError(f"it was not ready within {timeout:g} s"))

    def _report_stuck(self) -> None:
        tasks = [helper.task for helper in self._helpers or ()] or [self.task]
        stack = "\n".join(stack_of(task) for task in tasks)
        self.surroundings.stuck(Stuck(self.slot.path, self.incarnation, stack))

    def _look_again(self, delay: float) -> None:
        self._idle = self.surroundings.timers.call_later(delay, self._passivate_if_idle)

    def _passivate_if_idle(self) -> None:
        idle = self.slot.spec.terms.idle_timeout
        if idle is None or self.ending:
            return
        left = idle if self._busy else self.slot.idle_since + idle - self.surroundings.clock()
        if left > 0:
            self._look_again(left)
            return
        self.passivate()

    @property
    def waits(self) -> bool:
        """Whether it waits for something to do, and nothing else is under way or owed."""
        waits = self.slot.mailbox.awaited and self.slot.mailbox.empty
        return waits and not self._helpers and not any(each.wanted for each in self._owed or ())

    @property
    def _busy(self) -> bool:
        return not self.waits or any((self._schedule, self._monitors))

    def _comes_back(self, reason: Exit) -> bool:
        slot = self.slot
        assert slot.owner is not None
        # First what costs nothing: most actors by far are connections, which never come back.
        return slot.spec.terms.restart != "temporary" and slot.owner.comes_back(self, reason)

    def _end(self) -> None:
        """Be over: first nobody finds it, then those are told who wanted to know."""
        if self.reason is None:  # cancelled from outside, before its first step
            self.error = ForeignCancellation(self.slot.path)
            self.reason = crash(self.error)
        slot, reason, owner = self.slot, self.reason, self.slot.owner
        assert owner is not None
        slot.last_exit = reason
        self.ended_at = self.surroundings.clock()
        self._release(reason)
        if self.passivating and not reason.abnormal and not self.dismissed:
            slot.doze()
        elif self._comes_back(reason):
            slot.wait()
        else:
            owner.release(self)
            slot.vacate()
        self.over.happen()
        watched, self._watched = self._watched, None
        for monitor in list(watched or ()):
            monitor.watched = None
            monitor.fire(reason)
        self.surroundings.events.exited(slot.path, self.incarnation, reason, self.error)
        if not self.acknowledged:
            self._settle()
        owner.ended(self)
        # Cuts the cycles: nothing waits for the collector.
        self.body = self._scope = self._hook = self.task = self._misbegotten = None
        if self.acknowledged and slot.life is not self:
            self.error = None  # its traceback holds all this

    def _release(self, reason: Exit) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._schedule is not None:
            self._schedule.clear()
        if self._monitors is not None:
            self._monitors.clear()
        for answer in list(self._owed or ()):
            crashed = Crashed(self.slot.path, reason)
            crashed.__cause__ = self.error
            answer.fail(crashed)
