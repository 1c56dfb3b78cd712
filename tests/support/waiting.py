"""Waiting for a condition, without sleeping."""

from collections.abc import Callable

import anyio
import anyio.lowlevel


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until the condition holds; for what has no event to wait for.

    Raises:
        TimeoutError: It did not hold within 60 s.
    """
    with anyio.fail_after(60):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def turns(count: int) -> None:
    """Let the others run that many times."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def settled(measure: Callable[[], object]) -> None:
    """Let the others run until what is measured has stayed the same for 1000 turns.

    Raises:
        TimeoutError: It went on changing for 60 s.
    """
    with anyio.fail_after(60):
        before, now = None, measure()
        while before != now:
            before = now
            await turns(1000)
            now = measure()
