"""The spec of a supervisor: its children in their order, and what follows when one ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, get_args

from .backoff import Backoff
from .child import Child
from .dynamic import Pool
from .life import Life
from .policy import Policy, part_of_path
from .restart import Restart, RestartLimit, Strategy
from .roles import Spec
from .supervision import Supervision, specs_below

Supervisable: TypeAlias = "Child[Any] | Pool | Supervisor"
"""What can stand under a supervisor."""


class Supervisor:
    """A branch of the tree (OTP: supervisor).

    Its children start one after another, each complete before the next, and stop in reverse. A
    child that ends is started again if its restart policy says so; the strategy says who is
    started again with it. When that would be more than `max_restarts` restarts within `period`
    seconds, the supervisor gives up: it stops its children and crashes, and its own supervisor
    decides.

    Args:
        name: Its part of the path, unique under its own supervisor.
        children: Specs; each stands in the tree once, and is the key to what it starts.
        strategy: one_for_one: only the child that ended; rest_for_one: and those after it;
            one_for_all: all of them.
        max_restarts: Restarts allowed within any `period`; a group restart counts as one.
        period: Seconds.
        restart: Whether it comes back itself after it gave up.
        backoff: How long its own restart waits.

    Raises:
        TypeError: A child is no spec, but an actor class perhaps: write `Child(Counter)`.
        ValueError: Two children have one name, one spec stands in the tree twice, or an option is
            out of its range.
    """

    port = None

    def __init__(
        self,
        name: str,
        /,
        *children: Supervisable,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        period: float = 5.0,
        restart: Restart = "permanent",
        backoff: Backoff | None = None,
    ) -> None:
        if strategy not in get_args(Strategy):
            raise ValueError(f"strategy is {strategy!r}; it must be one of {get_args(Strategy)}")
        for child in children:
            check_kind(name, child)
        _check_names(name, children)
        self.name = part_of_path(name)
        self.children = children
        self.strategy: Strategy = strategy
        self.limit = RestartLimit(max_restarts, period)
        self.terms = Policy(
            restart=restart,
            backoff=backoff,
            grace=float("inf"),
            start_timeout=float("inf"),
            hook_timeout=float("inf"),
        )
        _check_keys(list(specs_below(self)))

    def embody(self, life: Life) -> Supervision:
        """Make the body of a new incarnation."""
        return Supervision(life, self)


def check_kind(supervisor: str, child: object) -> None:
    """Refuse what cannot be supervised."""
    if not isinstance(child, Child | Pool | Supervisor):
        actor = getattr(child, "__name__", "…")
        raise TypeError(
            f"supervisor {supervisor!r} cannot start {child!r}; give it `Child({actor})`, "
            f"or a Dynamic, a Pool or another Supervisor"
        )


def _check_names(supervisor: str, children: Sequence[Spec]) -> None:
    names = [child.name for child in children]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"supervisor {supervisor!r} has two children named {name!r}; "
                f"give one of them another name with `.named(…)`"
            )


def _check_keys(specs: Sequence[Spec]) -> None:
    seen: set[int] = set()
    for spec in specs:
        if id(spec) in seen:
            raise ValueError(
                f"{spec.name!r} stands in the tree twice, and it is the key to one actor; "
                f"make another one for the second place"
            )
        seen.add(id(spec))
