"""Who is present on a topic: derived from its members, told as differences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

Present: TypeAlias = Mapping[str, Mapping[str, object]]
"""By key: the meta of each connection, by its reference. `{"ada": {"7f3a": {"name": "Ada"}}}`."""


@dataclass(frozen=True, slots=True)
class PresenceOptions:
    """How a topic tells who is present."""

    grace: float = 0.0
    """Seconds, 0 to 10, that somebody stays present whose connection was lost."""

    def __post_init__(self) -> None:
        if not 0 <= self.grace <= 10:
            raise ValueError(f"grace is {self.grace:g}; it must be from 0 to 10 seconds")


@dataclass(frozen=True, slots=True)
class PresenceDiff:
    """Who has come, or has another meta now, and who has gone; apply the joins first."""

    joins: Present = field(default_factory=dict[str, Mapping[str, object]])
    leaves: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By key: the references that are gone."""

    def __bool__(self) -> bool:
        return bool(self.joins or self.leaves)


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection that is present."""

    key: str
    meta: object


class Presences(Mapping[str, Mapping[str, object]]):
    """Who is present on one topic, now; and what of it the members have been told.

    As a mapping it is the present of this moment, by key. Whatever changes it is noted, and told
    later, all at once: who came and went in between was never there.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        """Called on each change."""
        self._now: dict[str, Entry] = {}
        self._by_key: dict[str, dict[str, object]] = {}
        """The same, as the mapping shows it."""
        self._told: dict[str, Entry] = {}
        self._touched: dict[str, None] = {}

    def __getitem__(self, key: str) -> Mapping[str, object]:
        return MappingProxyType(self._by_key[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def __repr__(self) -> str:
        return repr(self._by_key)

    def set(self, ref: str, key: str, meta: object) -> None:
        """Let a connection be present, with this meta from now on."""
        entry = Entry(key, meta)
        if self._now.get(ref) != entry:
            self._forget(ref)
            self._now[ref] = entry
            self._by_key.setdefault(key, {})[ref] = meta
            self._touch(ref)

    def drop(self, ref: str) -> None:
        """Let a connection be present no more."""
        if self._forget(ref):
            self._touch(ref)

    def keep(self, refs: Collection[str]) -> None:
        """Drop all but these, and have everything compared again with what was told."""
        for ref in [ref for ref in self._now if ref not in refs]:
            self.drop(ref)
        self._touched.update(dict.fromkeys([*self._now, *self._told]))

    @property
    def told(self) -> Present:
        """What the members have been told: what a new one begins with."""
        return grouped(self._told)

    def tell(self) -> PresenceDiff:
        """Give what has changed since the last time, and count it as told."""
        joins: dict[str, Entry] = {}
        leaves: dict[str, tuple[str, ...]] = {}
        for ref in self._touched:
            now, told = self._now.get(ref), self._told.pop(ref, None)
            if now is not None:
                self._told[ref] = now
                if now != told:
                    joins[ref] = now
            if told is not None and (now is None or now.key != told.key):
                leaves[told.key] = (*leaves.get(told.key, ()), ref)
        self._touched.clear()
        return PresenceDiff(grouped(joins), leaves)

    def _touch(self, ref: str) -> None:
        self._touched[ref] = None
        self._changed()

    def _forget(self, ref: str) -> bool:
        entry = self._now.pop(ref, None)
        if entry is None:
            return False
        metas = self._by_key[entry.key]
        del metas[ref]
        if not metas:
            del self._by_key[entry.key]
        return True


def grouped(entries: Mapping[str, Entry]) -> Present:
    """Give entries by their keys."""
    present: dict[str, dict[str, object]] = {}
    for ref, entry in entries.items():
        present.setdefault(entry.key, {})[ref] = entry.meta
    return present
