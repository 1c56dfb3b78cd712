"""A server in the background of a block, whichever it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio


class Hosted(Protocol):
    """A server that runs in a task of its own."""

    @property
    def ready(self) -> anyio.Event:
        """It listens."""
        ...

    async def host(self) -> None:
        """Serve until `stop` is through."""
        ...

    async def stop(self) -> None:
        """Stop gracefully, within a bounded time."""
        ...


@asynccontextmanager
async def hosted(server: Hosted) -> AsyncGenerator[None]:
    """Serve in the background of the block, and stop when it is left, cancelled or not.

    An error of the block comes out as it is, in no group.
    """
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.host)
        try:
            await server.ready.wait()
            yield
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            failure = error  # raised below: a task group would wrap it into a group
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()
    if failure is not None:
        raise failure
