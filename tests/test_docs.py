"""The documentation runs: each Python block of README.md and docs/, on both backends.

The blocks of a page are one module, in order; a page that writes a file `# name.py` a second time
begins a new one. Its `test_…` functions are run in virtual time, with the fixture `harness` where
they ask for it; so is a module's `main`, and each application that a block calls `app` is started
and stopped. `<!-- no-run: reason -->` before a block leaves it out. The signatures in
docs/reference are marked `py`, and are no programs.
"""

import importlib
import inspect
import re
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import cast

import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, aconnect_ws
from httpx_ws.transport import ASGIWebSocketTransport
from starlette.applications import Starlette

from herdwick import Application
from herdwick.server.command import build_parser
from herdwick.testing import VIRTUAL_BACKENDS, Backend, Harness, virtual_backend
from tools.reference.pages import MARK, make_pages
from tools.reference.source import CannotWrite, check_contents

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("README.md"), *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = ROOT / "docs/reference"
PARTS = sorted(path.parent.name for path in ROOT.glob("herdwick/*/__init__.py"))

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NO_RUN = re.compile(r"<!-- no-run: \S[^>]* -->\s*\Z")
_FILE = re.compile(r"# (\w+)\.py\n")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_OPTION = re.compile(r"^  (--[a-z-]+)", re.MULTILINE)
_SECTION = re.compile(r"^## (herdwick\S*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Page:
    """A page whose blocks have run; `enter` puts a module where `import` finds it."""

    def __init__(self, path: Path, enter: Callable[[str, ModuleType], None]) -> None:
        self.modules: list[ModuleType] = []
        self.apps: list[Application] = []
        self._enter = enter
        self._files: set[str] = set()
        self._begin_module()
        for line, code in blocks(path.read_text(), "python"):
            self._begin_file(_FILE.match(code))
            exec(compile("\n" * line + code, name_of(path), "exec"), self.names)  # noqa: S102
            app = self.names.get("app")
            if isinstance(app, Application) and app not in self.apps:
                self.apps.append(app)

    @property
    def names(self) -> dict[str, object]:
        """What the page has defined by now."""
        return vars(self.modules[-1])

    @property
    def programs(self) -> list[Callable[[], Awaitable[None]]]:
        """The programs that the page ends up with."""
        mains = [vars(module).get("main") for module in self.modules]
        return [main for main in mains if inspect.iscoroutinefunction(main)]

    @property
    def tests(self) -> list[Callable[..., Awaitable[None]]]:
        """The tests that the page shows."""
        defined = [item for module in self.modules for item in vars(module).items()]
        shown = [value for name, value in defined if name.startswith("test_")]
        return [cast("Callable[..., Awaitable[None]]", each) for each in shown]

    def _begin_module(self) -> None:
        module = ModuleType(f"documentation_{len(self.modules)}")
        self._enter(module.__name__, module)  # msgspec looks annotations up in there
        self.modules.append(module)

    def _begin_file(self, file: re.Match[str] | None) -> None:
        """Let the page's later files import the one that begins here."""
        if file is None:
            return
        if file[1] in self._files:  # it is replaced, and what imports it follows
            self._begin_module()
            self._files.clear()
        self._files.add(file[1])
        self._enter(file[1], self.modules[-1])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Yield each block that runs, with the number of the line before it."""
    for match in _FENCE.finditer(text):
        if match[1] == language and not _NO_RUN.search(text[: match.start()]):
            yield text.count("\n", 0, match.start(2)), match[2]


@pytest.fixture(params=PAGES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    """A page of the documentation."""
    return cast("Path", request.param)


@pytest.fixture
def page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """A page whose blocks have run, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    return Page(path, lambda name, module: monkeypatch.setitem(sys.modules, name, module))


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest, path: Path) -> Backend:
    """The event loop that a page runs on; its clock jumps, but not ahead of threads and sockets."""
    text = path.read_text()
    patience = 0.0 if "Harness" in text else 2.0 if "serve(" in text else 0.1
    return virtual_backend(request.param, patience=patience)


