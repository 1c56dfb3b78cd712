"""Virtual time: nothing really sleeps, and all the rest is as with a real clock."""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream

from herdwick.testing import VIRTUAL_BACKENDS, Backend, VirtualTimeLoop, settle, virtual_backend

DAY = 86_400.0

real_clocks = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {}), ("trio", {})], ids=["asyncio", "trio"]
)
patient = pytest.mark.parametrize(
    "anyio_backend",
    [virtual_backend(name, patience=0.2) for name in VIRTUAL_BACKENDS],
    ids=VIRTUAL_BACKENDS,
)


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return virtual_backend(request.param)


def run_on_asyncio(main: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


async def test_a_sleep_takes_virtual_time_alone() -> None:
    began = time.monotonic()

    await anyio.sleep(DAY)

    assert anyio.current_time() == DAY
    assert time.monotonic() - began < DAY / 1000


async def test_each_run_begins_at_zero(anyio_backend: Backend) -> None:
    assert anyio.current_time() == 0


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    woken: list[tuple[int, float]] = []

    async def sleep(seconds: int) -> None:
        await anyio.sleep(seconds)
        woken.append((seconds, anyio.current_time()))

    async with anyio.create_task_group() as tasks:
        for seconds in (30, 1, 200_000, 2):
            tasks.start_soon(sleep, seconds)

    assert woken == [(1, 1), (2, 2), (30, 30), (200_000, 200_000)]


async def test_a_timeout_comes_at_its_virtual_time() -> None:
    with anyio.move_on_after(5) as scope:
        await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert anyio.current_time() == 5


async def test_what_is_over_in_time_meets_no_timeout() -> None:
    with anyio.fail_after(5):
        await anyio.sleep(4.9)

    assert anyio.current_time() == 4.9


async def test_a_cancelled_timer_does_not_move_the_clock() -> None:
    with anyio.move_on_after(5):
        await anyio.sleep(1)

    await settle()

    assert anyio.current_time() == 1


async def test_the_clock_still_runs_after_centuries() -> None:
    await anyio.sleep(200 * 365 * DAY)
    began = anyio.current_time()

    for _ in range(3):
        await anyio.lowlevel.checkpoint()
        await anyio.sleep(0.5)

    assert anyio.current_time() - began == pytest.approx(1.5, abs=1e-3)


async def test_bytes_that_have_come_are_read_before_the_clock_jumps() -> None:
    async def echo(stream: SocketStream) -> None:
        async with stream:
            await stream.send(await stream.receive())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # no Django

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, echo)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            with anyio.fail_after(DAY):
                await stream.send(b"baa")
                assert await stream.receive() == b"baa"
        tasks.cancel_scope.cancel()


async def test_without_a_timer_a_thread_is_really_waited_for() -> None:
    assert await anyio.to_thread.run_sync(lambda: 1 + 1) == 2


@patient
async def test_patience_lets_a_thread_end_within_a_timeout() -> None:
    with anyio.fail_after(1):
        await anyio.to_thread.run_sync(threading.Event().wait, 0.01)

    assert anyio.current_time() < 1


def test_a_call_from_another_thread_wakes_the_loop() -> None:
    async def main() -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,))
        loop.call_soon(thread.start)
        await called.wait()
        thread.join()

    run_on_asyncio(main())


def test_the_loop_ends_its_worker_threads_without_a_word() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, threading.get_ident)

    run_on_asyncio(main())  # a warning would be an error


async def test_settle_returns_when_all_others_wait() -> None:
    seen: list[int] = []

    async def pass_on(number: int) -> None:
        for _ in range(number):
            await anyio.lowlevel.checkpoint()
        seen.append(number)
        if number < 10:
            tasks.start_soon(pass_on, number + 1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pass_on, 0)
        await settle()

        assert seen == list(range(11))


async def test_settle_lets_no_time_pass() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 0.001)
        await settle()

        assert anyio.current_time() == 0


async def test_settle_lets_those_go_on_who_are_due_now() -> None:
    seen: list[str] = []

    async def sleep() -> None:
        await anyio.sleep(1)
        await anyio.lowlevel.checkpoint()
        seen.append("woken")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        await anyio.sleep(1)
        await settle()

        assert seen == ["woken"]


async def test_any_number_of_tasks_can_settle_at_once() -> None:
    settled: list[int] = []

    async def wait(number: int) -> None:
        await settle()
        settled.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(wait, number)

    assert sorted(settled) == [0, 1, 2]


async def test_settle_can_be_cancelled() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await settle()

    await settle()

    assert scope.cancelled_caught


def test_settle_sees_callbacks() -> None:
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(seen.append, "called")))
        await settle()

    run_on_asyncio(main())

    assert seen == ["called"]


@real_clocks
async def test_settle_works_with_a_real_clock_too() -> None:
    opened = anyio.Event()
    passed: list[str] = []

    async def wait() -> None:
        await opened.wait()
        passed.append("passed")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await settle()
        opened.set()
        await settle()

        assert passed == ["passed"]


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'curio'; it must be one of \('asyncio', 'trio'"):
        virtual_backend("curio")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_loop_begins_tasks_at_once() -> None:
    begun: list[str] = []

    async def begin() -> None:
        begun.append("begun")

    async def main() -> None:
        task = asyncio.create_task(begin())
        assert begun == ["begun"]
        await task

    name, options = virtual_backend("asyncio-eager")
    anyio.run(main, backend=name, backend_options=options)


@pytest.mark.parametrize("name", VIRTUAL_BACKENDS)
def test_it_serves_programs_without_pytest(name: str) -> None:
    backend, options = virtual_backend(name)
    main: Callable[[], Awaitable[None]] = partial(anyio.sleep, DAY)

    anyio.run(main, backend=backend, backend_options=options)
