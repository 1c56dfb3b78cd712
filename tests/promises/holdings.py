"""What a server's process holds, for those who compare: it is to hold as much as before."""

import asyncio
import ctypes
import gc
import os
import threading
from collections import Counter
from contextlib import suppress
from typing import Final, cast

import msgspec
import trio

from herdwick import Application
from herdwick.actors import Connection, Member, Topic
from herdwick.runtime import Slot
from herdwick.server.carrier import Carrier
from herdwick.server.ticker import Ticking, Wheel
from herdwick.websocket import Request, WebSocket

KINDS: Final = (Carrier, Connection, Member, Request, Slot, Topic, WebSocket)
"""Objects of ours that must not outlive their connection, their room, their place."""


class Holdings(msgspec.Struct, frozen=True):
    """What one process holds at one moment."""

    tasks: int
    """Of the event loop."""
    descriptors: int
    threads: int
    timers: int
    """Calls and deadlines that are to come."""
    objects: dict[str, int]
    """By the name of their class, those that are ours."""
    connections: int
    mib: float
    """Resident memory: what may grow a little."""

    @property
    def exact(self) -> tuple[object, ...]:
        """All that must be as it was."""
        return self.tasks, self.descriptors, self.threads, self.timers, self.objects


def hold(app: Application) -> Holdings:
    """Look what this process holds now."""
    gc.collect()
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)  # what was needed once is not held
    found = gc.get_objects()
    objects = Counter(kind.__name__ for each in found for kind in KINDS if isinstance(each, kind))
    wheels = [cast("Wheel[Ticking]", each) for each in found if isinstance(each, Wheel)]
    return Holdings(
        tasks=_living_tasks(),
        descriptors=len(os.listdir("/dev/fd")),
        threads=threading.active_count(),
        timers=len(app.system.timers.calls) + sum(map(len, wheels)),
        objects={kind.__name__: objects[kind.__name__] for kind in KINDS},
        connections=app.connections,
        mib=_resident_mib(),
    )


def _living_tasks() -> int:
    if trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def _resident_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2
