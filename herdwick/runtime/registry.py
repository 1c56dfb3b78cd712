"""Which place in the tree a spec stands for: the typed keys of one system."""

from .errors import ActorStopped
from .slot import Slot


class Registry:
    """From specs and paths to places."""

    def __init__(self) -> None:
        self._declared: dict[object, Slot] = {}
        self._by_spec: dict[object, Slot] = {}
        self._by_path: dict[str, Slot] = {}

    def declare(self, slot: Slot) -> Slot:
        """Give a declared child its place: the one that it had before, if it had one.

        So refs stay valid when its supervisor, and not only the child, is started again.
        """
        slot = self._declared.setdefault(slot.spec, slot)
        slot.reopen()
        self.enter(slot)
        return slot

    def enter(self, slot: Slot) -> None:
        """Make a place known until it is gone."""
        self._by_spec[slot.spec] = slot
        self._by_path[slot.path] = slot
        slot.gone.then(lambda: self._leave(slot))

    def find(self, spec: object, name: str) -> Slot:
        """Give the place of a spec.

        Raises:
            ActorStopped: The spec is in no tree, or stood for a child that came and went.
        """
        slot = self._by_spec.get(spec) or self._declared.get(spec)
        if slot is None:
            raise ActorStopped(name)
        return slot

    def at(self, path: str) -> Slot | None:
        """Give the place at a path such as `root/services/feed`, if there is one now."""
        return self._by_path.get(path)

    def _leave(self, slot: Slot) -> None:
        # Only its own entries: the next place of that name may be there already.
        if self._by_spec.get(slot.spec) is slot:
            del self._by_spec[slot.spec]
        if self._by_path.get(slot.path) is slot:
            del self._by_path[slot.path]