async def test_a_page_runs(page: Page, path: Path) -> None:
    for app in page.apps:
        async with app.running():
            assert app.ready

    for program in page.programs:
        await program()

    for test in page.tests:
        assert inspect.iscoroutinefunction(test), f"{test.__name__} must be async"
        await run_test(test)

    if (drive := DRIVERS.get(name_of(path))) is not None:
        await drive(page)


def test_a_page_leads_to_what_there_is(path: Path) -> None:
    text = path.read_text()
    links = [link for link in _LINK.findall(_FENCE.sub("", text)) if "://" not in link]

    missing = [link for link in links if not exists(link, path)]

    assert missing == []


def test_a_page_shows_commands_that_there_are(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for _, code in blocks(path.read_text(), "console") for line in code.splitlines()]
    commands = [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]

    for command in commands:
        if command[0] == "herdwick":
            build_parser().parse_args(command[1:])


@pytest.mark.parametrize("name", ["herdwick", *(f"herdwick.{part}" for part in PARTS)])
def test_the_reference_has_every_public_name(name: str) -> None:
    public = cast("list[str]", importlib.import_module(name).__all__)
    sections = dict(_SECTION.findall((REFERENCE / "README.md").read_text()))

    missing = [each for each in public if f"[`{each}`](" not in sections[name]]

    assert missing == []


def test_the_reference_says_what_the_docstrings_say() -> None:
    made = make_pages(ROOT)

    there = {path.name: path.read_text() for path in REFERENCE.glob("*.md") if is_made(path)}

    names = sorted(made.keys() | there.keys())
    stale = [name for name in names if made.get(name) != there.get(name)]
    assert stale == [], "`make reference` writes them anew"


def test_a_name_without_a_place_in_the_reference_is_told() -> None:
    homes = {"Application": "herdwick", "Event": "herdwick.runtime"}

    with pytest.raises(CannotWrite) as caught:
        check_contents(homes, ["Application", "Gone", "Application"])

    assert str(caught.value).split(": ")[1].split("; ") == [
        "herdwick.runtime.Event stands in no group",
        "there is no public Gone",
        "Application stands in two groups",
    ]


def test_the_reference_has_every_option_of_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["run", "--help"])
    options: list[str] = _OPTION.findall(capsys.readouterr().out)

    text = (REFERENCE / "command.md").read_text()

    assert "--reload" in options
    assert [option for option in options if f"`{option}" not in text] == []


async def run_test(test: Callable[..., Awaitable[None]]) -> None:
    """Run a test of a page, with the fixtures that it asks for."""
    async with AsyncExitStack() as stack:
        names = inspect.signature(test).parameters
        assert set(names) <= {"harness"}, f"{test.__name__} asks for fixtures that are not there"
        await test(**{name: await stack.enter_async_context(Harness()) for name in names})


def is_made(path: Path) -> bool:
    return path.read_text().startswith(MARK)


def exists(link: str, path: Path) -> bool:
    """Tell whether a relative link leads to a file, and to a heading in it."""
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    if not anchor or not target.is_file():
        return target.exists()
    return anchor in map(anchor_of, _HEADING.findall(_FENCE.sub("", target.read_text())))


def anchor_of(heading: str) -> str:
    """Give the anchor that a repository's page makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


async def drive_mounting(page: Page) -> None:
    """Connect to what Starlette hosts, as its server would."""
    host = cast("Starlette", page.names["host"])
    socket: AsyncWebSocketSession
    async with host.router.lifespan_context(host):
        transport = ASGIWebSocketTransport(host)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
            aconnect_ws("http://test/live/hello/ann", client) as socket,
        ):
            await socket.send_text("baa")
            assert await socket.receive_text() == "ann: baa"


DRIVERS = {"docs/how-to/mounting.md": drive_mounting}
"""What drives a page that its own tests do not."""
