"""Who is present in a topic, as the client knows it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .events import Metas, PresenceChanged


class Roster:
    """Those who are present: each change replaces what it touches, and mutates nothing."""

    def __init__(self) -> None:
        self._present: dict[str, Mapping[str, Any]] = {}
        self.view: Metas = MappingProxyType(self._present)
        """What is known now; it follows each change."""

    def apply(self, joins: Metas, leaves: Mapping[str, Sequence[str]]) -> PresenceChanged | None:
        """Apply the joins, then the leaves, and tell what has changed; None for nothing."""
        for key, metas in joins.items():
            self._put(key, {**self._present.get(key, {}), **metas})
        gone: dict[str, Mapping[str, Any]] = {}
        for key, references in leaves.items():
            known = self._present.get(key, {})
            gone[key] = {each: known[each] for each in references if each in known}
            self._put(key, {each: meta for each, meta in known.items() if each not in gone[key]})
        return _told(joins, gone)

    def replace(self, present: Metas) -> PresenceChanged | None:
        """Take this for all who are present, and tell the difference; None for none."""
        before = dict(self._present)
        self._present.clear()
        for key, metas in present.items():
            self._put(key, metas)
        return _told(_changed(before, present), _missing(before, present))

    def _put(self, key: str, metas: Mapping[str, Any]) -> None:
        if metas:
            self._present[key] = MappingProxyType(dict(metas))
        else:
            self._present.pop(key, None)


def _changed(before: Metas, now: Metas) -> Metas:
    """Give what is new in `now`, or has other metas there."""
    nothing: Mapping[str, Any] = {}
    return {
        key: {
            reference: meta
            for reference, meta in metas.items()
            if reference not in before.get(key, nothing) or before[key][reference] != meta
        }
        for key, metas in now.items()
    }


def _missing(before: Metas, now: Metas) -> Metas:
    """Give what was in `before`, and is not in `now`."""
    nothing: Mapping[str, Any] = {}
    return {
        key: {each: meta for each, meta in metas.items() if each not in now.get(key, nothing)}
        for key, metas in before.items()
    }


def _told(joins: Metas, leaves: Metas) -> PresenceChanged | None:
    joins = {key: metas for key, metas in joins.items() if metas}
    leaves = {key: metas for key, metas in leaves.items() if metas}
    return PresenceChanged(joins, leaves) if joins or leaves else None
