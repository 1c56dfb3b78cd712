"""Virtual time on both backends: sleeps and timeouts keep their order, and take no time."""

import asyncio
import selectors
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel
import trio
import trio.testing

Backend: TypeAlias = tuple[str, dict[str, Any]]
"""What an `anyio_backend` fixture gives: the backend's name and its options."""

VIRTUAL_BACKENDS: Final[tuple[str, ...]] = (
    "asyncio",
    "trio",
    *(["asyncio-eager"] if sys.version_info >= (3, 12) else []),
)
"""The names that `virtual_backend` takes, for a fixture's `params`."""


def virtual_backend(name: str, *, patience: float = 0.0) -> Backend:
    """Make a backend whose clock jumps to the next timer when nothing else is left to do.

    Each one has a clock of its own, which begins at 0:

        @pytest.fixture(params=VIRTUAL_BACKENDS)
        def anyio_backend(request: pytest.FixtureRequest) -> Backend:
            return virtual_backend(request.param)

    Args:
        name: One of `VIRTUAL_BACKENDS`.
        patience: Real seconds without any event before the clock jumps. Worker threads, other
            processes and distant peers take real time, which the clock knows nothing of: a
            test that waits for them within a timeout needs some, 0.05 for example.
    """
    if name == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=patience)}
    if name not in VIRTUAL_BACKENDS:
        raise ValueError(f"the virtual backend is {name!r}; it must be one of {VIRTUAL_BACKENDS}")
    new_loop = _new_eager_loop if name == "asyncio-eager" else VirtualTimeLoop
    return "asyncio", {"loop_factory": partial(new_loop, patience=patience)}


async def settle() -> None:
    """Wait until nobody else can go on before time passes or something comes from outside.

    Time stands still meanwhile. It sees tasks, callbacks and sockets that are ready; it does not
    see work in threads and in other processes, nor bytes still under way. On an asyncio loop
    with a real clock it sees tasks alone, and a callback only where that is due at once.
    """
    if trio.lowlevel.in_trio_task():
        await trio.testing.wait_all_tasks_blocked()
        return
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        await loop.settle()
        return
    for _ in range(4):
        await anyio.lowlevel.checkpoint()  # callbacks that are due are no tasks yet
        await anyio.wait_all_tasks_blocked()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer where others would wait for it.

    Sockets that are ready and calls from other threads come first. Without any timer it waits
    for them as every loop does, so a test that waits for nothing hangs here too.
    """

    def __init__(self, *, patience: float = 0.0) -> None:
        """Begin at 0; `patience` is how long, in real seconds, to look before each jump."""
        self._now = 0.0
        self._settling: list[asyncio.Future[None]] = []
        super().__init__(_Selector(self._wake_settling, self._jump, patience))
        # The base class runs what is due within this of now. Its nanosecond is lost in a float
        # after half a year, and the clock would then stand still for ever, a moment too early.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Give the virtual time, in seconds."""
        return self._now

    async def settle(self) -> None:
        """Wait until nothing is ready: no callback, no socket; the clock does not jump."""
        settled: asyncio.Future[None] = self.create_future()
        self._settling.append(settled)
        await settled

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the worker threads, however long; a virtual timeout would be over at once."""
        await super().shutdown_default_executor()

    def _wake_settling(self) -> bool:
        waiting, self._settling = self._settling, []
        waiting = [settled for settled in waiting if not settled.done()]
        for settled in waiting:
            settled.set_result(None)
        return bool(waiting)

    def _jump(self, seconds: float) -> None:
        self._now += seconds


def _new_eager_loop(*, patience: float) -> VirtualTimeLoop:
    loop = VirtualTimeLoop(patience=patience)
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


class _Selector(selectors.DefaultSelector):
    """Looks for sockets that are ready, and does not wait where a timer is to come."""

    def __init__(
        self, wake_settling: Callable[[], bool], jump: Callable[[float], None], patience: float
    ) -> None:
        super().__init__()
        self._wake_settling = wake_settling
        self._jump = jump
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Give the sockets that are ready; the loop asks only where its own queue is done."""
        ready = super().select(0)
        if ready or timeout == 0 or self._wake_settling():
            return ready
        if timeout is None:
            return super().select()
        if self._patience:
            ready = super().select(self._patience)
        if not ready:
            self._jump(timeout)
        return ready
