"""Actors: classes with `@on` methods, and functions with a `Context`."""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Never, Union, cast

import anyio.lowlevel
from typing_extensions import TypeVar

from .ask import Question
from .errors import ActorStopped, Rejected
from .exit import NORMAL, SHUTDOWN, Exit
from .message import Askable
from .ref import Ref

if TYPE_CHECKING:
    from .life import Life

M = TypeVar("M", default=Never)
A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")

CHECKPOINT_EVERY: Final = 64
"""Messages after which a busy actor lets the others run."""


class Context(Generic[M]):
    """What an actor has of the runtime: its own address, its mailbox, its helpers."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self.receives = False
        """Whether `receive` was ever called."""
        self._turns = 0

    @property
    def ref(self) -> Ref[M]:
        """The actor's own address, to hand to others."""
        return self._life.slot.ref()

    @property
    def incarnation(self) -> int:
        """1 for the first life, and one more with each restart."""
        return self._life.slot.incarnation

    def stop(self, detail: object = None, /) -> None:
        """End the actor after the message that it handles now."""
        reason = NORMAL if detail is None else Exit("shutdown", str(detail))
        self._life.leave(reason)

    def start_soon(self, function: Callable[..., Awaitable[object]], /, *args: object) -> None:
        """Run a helper task that lives as long as this incarnation; its crash is the actor's.

        Raises:
            ActorStopped: The incarnation has come to its end, and its helpers with it.
        """
        self._life.start_soon(function, *args)

    async def receive(self) -> M:
        """Wait for the next message; for function actors, which are told only, never asked.

        Cancelling loses no message. One task at a time. Once a stop is asked for, it raises
        `ActorStopped`, which a function may let through: that is an ordered end.
        """
        self.receives = True
        path, mailbox = self._life.slot.path, self._life.slot.mailbox
        self._turns += 1
        if not self._turns % CHECKPOINT_EVERY:
            await anyio.lowlevel.checkpoint()
        while self._life.stopping is None:
            if not len(mailbox):
                await mailbox.wait()
                continue
            item = mailbox.get_nowait()
            if not isinstance(item, Question):
                return cast(M, item)
            item.answer.fail(Rejected(f"{path} is a function and answers nothing"))
        await anyio.lowlevel.checkpoint()  # for a function that goes on asking
        raise ActorStopped(path)


Handler = Callable[[Any, Any], Awaitable[object]]


def on(
    message: type[Askable[Q, R]], /
) -> Callable[[Callable[[A, Q], Awaitable[R]]], Callable[[A, Q], Awaitable[R]]]:
    """Mark the method that handles `message`; what it returns is the answer."""

    def mark(method: Callable[[A, Q], Awaitable[R]]) -> Callable[[A, Q], Awaitable[R]]:
        setattr(method, "__handles__", message)  # noqa: B010  # a function has no such field
        return method

    return mark


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
        cls.__handlers__ = _handlers(cls)
        declared = _messages(cls)
        if declared is not None:
            _compare(cls, declared, set(cls.__handlers__))

    async def on_start(self) -> None:
        """Prepare; the supervisor waits for it, and an error is a failed start."""

    async def on_stop(self, reason: Exit) -> None:
        """Clean up after the last message, shielded from cancellation, within 5 s."""


def _handlers(cls: type) -> dict[type, Handler]:
    """Give the handlers of a class, inherited ones too; the most derived of each name counts."""
    marks: dict[str, type] = {}
    for base in reversed(cls.__mro__):
        own = {
            name: _class_of(method.__handles__)
            for name, method in vars(base).items()
            if hasattr(method, "__handles__")
        }
        if len(set(own.values())) < len(own):
            raise TypeError(f"{base.__qualname__} has two handlers for one message: {list(own)}")
        marks = {name: message for name, message in marks.items() if name not in own} | own
    return {message: getattr(cls, name) for name, message in marks.items()}


def _messages(cls: type) -> set[type] | None:
    """Give the messages that a class declares, or None where it leaves them open."""
    declared = _declared(cls)
    union = typing.get_origin(declared) in (Union, UnionType)
    each = {_class_of(message) for message in (typing.get_args(declared) if union else [declared])}
    return each if all(isinstance(message, type) for message in each) else None


