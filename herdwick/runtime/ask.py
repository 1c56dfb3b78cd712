"""A question under way, and the cell that its answer comes to."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar, cast

import anyio

from .backend import Waiter, current_task
from .errors import AskTimeout, Deadlock, Expired, Rejected
from .timers import Timers

R = TypeVar("R")


class Answer(Generic[R]):
    """The cell of one answer: a value or an error, once; what comes later is discarded."""

    __slots__ = ("__weakref__", "_error", "_value", "_waiter", "begun", "deferred", "wanted")

    def __init__(self) -> None:
        self.wanted = True
        """Whether it is still to come, and the asker still waits for it."""
        self.begun = False
        """Whether an actor has begun to handle the question."""
        self.deferred = False
        """Whether somebody has taken it upon himself to answer later."""
        self._value: R | None = None
        self._error: BaseException | None = None
        self._waiter = Waiter()

    def give(self, value: R) -> None:
        """Answer with a value."""
        if self.wanted:
            self._value = value
            self._arrive()

    def fail(self, error: BaseException) -> None:
        """Answer with an error, which the asker gets raised."""
        if self.wanted:
            self._error = error
            self._arrive()

    async def wait(self) -> R:
        """Wait for the answer, or the error; cancelling forgets the question."""
        try:
            while self.wanted:
                await self._waiter.wait()
            if self._error is not None:
                raise self._error
            return cast(R, self._value)
        finally:
            self._error = None  # or it would hold, by its traceback, what holds it
            self.wanted = False

    async def wait_for(self, actor: str, timeout: float, timers: Timers | None) -> R:
        """Wait for the answer for `timeout` seconds; cancelling forgets the question.

        `timers`: those of the actor's system, if it has one: a cancel scope costs more than all
        the rest of a question.

        Raises:
            Expired: Nobody has begun with it in time, and nobody will.
            AskTimeout: No answer came in time.
        """
        if not self.wanted or timeout == float("inf"):
            return await self.wait()
        if timers is None:
            with anyio.move_on_after(timeout) as scope:
                return await self.wait()
            assert scope.cancelled_caught
            raise self._late(actor, timeout)
        timer = timers.call_later(timeout, partial(self._expire, actor, timeout))
        try:
            return await self.wait()
        finally:
            timer.cancel()

    def _expire(self, actor: str, timeout: float) -> None:
        self.fail(self._late(actor, timeout))

    def _late(self, actor: str, timeout: float) -> Expired | AskTimeout:
        return AskTimeout(actor, timeout) if self.begun else Expired(actor, timeout)

    def _arrive(self) -> None:
        self.wanted = False
        self._waiter.wake()


class Question:
    """A message in a mailbox whose sender waits for an answer."""

    __slots__ = ("answer", "message")

    def __init__(self, message: object, answer: Answer[object]) -> None:
        self.message = message
        self.answer = answer


class Later:
    """The type of `LATER`: a handler's answer comes later, through its `Reply`."""

    def __repr__(self) -> str:
        return "LATER"


LATER: Final = Later()
"""What a handler returns that has taken `ctx.defer(message)` and answers later."""


class Reply(Generic[R]):
    """Where a late answer goes (OTP: gen_server:reply).

    `ctx.defer(message)` gives it; the handler then returns `LATER`. Whoever holds it may call it,
    once, in any task: what comes after the first answer, or after the asker has gone, is
    discarded. When the actor ends first, the question fails as `Crashed`.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer[R]) -> None:
        self._answer = answer

    @property
    def wanted(self) -> bool:
        """Whether the asker still waits."""
        return self._answer.wanted

    def __call__(self, value: R, /) -> None:
        """Answer."""
        self._answer.give(value)

    def reject(self, error: object, /) -> None:
        """Answer with an error that the asker gets as `Rejected`."""
        self._answer.fail(Rejected(error))


class Place(Protocol):
    """Somebody who can be asked, and may be waiting for an answer himself."""

    @property
    def path(self) -> str:
        """The actor's place in the tree."""
        ...

    @property
    def asking(self) -> Place | None:
        """Whose answer he waits for now, in his own task."""
        ...


class Asker(Protocol):
    """An actor that asks in its own task, and handles nothing until it has its answer."""

    task: object
    asks: tuple[Place, Answer[Any]] | None

    @property
    def place(self) -> Place:
        """The actor's own place."""
        ...


asker: Final[ContextVar[Asker | None]] = ContextVar("herdwick asker", default=None)
"""The actor in whose task, or in a task that it started, the code runs."""


def current_asker() -> Asker | None:
    """Give the actor whose own task this is: while it waits here, it handles nothing."""
    actor = asker.get()
    return actor if actor is not None and actor.task is current_task() else None


def refuse_cycle(actor: Asker, target: Place) -> None:
    """Raise `Deadlock` if `target` waits, itself or through others, for the one who asks."""
    cycle, place = [actor.place.path], cast("Place | None", target)
    while place is not None:
        cycle.append(place.path)
        if place is actor.place:
            raise Deadlock(cycle)
        place = place.asking


def answered(question: Question, value: object, wants_value: Callable[[type], bool]) -> bool:
    """Give the answer that a handler returned; False where it returned none and owes one."""
    answer = question.answer
    if value is LATER or value is None:
        if answer.deferred:
            return True
        if value is LATER or wants_value(type(question.message)):
            return False
    answer.give(value)
    return True
