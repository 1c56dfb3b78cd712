"""The primitives: a parked waiter, something that happens once, spawning, waiting to the end."""

import asyncio
import contextvars
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
import trio

from herdwick.runtime import Once, Waiter, current_clock
from herdwick.runtime.backend import open_nursery, persist
from tests.runtime.samples import settle


def soon(call: Callable[[], object]) -> None:
    """Call from a callback of the event loop, outside of any task, where there is such a thing."""
    if trio.lowlevel.in_trio_task():
        trio.lowlevel.current_trio_token().run_sync_soon(call)
    else:
        asyncio.get_running_loop().call_soon(call)


def nothing() -> None:
    pass


async def test_a_waiter_is_woken_from_a_callback() -> None:
    waiter = Waiter()
    soon(waiter.wake)

    with anyio.fail_after(5):
        await waiter.wait()


async def test_a_wake_without_a_waiter_is_forgotten() -> None:
    waiter = Waiter()
    waiter.wake()

    with anyio.move_on_after(0) as scope:
        await waiter.wait()

    assert scope.cancelled_caught


async def test_a_cancelled_wait_leaves_the_place_free() -> None:
    waiter = Waiter()
    with anyio.move_on_after(0):
        await waiter.wait()
    soon(waiter.wake)

    with anyio.fail_after(5):
        await waiter.wait()


async def test_a_place_that_was_just_left_can_be_taken_at_once() -> None:
    waiter = Waiter()
    woken: list[str] = []

    async def wait(name: str) -> None:
        await waiter.wait()
        woken.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "first")
        await settle()
        waiter.wake()
        tasks.start_soon(wait, "second")
        await settle()
        waiter.wake()

    assert woken == ["first", "second"]


async def test_once_wakes_all_who_wait_and_all_who_come_later() -> None:
    once = Once()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(once.wait)
        await settle()
        soon(once.happen)

    await once.wait()

    assert once


async def test_once_forgets_those_who_were_cancelled() -> None:
    once = Once()
    for _ in range(3):
        with anyio.move_on_after(0):
            await once.wait()

    assert once._waiting == []  # pyright: ignore[reportPrivateUsage]  # no leak


def test_once_calls_back_once_and_in_order() -> None:
    calls: list[str] = []
    once = Once()
    once.then(lambda: calls.append("before"))

    once.happen()
    once.happen()
    once.then(lambda: calls.append("after"))

    assert calls == ["before", "after"]


async def test_the_clock_runs_forward_and_can_be_got_in_a_callback() -> None:
    clock, got = current_clock(), Once()
    moments: list[float] = []

    def look() -> None:
        moments.append(current_clock()())
        got.happen()

    soon(look)
    await got.wait()

    assert moments[0] == pytest.approx(clock(), abs=5)


async def test_a_nursery_does_not_close_before_its_tasks_have_ended() -> None:
    journal: list[str] = []
    gate = anyio.Event()

    async def child(over: Callable[[], None]) -> None:
        await gate.wait()
        journal.append("child ended")
        over()

    async with open_nursery() as nursery:
        nursery.spawn(child, contextvars.copy_context(), "child", lambda: journal.append("done"))
        await settle()
        journal.append("body ended")
        gate.set()

    assert journal == ["body ended", "child ended", "done"]


async def test_a_task_can_be_spawned_from_a_callback_and_runs_in_its_context() -> None:
    variable = contextvars.ContextVar("variable", default="default")
    context = contextvars.copy_context()
    context.run(variable.set, "mine")
    seen: list[str] = []
    spawned = Once()

    async def child(over: Callable[[], None]) -> None:
        with anyio.CancelScope():
            await anyio.lowlevel.checkpoint()
            seen.append(variable.get())
        over()

    async with open_nursery() as nursery:

        def spawn() -> None:
            nursery.spawn(child, context, "child", spawned.happen)

        soon(spawn)
        await spawned.wait()

    assert seen == ["mine"]


async def test_an_error_of_the_body_leaves_a_nursery_bare() -> None:
    with pytest.raises(OSError, match="bare"):
        async with open_nursery():
            raise OSError("bare")


async def test_even_an_exit_of_the_program_leaves_a_nursery_bare() -> None:
    with pytest.raises(KeyboardInterrupt):
        async with open_nursery():
            raise KeyboardInterrupt


@pytest.mark.asyncio_only
async def test_done_is_called_for_a_task_that_never_took_its_first_step() -> None:
    done = Once()

    async def child(over: Callable[[], None]) -> None:
        await anyio.sleep_forever()

    async with open_nursery() as nursery:
        nursery.spawn(child, contextvars.copy_context(), "lazy", done.happen)
        [task] = [task for task in asyncio.all_tasks() if task.get_name() == "lazy"]
        task.cancel()

    assert done


@pytest.mark.asyncio_only
async def test_native_cancellations_do_not_cut_a_nursery_short() -> None:
    gate, journal = anyio.Event(), list[str]()

    async def child(over: Callable[[], None]) -> None:
        await gate.wait()
        journal.append("child ended")

    async def host() -> None:
        async with open_nursery() as nursery:
            nursery.spawn(child, contextvars.copy_context(), "child", nothing)
        journal.append("not reached")

    task = asyncio.create_task(host())
    for _ in range(4):
        await settle()
        task.cancel()
    await settle()
    gate.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal == ["child ended"]


async def test_persisting_outlasts_a_cancellation_and_lets_it_go_on_afterwards() -> None:
    once, journal = Once(), list[str]()

    async def wait() -> None:
        try:
            await persist(once.wait)
            await anyio.lowlevel.checkpoint()
        finally:
            journal.append("left")
        journal.append("not reached")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await settle()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await settle()
            journal.append("still there")
            once.happen()

    assert journal == ["still there", "left"]
