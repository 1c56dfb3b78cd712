"""Which method handles which message: `@on`, and the checks of a class that has handlers."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, Never, TypeAlias

from typing_extensions import TypeVar

from .ask import Later
from .hints import argument_of, class_of, fits, members_of, returned_by, shown
from .message import Ask, Askable, Message

A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")
# Nothing, or Later where a method says so: one that is called through `super()` keeps its type.
L = TypeVar("L", bound=Later, default=Never)
F = TypeVar("F", bound=Callable[..., Awaitable[object]])

Handler: TypeAlias = Callable[..., Awaitable[object]]
"""Takes the actor, the message, and whatever else the decorator that marked it promises."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator leaves on a method."""

    message: Any
    """The message class that the method handles, maybe with its type arguments: `Put[int]`."""

    decorator: str = "on"
    """The name of the decorator, which tells its methods from those of others."""

    def __post_init__(self) -> None:
        if not issubclass(self.kind, (Message, Ask)):
            raise TypeError(
                f"@{self.decorator} takes one message class, derived from Message or Ask[…], "
                f"not {self.message!r}"
            )

    @property
    def kind(self) -> type:
        """`Put` for `Put[int]`: its instances know no more."""
        kind = class_of(self.message)
        return kind if isinstance(kind, type) else NoneType

    def __str__(self) -> str:
        return f"@{self.decorator}({self.kind.__name__})"


def on(
    message: type[Askable[Q, R]], /
) -> Callable[[Callable[[A, Q], Awaitable[R | L]]], Callable[[A, Q], Awaitable[R | L]]]:
    """Mark the method that handles `message`; what it returns is the answer.

    It may return `LATER` once it has taken `ctx.defer(message)`.

    Raises:
        TypeError: `message` is no message class, or the method is not `async def`.
    """
    mark = Mark(message)
    return lambda method: marked(method, mark)


def marked(method: F, mark: Mark) -> F:
    """Leave a mark on a method, for `collect` to find.

    Raises:
        TypeError: It is not `async def`.
    """
    _require_async(method, mark)
    setattr(method, "__handles__", mark)  # noqa: B010  # a function has no such field
    return method


def collect(cls: type, root: type) -> dict[type, Handler]:
    """Give the handlers of a class by message class; inherited ones too, the most derived of each.

    `root` is the generic base whose type argument is the union of the messages.

    Raises:
        TypeError: A message has no handler or two, a handler's message is not of the union, or
            a handler's return annotation does not fit its message.
    """
    marks = marks_of(cls)
    names = {mark.kind: name for name, mark in marks.items()}
    for name in names.values():
        _require_async(getattr(cls, name), marks[name])
        _check_answer(cls, name, marks[name])
    declared = _messages(cls, root)
    if declared is not None:
        _compare(cls, declared, set(names))
    return {message: getattr(cls, name) for message, name in names.items()}


def marks_of(cls: type) -> dict[str, Mark]:
    """Give the marked methods of a class by name, those marked in a base too."""
    marks: dict[str, Mark] = {}
    for base in reversed(cls.__mro__):
        found = {name: getattr(value, "__handles__", None) for name, value in vars(base).items()}
        own = {name: mark for name, mark in found.items() if isinstance(mark, Mark)}
        if len({mark.kind for mark in own.values()}) < len(own):
            raise TypeError(f"{base.__qualname__} has two handlers for one message: {list(own)}")
        marks = {name: mark for name, mark in marks.items() if name not in own} | own
    return marks


@lru_cache(maxsize=1024)
def wants_value(message: type) -> bool:
    """Tell whether a message of this class asks for something that None surely is not."""
    return not fits(NoneType, _reply_to(message))


def _require_async(method: object, mark: Mark) -> None:
    if not (inspect.isfunction(method) and inspect.iscoroutinefunction(inspect.unwrap(method))):
        name = getattr(method, "__qualname__", repr(method))
        raise TypeError(
            f"{name} is marked {mark} and cannot be awaited; "
            "a handler is an `async def` method without `yield`"
        )


def _check_answer(cls: type, name: str, mark: Mark) -> None:
    returned, reply = returned_by(cls, name), _reply_to(mark.message)
    if all(hint is Later or fits(hint, reply) for hint in members_of(returned)):
        return
    wanted = f"asks for {shown(reply)}" if _asks(mark.kind) else "has no answer but None"
    raise TypeError(
        f"{cls.__qualname__}.{name} is marked {mark} and returns {shown(returned)}, "
        f"but {mark.kind.__name__} {wanted}"
    )


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


def _messages(cls: type, root: type) -> set[type] | None:
    """Give the messages that a class declares, or None where it leaves them open."""
    declared = argument_of(cls, (), root)
    if declared is Never:
        return set()
    each = {class_of(message) for message in members_of(declared)}
    return each if Any not in each and all(isinstance(one, type) for one in each) else None


def _reply_to(message: Any) -> Any:
    """Give the type of a message's answer; `Any` where it cannot be told."""
    kind: type[object] = class_of(message)
    if issubclass(kind, Message):
        return NoneType
    return argument_of(kind, typing.get_args(message), Ask) if _asks(kind) else Any


def _asks(kind: type[object]) -> bool:
    return issubclass(kind, Ask)
