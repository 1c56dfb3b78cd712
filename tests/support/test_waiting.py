"""Tests of tests/support/waiting.py."""

import anyio
import anyio.lowlevel

from tests.support.waiting import settled, turns, until


async def test_until_lets_the_others_bring_about_what_it_waits_for() -> None:
    done: list[int] = []

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        done.append(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await until(lambda: done)

    assert done == [1]


async def test_turns_lets_the_others_run() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await turns(3)
        assert done == [1]


async def test_settled_waits_until_nothing_changes_any_more() -> None:
    done: list[int] = []

    async def work() -> None:
        for number in range(5000):
            await anyio.lowlevel.checkpoint()
            done.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await settled(lambda: len(done))

    assert len(done) == 5000
