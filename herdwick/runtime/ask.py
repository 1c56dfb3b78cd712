"""A question under way, and the cell that its answer comes to."""

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import anyio

from .backend import Once
from .errors import AskTimeout

R = TypeVar("R")


class Answer(Generic[R]):
    """The cell of one answer: a value or an error, once; what comes later is discarded."""

    __slots__ = ("_arrived", "_error", "_value")

    def __init__(self) -> None:
        self._arrived = Once()
        self._value: R | None = None
        self._error: BaseException | None = None

    @property
    def wanted(self) -> bool:
        """Whether the asker still waits for it."""
        return not self._arrived

    def give(self, value: R) -> None:
        """Answer with a value."""
        if not self._arrived:
            self._value = value
            self._arrived.happen()

    def fail(self, error: BaseException) -> None:
        """Answer with an error, which the asker gets raised."""
        if not self._arrived:
            self._error = error
            self._arrived.happen()

    async def wait(self, actor: str, timeout: float) -> R:
        """Wait for the answer for `timeout` seconds; cancelling forgets the question.

        Raises:
            AskTimeout: No answer came in time.
        """
        try:
            with anyio.move_on_after(timeout):
                await self._arrived.wait()
            if not self._arrived:
                raise AskTimeout(actor, timeout)
            if self._error is not None:
                raise self._error
            return cast(R, self._value)
        finally:
            self._error = None  # or it would hold, by its traceback, what holds it
            self._arrived.happen()


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A message in a mailbox whose sender waits for an answer."""

    message: object
    answer: Answer[object]
