"""The spec of one child: what to start, under which name, with which policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, Unpack

from typing_extensions import TypeVar

from .actor import Actor, Context
from .body import body_of
from .life import Life
from .policy import Policy, PolicyOptions, part_of_path
from .roles import Body

M_contra = TypeVar("M_contra", contravariant=True)
P = ParamSpec("P")


PERMANENT: Final = Policy()


class Child(Generic[M_contra]):
    """An actor to be started under a supervisor, and the typed key to its ref.

    Takes an `Actor` class and its constructor's arguments, or an `async def` function whose
    first parameter is a `Context`. Each incarnation gets the same argument objects: a mutable
    one survives the crash that it may have caused.
    """

    __slots__ = ("__weakref__", "_args", "_factory", "_kwargs", "_name", "_terms")

    port = None

    def __init__(
        self,
        factory: Callable[P, Actor[M_contra]]
        | Callable[Concatenate[Context[M_contra], P], Awaitable[None]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Make a permanent child, named after what it starts."""
        if not callable(factory):
            raise TypeError(f"a child needs an actor class or a function, not {factory!r}")
        self._factory: Callable[..., Any] = factory
        self._args = args
        self._kwargs = kwargs
        self._name: str = getattr(factory, "__name__", type(factory).__name__)
        self._terms = PERMANENT

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
        return self.under(name, self._terms)

    def policy(self, **options: Unpack[PolicyOptions]) -> Self:
        """Give a copy with these options; the others stay as they are.

        Raises:
            ValueError: An option is out of its range.
        """
        return self.under(self._name, replace(self._terms, **options))

    def under(self, name: str, terms: Policy) -> Self:
        """Give a copy with this name and policy."""
        other = object.__new__(type(self))
        other._factory, other._args, other._kwargs = self._factory, self._args, self._kwargs
        other._name, other._terms = part_of_path(name), terms
        return other

    def embody(self, life: Life) -> Body:
        """Make the actor of a new incarnation."""
        return body_of(life, self._factory, self._args, self._kwargs)
