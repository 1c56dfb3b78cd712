"""Actors: what users write, and what an actor has of the runtime."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Never, cast

from typing_extensions import TypeVar

from .ask import Answer, Question, Reply, answered
from .backend import checkpoint
from .errors import ActorStopped, NoReply
from .exit import NORMAL, Exit
from .handlers import Handler, collect, wants_value
from .mailbox import Signal
from .message import Askable
from .monitors import Down
from .ref import Ref

if TYPE_CHECKING:
    from .life import Life
    from .system import System

M = TypeVar("M", default=Never)
R = TypeVar("R")

CHECKPOINT_EVERY: Final = 64
"""Messages after which a busy actor lets the others run."""


class Context(Generic[M]):
    """What an actor has of the runtime: its own address, its mailbox, its helpers and timers.

    All that it sets belongs to this incarnation, and is gone with it.
    """

    __slots__ = ("_life", "_turns", "hears", "receives")

    def __init__(self, life: Life, *, hears: bool = True) -> None:
        self._life = life
        self._turns = 0
        self.hears = hears
        """Whether the actor does anything with a `Down`."""
        self.receives = False
        """Whether `receive` was ever called."""

    @property
    def ref(self) -> Ref[M]:
        """The actor's own address, to hand to others."""
        return self._life.slot.ref()

    @property
    def incarnation(self) -> int:
        """1 for the first life, and one more with each restart."""
        return self._life.incarnation

    @property
    def system(self) -> System:
        """The tree that the actor lives in, to find others, or to start them."""
        return self._life.surroundings.system

    def stop(self, detail: object = None, /) -> None:
        """End the actor after the message that it handles now.

        The reason is `normal`; with a detail it is `shutdown (detail)`.
        """
        reason = NORMAL if detail is None else Exit("shutdown", str(detail))
        self._life.leave(reason)

    def start_soon(self, function: Callable[..., Awaitable[object]], /, *args: object) -> None:
        """Run a helper task that lives as long as this incarnation; its crash is the actor's.

        Raises:
            ActorStopped: The incarnation has come to its end, and its helpers with it.
        """
        self._life.start_soon(function, *args)

    def defer(self, message: Askable[object, R], /) -> Reply[R]:
        """Take it upon the actor to answer the message in hand later; then return `LATER`.

        Where the message was told, not asked, nobody waits for the answer.

        Raises:
            ActorStopped: The incarnation has come to its end.
            RuntimeError: It is not the message in hand, or was deferred already.
        """
        if self._life.winding_up:
            raise ActorStopped(self._life.slot.path)
        item = self._life.slot.current
        if isinstance(item, Signal):
            item = item.message
        if item is message:
            nobody: Answer[R] = Answer()
            nobody.wanted = False
            return Reply(nobody)
        if not isinstance(item, Question) or item.message is not message:
            raise RuntimeError(f"{self._life.slot.path} can defer the message in hand, no other")
        if item.answer.deferred:
            raise RuntimeError(f"{self._life.slot.path} has deferred this message already")
        self._life.owe(item.answer)
        return Reply(cast("Answer[R]", item.answer))

    def send_after(self, delay: float, message: M, /, *, key: Hashable = None) -> None:
        """Put `message` into the actor's own mailbox in `delay` seconds (OTP: erlang:send_after).

        A timer with the same key is replaced; without one, nobody can take it back. The message
        stands in order, however full the mailbox is.

        Raises:
            ValueError: The delay is negative.
        """
        self._life.schedule.once(delay, message, key)

    def every(self, period: float, message: M, /, *, key: Hashable = None) -> None:
        """Put `message` into the actor's own mailbox each `period` seconds, without drift.

        At most one of them waits there: an actor that is behind misses ticks.

        Raises:
            ValueError: The period is not more than 0.
        """
        self._life.schedule.every(period, message, key)

    def cancel_timer(self, key: Hashable, /) -> None:
        """Take a timer back, and its message too if that waits in the mailbox already."""
        self._life.schedule.cancel(key)

    def monitor(self, ref: Ref[Never], /, *, tag: Hashable = None) -> None:
        """Be told once, by a `Down`, when the incarnation that lives at `ref` has ended.

        A class gets it in `on_down`, a function from `receive`. Where nobody lives there now, it
        comes at once, with the reason `noproc` (OTP: monitor).

        Raises:
            TypeError: The actor's class has no `on_down`.
        """
        if not self.hears:
            raise TypeError(
                f"{self._life.slot.path} monitors {ref.path} and would not hear of its end; "
                "give its class an `async def on_down(self, down: Down)`"
            )
        self._life.monitors.add(ref, tag)

    def demonitor(self, ref: Ref[Never], /) -> None:
        """Be told no more, under any tag; a `Down` that waits in the mailbox is taken back."""
        self._life.monitors.drop(ref)

    async def receive(self) -> M:
        """Wait for the next message; for function actors.

        The message before it counts as handled now: where it was asked, a plain message is
        answered None, and an `Ask` that was not deferred fails as `NoReply`.

        Cancelling loses no message. One task at a time. Once a stop is asked for, it raises
        `ActorStopped`, which a function may let through: that is an ordered end.
        """
        self.receives = True
        self.finish()
        life, mailbox = self._life, self._life.slot.mailbox
        self._turns += 1
        if not self._turns % CHECKPOINT_EVERY:
            await checkpoint()
        while life.goes_on:
            if mailbox.empty:
                await mailbox.wait()
                continue
            if life.slot.take():
                return cast(M, life.slot.message)
        await checkpoint()  # for a function that goes on asking
        raise ActorStopped(life.slot.path)

    def finish(self) -> None:
        """Be done with the message in hand, if there is one; for function actors."""
        if self._life.winding_up:
            return  # what is in hand now is the next life's
        item = self._life.slot.put_down()
        if isinstance(item, Question) and not answered(item, None, wants_value):
            name = type(item.message).__name__
            item.answer.fail(NoReply(self._life.slot.path, name))


class Actor(Generic[M]):
    """A class whose instances handle one message after another, each in its own task.

    `M` is the union of the messages that it takes; a method marked `@on(Message)` handles each.
    An exception out of a method is a crash, and its supervisor decides what follows.
    """

    ctx: Context[M]
    """The actor's own address and helpers; there from `on_start` on."""

    __handlers__: ClassVar[dict[type, Handler]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Collect the handlers, and refuse a class whose handlers and messages differ."""
        super().__init_subclass__(**kwargs)
        cls.__handlers__ = collect(cls, cast("type[Any]", Actor))

    async def on_start(self) -> None:
        """Prepare; the supervisor waits for it, and an error is a failed start."""

    async def on_stop(self, reason: Exit) -> None:
        """Clean up after the last message, shielded from cancellation.

        It has the policy's `hook_timeout`, 5 s, and is then cancelled. It does not run where the
        start was not complete.
        """

    async def on_down(self, down: Down) -> None:
        """Take note that an actor which was monitored has ended."""
