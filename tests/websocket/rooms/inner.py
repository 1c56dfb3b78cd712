"""Hands on what stands between the handlers and the sockets, to look at it and to break it."""

from typing import Any

from herdwick import Application, Ref
from herdwick.actors import Realtime
from herdwick.runtime.tree import children_of


def realtime(app: Application) -> Realtime:
    """Give what owns the topics of a running application."""
    return app._rooms.realtime  # pyright: ignore[reportPrivateUsage]  # to break it


def at(app: Application, path: str) -> Ref[Any]:
    """Give the address of whatever stands at a path, supervisors too, which have none for users."""
    system = app.system
    slot = system._place(system._root)  # pyright: ignore[reportPrivateUsage]  # to break it
    while slot.path != path:
        slot = next(each for each in children_of(slot) if f"{path}/".startswith(f"{each.path}/"))
    return slot.ref()


def restarts(app: Application, path: str) -> int:
    """Tell how often what stands at a path has been restarted."""
    return next(node.restarts for node in app.system.tree() if node.path == path)
