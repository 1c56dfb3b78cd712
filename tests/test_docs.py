"""The documentation runs: each Python block of README.md and docs/, on both backends.

The blocks of a page are one module, in order; a page that writes a file `# name.py` a second time
begins a new one. Its `test_…` functions are run, and each application that a block calls `app` is
started and stopped. `<!-- no-run: reason -->` before a block leaves it out.
"""

import importlib
import inspect
import re
import shlex
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import cast

import httpx
import pytest
from httpx_ws import aconnect_ws
from httpx_ws.transport import ASGIWebSocketTransport
from starlette.applications import Starlette

from herdwick import Application
from herdwick.server.command import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("README.md"), *sorted((ROOT / "docs").rglob("*.md"))]
OFFERING = ("herdwick", "herdwick.websocket", "herdwick.testing", "herdwick.runtime")

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NO_RUN = re.compile(r"<!-- no-run: \S[^>]* -->\s*\Z")
_FILE = re.compile(r"# (\w+)\.py\n")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Page:
    """A page whose blocks have run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules = [new_module()]
        self.apps: list[Application] = []
        self._files: set[str] = set()
        for line, code in blocks(path.read_text(), "python"):
            self._begin(_FILE.match(code))
            exec(compile("\n" * line + code, name_of(path), "exec"), self.names)  # noqa: S102
            app = self.names.get("app")
            if isinstance(app, Application) and app not in self.apps:
                self.apps.append(app)

    @property
    def names(self) -> dict[str, object]:
        """What the page has defined, in the end."""
        return vars(self.modules[-1])

    @property
    def tests(self) -> list[Callable[[], Awaitable[None]]]:
        """The tests that the page shows."""
        defined = [item for module in self.modules for item in vars(module).items()]
        shown = [value for name, value in defined if name.startswith("test_")]
        return [cast("Callable[[], Awaitable[None]]", each) for each in shown]

    def _begin(self, file: re.Match[str] | None) -> None:
        """Let the page's later files import the one that begins here."""
        if file is None:
            return
        if file[1] in self._files:  # it is replaced, and what imports it follows
            self.modules.append(new_module())
            self._files.clear()
        self._files.add(file[1])
        sys.modules[file[1]] = self.modules[-1]


def new_module() -> ModuleType:
    module = ModuleType(f"documentation_{len(sys.modules)}")
    sys.modules[module.__name__] = module  # msgspec looks annotations up in there
    return module


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Yield each block that runs, with the number of the line before it."""
    for match in _FENCE.finditer(text):
        if match[1] == language and not _NO_RUN.search(text, 0, match.start()):
            yield text.count("\n", 0, match.start(2)), match[2]


@pytest.fixture(params=PAGES, ids=name_of)
def page(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """Run the blocks of a page, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    before = dict(sys.modules)
    try:
        yield Page(cast("Path", request.param))
    finally:
        for name in {*sys.modules} - {*before}:
            if getattr(sys.modules[name], "__spec__", None) is None:
                del sys.modules[name]


async def test_a_page_runs(page: Page) -> None:
    for app in page.apps:
        async with app.running():
            assert app.ready

    for test in page.tests:
        assert inspect.iscoroutinefunction(test), f"{test.__name__} must be async"
        await test()

    if (drive := DRIVERS.get(name_of(page.path))) is not None:
        await drive(page)


DRIVERS: dict[str, Callable[[Page], Awaitable[None]]] = {}
