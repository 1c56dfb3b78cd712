"""Keeps one connection's failure from the server."""

from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, TypeVarTuple

import anyio

P = TypeVarTuple("P")

BUG: Final = "a bug ended one connection; the others go on"
"""What the log says of a failure that was kept from the others."""


async def contained(
    call: Callable[[*P], Awaitable[object]], *arguments: *P
) -> BaseException | None:
    """Await a call, and give what it raised rather than raise it.

    That is whatever it raised, `SystemExit`, `KeyboardInterrupt` and `GeneratorExit` too. Only a
    cancellation of our own goes through; a cancelled error that somebody raised by hand is a
    failure like any other.
    """
    try:
        await call(*arguments)
    except anyio.get_cancelled_exc_class() as error:
        if anyio.current_effective_deadline() == -inf:
            raise
        return error
    except BaseException as error:
        return error
    return None
