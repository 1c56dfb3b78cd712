"""The specs of supervisors whose children come and go: connections, rooms, devices."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Generic, Literal, ParamSpec, TypeAlias, Unpack, get_args

from typing_extensions import TypeVar

from .actor import Actor
from .child import Child
from .life import Life
from .policy import Policy, PolicyOptions, part_of_path
from .pool import PoolSupervision
from .restart import RestartLimit

P = ParamSpec("P")
M_contra = TypeVar("M_contra", contravariant=True)

Budget: TypeAlias = Literal["child", "pool"]
"""child: each child has a budget of restarts; pool: all of them share one, as in OTP."""


class Pool:
    """A branch whose children are spawned one by one (OTP: DynamicSupervisor).

    They start concurrently and stop all at once. Each has a restart budget of its own, so that
    one bad child never takes the others down: it is given up alone.

    Args:
        name: Its part of the path, unique under its supervisor.
        max_children: How many may live at a time; None for no bound.
        max_restarts: Restarts allowed within any `period`.
        period: Seconds.
        budget: Whether the restarts are counted for each child, or for all of them together; then
            the pool itself gives up, as in OTP.

    Raises:
        ValueError: An option is out of its range.
    """

    port = None

    def __init__(
        self,
        name: str,
        /,
        *,
        max_children: int | None = None,
        max_restarts: int = 3,
        period: float = 5.0,
        budget: Budget = "child",
    ) -> None:
        if max_children is not None and max_children < 1:
            raise ValueError(f"max_children is {max_children}; it must be 1 or more")
        if budget not in get_args(Budget):
            raise ValueError(f"budget is {budget!r}; it must be one of {get_args(Budget)}")
        self.name = part_of_path(name)
        self.max_children = max_children
        self.limit = RestartLimit(max_restarts, period)
        self.shared_budget = budget == "pool"
        self.terms = Policy(
            grace=float("inf"), start_timeout=float("inf"), hook_timeout=float("inf")
        )

    def embody(self, life: Life) -> PoolSupervision:
        """Make the body of a new incarnation."""
        return PoolSupervision(life, self)


class Dynamic(Pool, Generic[P, M_contra]):
    """A pool whose children are all made by one factory, from typed arguments.

    Args:
        name: Its part of the path, unique under its supervisor.
        factory: The actors' class.
        max_children: How many may live at a time; None for no bound.
        max_restarts: Restarts allowed within any `period`.
        period: Seconds.
        budget: Whether the restarts are counted for each child, or for all of them together.
        options: The children's policy, as in `Child.policy`; `restart` is "temporary" and
            `start_timeout` 10 s where they say nothing else.
    """

    def __init__(
        self,
        name: str,
        factory: Callable[P, Actor[M_contra]],
        /,
        *,
        max_children: int | None = None,
        max_restarts: int = 3,
        period: float = 5.0,
        budget: Budget = "child",
        **options: Unpack[PolicyOptions],
    ) -> None:
        super().__init__(
            name,
            max_children=max_children,
            max_restarts=max_restarts,
            period=period,
            budget=budget,
        )
        self._factory = factory
        self._signature = inspect.signature(factory)
        self._child_terms = replace(Policy(restart="temporary", start_timeout=10.0), **options)

    def child(self, name: str, /, *args: P.args, **kwargs: P.kwargs) -> Child[M_contra]:
        """Make the spec of one child."""
        return Child(self._factory, *args, **kwargs).under(name, self._child_terms)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Hashable, ...]:
        """Give what tells a child from the others: its arguments, however they are passed.

        Raises:
            TypeError: They do not fit the factory, or one of them cannot be hashed.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        try:
            key = (*bound.args, *([frozenset(bound.kwargs.items())] if bound.kwargs else ()))
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"{self.name!r} finds a child by its arguments, and {args or kwargs} cannot be "
                f"hashed ({error}); use `start`, or pass what can"
            ) from None
        return key
