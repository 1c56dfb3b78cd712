"""Helper tasks: what an actor runs beside its messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from .backend import Once, current_task
from .errors import ForeignCancellation

if TYPE_CHECKING:
    from .life import Life


class Helper:
    """A task that belongs to a life: its crash is the life's, the life's end is its end."""

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
        self.task: object = None
        """Its task, from its first step on."""
        self._cancelled = False

    @property
    def path(self) -> str:
        """The path of the actor that it belongs to."""
        return self._life.slot.path

    def cancel(self) -> None:
        """End it; its life knows why."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def main(self, over: Callable[[], None]) -> None:
        """Run the function in a shielded scope: only the life ends it."""
        self.task = current_task()
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                await self._function(*self._args)
        except anyio.get_cancelled_exc_class():
            self._cancelled_from_outside()
        except BaseException as error:
            self._life.fail(error)
        finally:
            over()

    def ended(self) -> None:
        """Be over; called back by the nursery."""
        if self.task is None:
            self._cancelled_from_outside()
        self._life.forget(self)
        self.over.happen()

    def _cancelled_from_outside(self) -> None:
        if not self._cancelled:
            self._life.fail(ForeignCancellation(self._life.slot.path))
