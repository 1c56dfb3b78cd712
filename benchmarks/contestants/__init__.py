"""Who is measured: counting actors, each written as the users of that runtime write them.

crowd       what a contestant offers
herdwick    supervised, under a `Dynamic`
bare        the floor: a deque and one parked task; no supervision, no bounds, no timeouts
queues      what one writes without a library: asyncio.Queue and TaskGroup, trio's channels
pykka       a thread per actor; where it is installed
"""

from importlib import import_module

from .crowd import ADD, GET, C, Counter, Crowd, OpenCrowd

__all__ = ["ADD", "GET", "C", "Counter", "Crowd", "OpenCrowd", "contestant"]


def contestant(name: str) -> OpenCrowd[Counter]:
    """Give what opens the crowd of one contestant; nothing of the others is imported."""
    opened: OpenCrowd[Counter] = import_module(f"{__name__}.{name}").open_crowd
    return opened
