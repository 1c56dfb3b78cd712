"""The few primitives in which asyncio and trio differ: parked waiters, tasks, the clock."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from functools import cache
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias, cast

import anyio
import trio

Main: TypeAlias = Callable[[Callable[[], None]], Coroutine[object, object, None]]
"""What a task runs. It is given what to call at its very end, in a `finally`: on trio that is how
its nursery hears of it, for a coroutine around each would be 0.4 KiB of each connection."""

Clock: TypeAlias = Callable[[], float]
"""A function that gives the time in seconds; only differences mean something."""


def current_clock() -> Clock:
    """Give the clock of the running loop, in seconds; callable from callbacks too.

    `anyio.current_time` is not: it needs a task to know its backend.
    """
    if trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_clock().current_time
    return asyncio.get_running_loop().time


def in_asyncio_task() -> bool:
    """Tell whether the task that runs now is asyncio's.

    Seven times cheaper there than asking trio, which finds out by an exception; and right in
    trio's guest mode, where a loop of asyncio runs too, but none of its tasks.
    """
    # Documented for event loops alone, for it may give None: that is what is asked here.
    running = asyncio._get_running_loop()
    return running is not None and asyncio.current_task(running) is not None


def current_task() -> object:
    """Give the task that runs now, to compare with others."""
    return asyncio.current_task() if in_asyncio_task() else trio.lowlevel.current_task()


def nothing() -> None:
    """Do nothing."""


def stack_of(task: object) -> str:
    """Tell where a task stands, the innermost call last, as a traceback does."""
    coroutine: object = None
    if isinstance(task, trio.lowlevel.Task):
        coroutine = task.coro
    elif isinstance(task, asyncio.Task):
        coroutine = cast("asyncio.Task[object]", task).get_coro()
    summary: list[traceback.FrameSummary] = []
    while coroutine is not None:
        frame = _first(coroutine, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            summary += traceback.extract_stack(frame, limit=1)
        coroutine = _first(coroutine, "cr_await", "gi_yieldfrom", "ag_await")
    return "".join(traceback.format_list(summary))


def _first(coroutine: object, *names: str) -> Any:
    """Give what a coroutine, a generator or an asynchronous generator calls by its own name."""
    return next((found for name in names if (found := getattr(coroutine, name, None))), None)


class Waiter:
    """A place where one task parks until somebody wakes it."""

    __slots__ = ("_future", "_loop", "_task")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._task: trio.lowlevel.Task | None = None
        """Who is parked, on either backend: to ask one object of which kind it is costs 1 µs."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of asyncio's that it was first waited at in: to find out costs 0.5 µs."""

    def wait(self) -> Awaitable[None]:
        """Park until the next `wake`; cancelling leaves the place free. To be awaited at once.

        A coroutine of ours would cost 0.2 KiB of each that waits.

        Raises:
            RuntimeError: Another task is parked here.
        """
        if self.parked:
            raise RuntimeError("another task waits here already; one at a time")
        loop = self._loop
        if loop is None:
            if not in_asyncio_task():
                self._task = trio.lowlevel.current_task()
                return trio.lowlevel.wait_task_rescheduled(self._leave)  # noqa: ASYNC105 - the caller
            loop = self._loop = asyncio.get_running_loop()
        self._future = future = loop.create_future()
        return future

    @property
    def parked(self) -> bool:
        """Whether a task waits here."""
        future = self._future
        # A future that was cancelled is one that nobody waits for any more.
        return self._task is not None or (future is not None and not future.done())

    def wake(self) -> None:
        """Let the parked task go on; nothing happens where none is parked."""
        future, task = self._future, self._task
        if future is not None:
            self._future = None
            if not future.done():
                future.set_result(None)
        elif task is not None:
            self._task = None
            trio.lowlevel.reschedule(task)

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Waiters:
    """A place where any number of tasks park until somebody wakes them all."""

    __slots__ = ("_parked",)

    def __init__(self) -> None:
        self._parked: list[Waiter] = []

    def __bool__(self) -> bool:
        return bool(self._parked)

    async def wait(self) -> None:
        """Park until the next `wake_all`; cancelling leaves the place free."""
        waiter = Waiter()
        self._parked.append(waiter)
        try:
            await waiter.wait()
        finally:
            self._parked.remove(waiter)

    def wake_all(self) -> None:
        """Let all who are parked go on."""
        for waiter in self._parked:
            waiter.wake()


class Once:
    """Something that happens once, and that any number of tasks can wait for.

    Unlike `anyio.Event` it can be made and set in a callback, outside of any task.
    """

    __slots__ = ("_happened", "_waiting")

    def __init__(self) -> None:
        self._happened = False
        self._waiting: list[Callable[[], None]] | None = None

    def __bool__(self) -> bool:
        return self._happened

    def happen(self) -> None:
        """Let all who wait go on, now and later."""
        if not self._happened:
            self._happened = True
            waiting, self._waiting = self._waiting, None
            for call in waiting or ():
                call()

    def then(self, call: Callable[[], None]) -> None:
        """Call `call` when it happens, or now if it has."""
        if self._happened:
            call()
        elif self._waiting is None:
            self._waiting = [call]
        else:
            self._waiting.append(call)

    async def wait(self) -> None:
        """Wait until it has happened; cancelling is safe."""
        if self._happened:
            return
        waiter = Waiter()
        self.then(waiter.wake)
        try:
            while not self._happened:
                await waiter.wait()
        finally:
            if self._waiting is not None:
                self._waiting.remove(waiter.wake)


