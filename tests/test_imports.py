"""Who may import whom, beyond the layers that import-linter holds (pyproject.toml)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "herdwick"
PARTS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
SOURCES = sorted(PACKAGE.rglob("*.py"))
OPTIONAL = ("httptools", "jwt", "pytest", "pytest_trio", "uvloop", "watchfiles")

# The command line is the one place that reaches into the rim.
EXEMPT = {("herdwick.__main__", "herdwick.server.command")}


def imported(module: str, *, is_package: bool, source: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each module that a source names in its imports, with the names it takes from it."""
    here = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else []
            target = ".".join([*start, *([node.module] if node.module else [])])
            yield target, [alias.name for alias in node.names]


def intrusions(module: str, *, is_package: bool, source: str) -> list[str]:
    """List what a module imports past the door of another part, or through the facade."""
    part = module.split(".")[1] if "." in module else ""
    return [
        f"{target} {names}"
        for target, names in imported(module, is_package=is_package, source=source)
        if (module, target) not in EXEMPT and is_intrusion(part, target.split("."), names)
    ]


def is_intrusion(part: str, target: list[str], names: list[str]) -> bool:
    if target[0] != "herdwick":
        return False
    if len(target) == 1:
        through_the_facade = not names or not set(names) <= set(PARTS)
        return part in PARTS and through_the_facade
    return target[1] != part and (len(target) > 2 or takes_inner_module(target[1], names))


def takes_inner_module(part: str, names: list[str]) -> bool:
    offered: list[str] = list(getattr(import_module(f"herdwick.{part}"), "__all__", []))
    return any(
        find_spec(f"herdwick.{part}.{name}") is not None for name in names if name not in offered
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_another_part_is_imported_by_its_package(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)

    assert intrusions(module, is_package=is_package, source=path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from herdwick.runtime.mailbox import Mailbox",
        "from ..runtime.mailbox import Mailbox",
        "import herdwick.runtime.mailbox",
        "from herdwick.websocket import limits",
        "from herdwick import Application",
        "from .. import Application",
        "import herdwick",
    ],
)
def test_an_import_past_the_door_is_found(source: str) -> None:
    assert intrusions("herdwick.actors.room", is_package=False, source=source)


@pytest.mark.parametrize(
    "source",
    [
        "from herdwick.runtime import Mailbox",
        "from ..runtime import Mailbox",
        "from .. import runtime",
        "from .transport import Transport",
        "from herdwick.actors.transport import Transport",
        "import anyio.abc",
    ],
)
def test_an_import_through_the_door_is_allowed(source: str) -> None:
    assert not intrusions("herdwick.actors.room", is_package=False, source=source)


def test_importing_herdwick_imports_nothing_optional() -> None:
    script = "import sys, herdwick; print(*{name.partition('.')[0] for name in sys.modules})"

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert set(told.stdout.split()).isdisjoint(OPTIONAL)
