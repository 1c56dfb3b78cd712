"""What weighs a process: by object, by the line that allocated, by what the kernel counts."""

import gc
import sys
import sysconfig
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CoroutineType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Final, Protocol, Self, TypeAlias

from ..instruments import Holdings

ROOT: Final = Path(__file__).parents[2]
GRAIN: Final = 16
"""Bytes to which Python's allocator rounds up."""


@dataclass(frozen=True, slots=True)
class Weight:
    """So many pieces of memory, and their bytes."""

    pieces: float = 0
    bytes: float = 0

    def __add__(self, other: Self) -> "Weight":
        return Weight(self.pieces + other.pieces, self.bytes + other.bytes)

    def __sub__(self, other: "Weight") -> "Weight":
        return Weight(self.pieces - other.pieces, self.bytes - other.bytes)

    def each(self, count: int) -> "Weight":
        """Give the share of one of so many."""
        return Weight(self.pieces / count, self.bytes / count)


Weights: TypeAlias = dict[str, Weight]


class Scale(Protocol):
    """Gives what this process holds now, by name. It is started before anything is made."""

    def __call__(self) -> Weights:
        """Weigh."""
        ...


def resident() -> Scale:
    """Weigh what the kernel counts."""
    return lambda: {"resident": Weight(0, Holdings().kib * 1024)}


# ---------------------------------------------------------------- by line


def by_line() -> Scale:
    """Weigh by the line that allocated; C libraries count where they ask Python for memory."""
    tracemalloc.start()

    def weigh() -> Weights:
        gc.collect()
        weights: Weights = {}
        for each in tracemalloc.take_snapshot().statistics("lineno"):
            frame = each.traceback[0]
            if frame.filename not in (__file__, tracemalloc.__file__):
                name = f"{_short(frame.filename)}:{frame.lineno}"
                weights[name] = Weight(each.count, each.size)
        return weights

    return weigh


def _short(file: str) -> str:
    for folder in (ROOT, sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")):
        file = file.removeprefix(f"{folder}/")
    return file


# ---------------------------------------------------------------- by object

NAMED: Final = (CoroutineType, GeneratorType, FunctionType, MethodType, ModuleType, type)
"""Python's own types whose objects bear a name."""

PLAIN: Final = ("builtins", "collections", "functools")
"""Modules of types that say nothing by themselves: the lists, the strings."""


def by_object() -> Scale:
    """Weigh objects by type, and the plain ones by what holds them."""
    return ByObject()


class ByObject:
    """Finds all objects that Python's collector knows, and those that they hold."""

    def __init__(self) -> None:
        self._results: list[Weights] = []

    def __call__(self) -> Weights:
        """Weigh."""
        gc.collect()
        weights: Weights = {}
        things = [thing for thing in gc.get_objects() if type(thing) is not Weight]
        seen = {id(each) for each in (self._results, *self._results, weights, things)}
        seen.add(id(seen))
        # First those that hold, so that each plain one is found where it belongs.
        things.sort(key=_is_plain)
        for thing in things:
            for name, size in _held(thing, seen):
                before = weights.get(name, Weight())
                weights[name] = Weight(before.pieces + 1, before.bytes + size)
        self._results.append(weights)
        return weights


def _held(thing: object, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Give name and size of an object, and of the plain ones that it holds; of each once."""
    holder = "others" if _is_plain(thing) else _name(thing)
    waiting = [thing]
    while waiting:
        found = waiting.pop()
        if id(found) not in seen:
            seen.add(id(found))
            name = f"{type(found).__name__} of {holder}" if _is_plain(found) else holder
            yield name, -(-sys.getsizeof(found) // GRAIN) * GRAIN
            waiting += filter(_is_plain, gc.get_referents(found))


def _is_plain(thing: object) -> bool:
    return type(thing).__module__ in PLAIN and not isinstance(thing, NAMED)


def _name(thing: object) -> str:
    kind = type(thing)
    if issubclass(kind, NAMED):
        return f"{kind.__name__} {getattr(thing, '__qualname__', '')}"
    return kind.__qualname__
