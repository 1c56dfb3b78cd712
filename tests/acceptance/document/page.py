"""The owner's document, websockets.md, as programs: its code blocks, run with our names."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from herdwick import Application

DOCUMENT = Path(__file__).parents[1] / "websockets.md"
RENAMED = {
    "from blacksheep.server.websocket import": "from herdwick.websocket import",
    "from blacksheep import": "from herdwick import",
    # There is no such name in any Python's typing.
    "from typing import WeakSet": "from weakref import WeakSet",
}

Namespace: TypeAlias = dict[str, Any]
Printed: TypeAlias = pytest.CaptureFixture[str]
F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Block:
    """One ```python block of the document."""

    chapter: str
    topic: str
    source: str


class Chapter:
    """A chapter of the document, and the tests that cover its blocks."""

    def __init__(self, title: str) -> None:
        self._blocks = {block.topic: block for block in BLOCKS if block.chapter == title}
        self._tests: dict[str, list[Callable[..., object]]] = {}

    @property
    def topics(self) -> list[str]:
        return list(self._blocks)

    @property
    def calling_asyncio(self) -> list[str]:
        """The topics whose code calls asyncio itself, and so cannot run on trio."""
        return [
            one.topic for one in self._blocks.values() if re.search(r"asyncio\.\w+\(", one.source)
        ]

    @property
    def covered(self) -> list[str]:
        """The topics that have a test."""
        return list(self._tests)

    @property
    def left_out(self) -> list[str]:
        """The topics that have no test on trio."""
        return [topic for topic, tests in self._tests.items() if all(map(_asyncio_only, tests))]

    def covers(self, topic: str) -> Callable[[F], F]:
        """Mark a test as one of a topic's."""

        def mark(test: F) -> F:
            self._tests.setdefault(topic, []).append(test)
            return test

        return mark

    def run(self, topic: str, **supplied: object) -> Namespace:
        """Run a topic's block, and give its names.

        `supplied` is what the page leaves undefined. What its first block imports, and `app`,
        hold for all the others, as the page has it.
        """
        namespace: Namespace = {"app": Application(), **supplied}
        for program in (_imports(BLOCKS[0].source), self._blocks[topic].source):
            exec(compile(program, topic, "exec"), namespace)  # noqa: S102 - this is the claim
        return namespace


def all_gone(app: Application) -> Callable[[], bool]:
    """Give the condition that every handler has come to its end."""
    return lambda: app.connections == 0


def read_blocks(markdown: str) -> Iterator[Block]:
    """Yield the ```python blocks, with our names in place of theirs."""
    chapter = topic = ""
    lines = iter(markdown.splitlines())
    for line in lines:
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        elif line.startswith("### "):
            topic = line.removeprefix("### ")
        elif line == "```python":
            code = iter(lines.__next__, "```")
            yield Block(chapter, topic, "\n".join(map(_rename, code)))


def _rename(line: str) -> str:
    for theirs, ours in RENAMED.items():
        if line.startswith(theirs):
            return line.replace(theirs, ours)
    return line


def _imports(source: str) -> str:
    statements = ast.parse(source).body
    kept = [one for one in statements if isinstance(one, ast.Import | ast.ImportFrom)]
    return "\n".join(map(ast.unparse, kept))


def _asyncio_only(test: Callable[..., object]) -> bool:
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    return any(mark.name == "asyncio_only" for mark in marks)


BLOCKS = tuple(read_blocks(DOCUMENT.read_text()))