HAPPENED: Final = Once()
"""What needs no object of its own any more."""
HAPPENED.happen()


class Nursery(Protocol):
    """Where the tasks of one supervisor's children live."""

    def spawn(self, main: Main, context: Context, name: str, done: Callable[[], None]) -> None:
        """Start a task, from a callback too; `done` is called when it is completely over."""
        ...

    def spawn_soon(self, main: Main, context: Context, name: str, done: Callable[[], None]) -> None:
        """Start a task, and take no step of it in the caller's turn, eager as tasks may be."""
        ...


@asynccontextmanager
async def open_nursery() -> AsyncGenerator[Nursery]:
    """Open a place for tasks that does not close before the last of them has ended."""
    if trio.lowlevel.in_trio_task():
        failure: BaseException | None = None
        async with trio.open_nursery() as tasks:
            try:
                yield _TrioNursery(tasks)
            except trio.Cancelled:
                raise
            except BaseException as error:  # raised outside, for trio would wrap it into a group
                failure = error
        if failure is not None:
            raise failure
    else:
        nursery = _AsyncioNursery()
        try:
            yield nursery
        finally:
            await persist(nursery.empty)


class _TrioNursery:
    """trio's own: a task of anyio's has two cancel scopes and a handle that nobody here needs."""

    def __init__(self, tasks: trio.Nursery) -> None:
        self._tasks = tasks

    def spawn(self, main: Main, context: Context, name: str, done: Callable[[], None]) -> None:
        context.run(self._start, main, name, done)

    spawn_soon = spawn

    def _start(self, main: Main, name: str, done: Callable[[], None]) -> None:
        self._tasks.start_soon(main, done, name=name)


class _AsyncioNursery:
    """Native tasks that their supervisor's task adopts.

    anyio's `start_soon` cannot be called from a protocol's callback under `asyncio.run`, and
    costs four times as much. The bookkeeping is in the done callback, because a task that is
    cancelled before its first step runs neither its body nor its `finally`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], Callable[[], None]] = {}
        self._emptied = Waiter()
        self._callback = self._over  # one for all tasks: what an idle actor holds is counted

    def spawn(self, main: Main, context: Context, name: str, done: Callable[[], None]) -> None:
        task = self._loop.create_task(main(nothing), context=context, name=name)
        self._tasks[task] = done
        task.add_done_callback(self._callback, context=context)

    def spawn_soon(self, main: Main, context: Context, name: str, done: Callable[[], None]) -> None:
        if self._loop.get_task_factory() is None:
            self.spawn(main, context, name, done)
        else:  # it may be asyncio's eager one
            self._loop.call_soon(self.spawn, main, context, name, done)

    def _over(self, task: "asyncio.Task[None]") -> None:
        done = self._tasks.pop(task)
        try:
            done()
        finally:
            if not self._tasks:
                self._emptied.wake()

    async def empty(self) -> None:
        while self._tasks:
            await self._emptied.wait()


async def persist(wait: Callable[[], Awaitable[None]]) -> None:
    """Wait to the end, whoever cancels meanwhile; then let the cancellation go on.

    A shield holds off the cancellation of anyio's scopes, but not asyncio's `task.cancel()`:
    an ordered stop must outlast that too. What is waited for has to be bounded by itself.
    """
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while True:
            try:
                await wait()
                break
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


class Scope(Protocol):
    """A cancel scope, anyio's or trio's."""

    def cancel(self) -> None:
        """Cancel what runs in it."""
        ...

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


def shielded_task() -> tuple[object, Scope]:
    """Give the task that runs now, and a scope that no cancellation from outside reaches into.

    Every actor begins with it. On trio the scope is trio's own: anyio's is one more object around
    it, twice as dear. On asyncio it is made by anyio's class for asyncio: to look for that takes as
    long as all the rest.
    """
    running = asyncio._get_running_loop()
    task = None if running is None else asyncio.current_task(running)
    if task is not None:
        return task, _scope_of_asyncio()(shield=True)
    return trio.lowlevel.current_task(), trio.CancelScope(shield=True)


@cache
def _scope_of_asyncio() -> type[anyio.CancelScope]:
    return type(anyio.CancelScope())


def checkpoint() -> Awaitable[None]:
    """Let the others have their turn, and whoever wants cancel us; to be awaited at once.

    It is anyio's, which takes four times as long, for it finds out its backend first.
    """
    if in_asyncio_task():
        return asyncio.sleep(0)
    return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - the caller awaits it


async def absorb_cancellation() -> None:
    """Take what asyncio may still owe: our own cancellation, where nothing was awaited since.

    Before 3.13 it outlasts its scope, and would hit the stop hook.
    """
    with anyio.CancelScope(shield=True):
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            pass
