"""The spec of one child: what to start, under which name, with which policy."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypedDict, Unpack, overload

from typing_extensions import TypeVar

from .actor import Actor, ActorBody, Context, FunctionBody
from .life import Body, Life, Policy, part_of_path
from .restart import Restart

M_contra = TypeVar("M_contra", contravariant=True)
P = ParamSpec("P")


class PolicyOptions(TypedDict, total=False):
    """The options of `Child.policy`; `Policy` says what each means."""

    restart: Restart
    grace: float
    start_timeout: float
    hook_timeout: float
    mailbox: int | None


class Child(Generic[M_contra]):
    """An actor to be started under a supervisor, and the typed key to its ref.

    Takes an `Actor` class and its constructor's arguments, or an `async def` function whose
    first parameter is a `Context`. Each incarnation gets the same argument objects: a mutable
    one survives the crash that it may have caused.
    """

    @overload
    def __init__(
        self, factory: Callable[P, Actor[M_contra]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def __init__(
        self,
        factory: Callable[Concatenate[Context[M_contra], P], Awaitable[None]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    def __init__(self, factory: Callable[..., Any], /, *args: object, **kwargs: object) -> None:
        """Make a permanent child, named after what it starts."""
        if not callable(factory):
            raise TypeError(f"a child needs an actor class or a function, not {factory!r}")
        self._factory = factory
        self._args = args
        self._kwargs = kwargs
        self._name: str = getattr(factory, "__name__", type(factory).__name__)
        self._terms = Policy()

    @property
    def name(self) -> str:
        """The name, unique under the supervisor."""
        return self._name

    @property
    def terms(self) -> Policy:
        """How the supervisor treats it."""
        return self._terms

    def named(self, name: str, /) -> Self:
        """Give a copy with this name."""
        named = copy.copy(self)
        named._name = part_of_path(name)
        return named

    def policy(self, **options: Unpack[PolicyOptions]) -> Self:
        """Give a copy with these options; the others stay as they are."""
        changed = copy.copy(self)
        changed._terms = replace(self._terms, **options)
        return changed

    def embody(self, life: Life) -> Body:
        """Make the actor of a new incarnation."""
        return body_of(life, self._factory, self._args, self._kwargs)


def body_of(
    life: Life,
    factory: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> Body:
    """Make the body of a class actor or a function actor."""
    if inspect.iscoroutinefunction(factory):
        return FunctionBody(life, lambda context: factory(context, *args, **kwargs))
    made: Any = factory(*args, **kwargs)
    if not issubclass(type(made), Actor):
        raise TypeError(f"{life.slot.path}: {factory!r} made {made!r}, which is no Actor")
    return ActorBody(life, made)
