"""The registry of one system: from specs to places."""

from .errors import ChildStands, NotFound
from .slot import Slot


class Registry:
    """The places of all declared children; a spec is the typed key to its place."""

    def __init__(self) -> None:
        self._places: dict[object, Slot] = {}

    def __len__(self) -> int:
        return len(self._places)

    def declare(self, slot: Slot) -> Slot:
        """Give a declared child its place: the one that it had before, if it had one.

        So refs stay valid when its supervisor, and not only the child, is started again.
        """
        return self._places.setdefault(slot.spec, slot)

    def find(self, spec: object, name: str) -> Slot:
        """Give the place of a spec.

        Raises:
            NotFound: The spec is in no tree.
        """
        try:
            return self._places[spec]
        except KeyError:
            raise NotFound(name) from None

    def release(self, spec: object) -> None:
        """Let a spec be started at another place; its actor must have ended for good.

        Raises:
            ChildStands: It has not.
        """
        slot = self._places.get(spec)
        if slot is not None and not slot.gone:
            raise ChildStands(slot.path, slot.state, "a spec is the key to one actor")
        self._places.pop(spec, None)

    def forget(self, spec: object) -> None:
        """Forget a child that was deleted."""
        self._places.pop(spec, None)
