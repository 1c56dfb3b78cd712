"""The registry of one system: from specs to places."""

from collections.abc import Iterable, Mapping

from .errors import ChildStands, NotFound
from .slot import Slot


class Registry:
    """The places of all declared children; a spec is the typed key to its place."""

    def __init__(self) -> None:
        self._places: dict[object, Slot] = {}
        self._homes: dict[object, str] = {}
        """The paths of specs that a supervisor has: there, and only there, it starts them again."""

    def __len__(self) -> int:
        return len(self._places)

    def declare(self, slot: Slot) -> Slot:
        """Give a declared child its place: the one that it had before, if it had one.

        So refs stay valid when its supervisor, and not only the child, is started again.
        """
        self._homes[slot.spec] = slot.path
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

    def clear(self, paths: Mapping[object, str]) -> None:
        """Make room for specs that are to be started at these paths.

        Raises:
            ChildStands: A supervisor has one of them somewhere else, stopped perhaps; it would
                start it again there.
        """
        for spec, path in paths.items():
            home = self._homes.get(spec, path)
            if home != path:
                slot = self._places.get(spec)
                state = "deleted" if slot is None else slot.state
                raise ChildStands(home, state, "a spec is the key to one actor; make another one")
        for spec in paths:
            self._places.pop(spec, None)

    def release(self, specs: Iterable[object]) -> None:
        """Let specs be started at another place, for no supervisor has them any more."""
        for spec in specs:
            self._homes.pop(spec, None)

    def forget(self, spec: object) -> None:
        """Forget a child that was deleted."""
        self._places.pop(spec, None)