def _declared(cls: Any) -> Any:
    """Give what stands for `M` in `Actor[M]`, with the type arguments of generic bases put in."""
    for base in getattr(cls, "__orig_bases__", ()):
        origin: Any = typing.get_origin(base)
        if origin is Actor:
            return typing.get_args(base)[0]
        if isinstance(origin, type) and issubclass(origin, Actor):
            return _filled(_declared(origin), cast(Any, origin).__parameters__, base)
    return None


def _filled(declared: Any, names: tuple[Any, ...], base: Any) -> Any:
    given: dict[Any, Any] = dict(zip(names, typing.get_args(base), strict=True))
    if declared in given:
        return given[declared]
    open_names = getattr(declared, "__parameters__", ())
    return declared[tuple(given[name] for name in open_names)] if open_names else declared


def _class_of(message: Any) -> Any:
    """Give `Put` for `Put[int]`: its instances know no more."""
    return typing.get_origin(message) or message


def _compare(cls: type, declared: set[type], handled: set[type]) -> None:
    for message in declared - handled:
        raise TypeError(
            f"{cls.__qualname__} takes {message.__name__} and has no handler for it; "
            f"add a method marked @on({message.__name__})"
        )
    for message in handled - declared:
        raise TypeError(
            f"{cls.__qualname__} handles {message.__name__} and does not take it; "
            f"add it to the messages in Actor[…]"
        )


class ActorBody:
    """A class actor's life: `on_start`, one message after another, `on_stop`."""

    def __init__(self, life: Life, actor: Actor[Any]) -> None:
        self._life = life
        self._slot = life.slot
        self._actor = actor
        actor.ctx = Context(life)

    async def live(self) -> None:
        """Handle messages until asked to stop."""
        await self._actor.on_start()
        self._life.started()
        handled = 0
        while self._life.stopping is None:
            if not len(self._slot.mailbox):
                await self._slot.mailbox.wait()
                continue
            await self._handle(self._slot.mailbox.get_nowait())
            handled += 1
            if not handled % CHECKPOINT_EVERY:
                await anyio.lowlevel.checkpoint()

    def stop(self) -> None:
        """Go no further than the message that is being handled."""
        self._slot.mailbox.wake()

    async def on_stop(self, reason: Exit) -> None:
        """Run the actor's own hook."""
        await self._actor.on_stop(reason)

    async def _handle(self, item: object) -> None:
        question = item if isinstance(item, Question) else None
        if question is not None and not question.answer.wanted:
            return  # its asker has gone
        message = question.message if question else item
        self._slot.current = question
        try:
            result = await self._handler(message)(self._actor, message)
        except Rejected as error:  # no crash, and one who told wants no answer
            if question is not None:
                question.answer.fail(error)
        else:
            if question is not None:
                question.answer.give(result)
        self._slot.current = None

    def _handler(self, message: object) -> Handler:
        try:
            return self._actor.__handlers__[type(message)]
        except KeyError:
            raise TypeError(
                f"{self._slot.path} got a {type(message).__name__}, which it does not take"
            ) from None


class FunctionBody:
    """A function actor's life: the function, from its call to its return."""

    def __init__(self, life: Life, run: Callable[[Context[Any]], Awaitable[None]]) -> None:
        self._life = life
        self._run = run
        self._context: Context[Any] = Context(life)

    async def live(self) -> None:
        """Run the function; its start is acknowledged at once."""
        self._life.started()
        try:
            await self._run(self._context)
        except ActorStopped:
            if self._life.stopping is None:
                raise

    def stop(self) -> None:
        """Let `receive` say so; a function that never receives is cancelled at once."""
        if self._context.receives:
            self._life.slot.mailbox.wake()
        else:
            self._life.cancel(self._life.stopping or SHUTDOWN)

    async def on_stop(self, reason: Exit) -> None:
        """Do nothing: a function cleans up in its own `finally`."""
