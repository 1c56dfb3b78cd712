"""Snapshots: what an actor does at a moment, and the whole tree of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

from .dynamic import Pool
from .exit import Exit
from .pool import PoolSupervision
from .restart import Restart
from .slot import Slot, State
from .supervision import Supervision
from .supervisor import Supervisor

Kind: TypeAlias = Literal["actor", "supervisor", "dynamic"]
"""What stands at a place of the tree; dynamic: a pool."""


class ChildInfo(msgspec.Struct, frozen=True):
    """A child as its supervisor sees it (OTP: supervisor:which_children/1)."""

    name: str
    path: str
    kind: Kind
    state: State
    restart: Restart
    incarnation: int


class ChildCounts(msgspec.Struct, frozen=True):
    """The children of a supervisor, counted (OTP: supervisor:count_children/1)."""

    specs: int
    """All that it has, whether they run or not."""
    active: int
    """Those that live now."""
    supervisors: int
    workers: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor, or a supervisor, does at a moment."""

    name: str
    path: str
    kind: Kind
    state: State
    incarnation: int
    restarts: int
    """How often it was started again after it had ended."""
    mailbox: int
    """Messages that wait."""
    high_water: int
    """The most messages that have ever waited."""
    current: str | None
    """The class of the message in hand; None where there is none."""
    since: float | None
    """Seconds for which it has been in hand; None where there is none."""
    last_exit: Exit | None
    """How the incarnation before this one ended; None where it is the first."""


class Node(Statistics, frozen=True, kw_only=True):
    """An actor with all that is below it.

    `str(node)` is the tree as text, a line each; msgspec, or any library that takes its structs,
    writes it as JSON.
    """

    children: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return "\n".join(_lines(self, "", ""))

    def __iter__(self) -> Iterator[Node]:
        """Yield it and all that is below it, in the order of the text."""
        yield self
        for child in self.children:
            yield from child


def children_of(slot: Slot) -> list[Slot]:
    """Give the places below a supervisor's, in their order; nothing below an actor's."""
    body = None if slot.life is None else slot.life.body
    return list(body.slots) if isinstance(body, Supervision | PoolSupervision) else []


def child_info(slot: Slot) -> ChildInfo:
    """Describe a child as its supervisor sees it."""
    return ChildInfo(
        slot.spec.name,
        slot.path,
        _kind(slot),
        slot.state,
        slot.spec.terms.restart,
        slot.incarnation,
    )


def child_counts(slots: Iterable[Slot]) -> ChildCounts:
    """Count the children of a supervisor."""
    slots = list(slots)
    supervisors = sum(_kind(slot) != "actor" for slot in slots)
    active = sum(slot.state in ("starting", "running", "stopping") for slot in slots)
    return ChildCounts(len(slots), active, supervisors, len(slots) - supervisors)


def statistics_of(slot: Slot, now: float) -> Statistics:
    """Take the snapshot of one actor, at a moment of the system's clock."""
    busy = slot.current is not None
    return Statistics(
        name=slot.spec.name,
        path=slot.path,
        kind=_kind(slot),
        state=slot.state,
        incarnation=slot.incarnation,
        restarts=slot.restarts,
        mailbox=len(slot.mailbox),
        high_water=slot.mailbox.high_water,
        current=type(slot.message).__name__ if busy else None,
        since=now - slot.since if busy else None,
        last_exit=slot.last_exit,
    )


def snapshot(slot: Slot, now: float) -> Node:
    """Take the snapshot of an actor and of all that is below it."""
    children = tuple(snapshot(child, now) for child in children_of(slot))
    return Node(**msgspec.structs.asdict(statistics_of(slot, now)), children=children)


def _kind(slot: Slot) -> Kind:
    if isinstance(slot.spec, Supervisor):
        return "supervisor"
    return "dynamic" if isinstance(slot.spec, Pool) else "actor"


def _lines(node: Node, first: str, rest: str) -> Iterator[str]:
    yield f"{first}{_line(node)}"
    for child in node.children[:-1]:
        yield from _lines(child, f"{rest}├─ ", f"{rest}│  ")
    for child in node.children[-1:]:
        yield from _lines(child, f"{rest}└─ ", f"{rest}   ")


def _line(node: Node) -> str:
    facts: list[str] = [] if node.state == "running" else [node.state]
    if node.restarts:
        often = "once" if node.restarts == 1 else f"{node.restarts} times"
        facts.append(f"restarted {often}, last after {node.last_exit}")
    if node.mailbox:
        facts.append(f"{node.mailbox} in the mailbox")
    if node.current is not None:
        facts.append(f"{node.current} for {node.since:.3g} s")
    return f"{node.name}  {'; '.join(facts)}".rstrip()
