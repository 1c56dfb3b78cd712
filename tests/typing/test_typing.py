"""Type checkers find each mistake that is made with actors, once, and accept what is right."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.typing import right, right_with_rooms

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MARK = "  # wrong: "

RIGHT = ["right.py", "right_with_rooms.py"]
WRONG = ["mistakes.py", "mistakes_with_rooms.py"]

Errors: TypeAlias = dict[int, list[str]]
"""What a type checker says of a file, by line."""
Told: TypeAlias = Iterator[tuple[Path, int, str]]


def told_by_pyright(files: list[Path]) -> Told:
    report = run("pyright", "--outputjson", *map(str, files))
    for entry in json.loads(report)["generalDiagnostics"]:
        yield Path(entry["file"]), entry["range"]["start"]["line"] + 1, entry["message"]


def told_by_mypy(files: list[Path]) -> Told:
    # A cache of its own: the project's may be in use.
    cache = files[0].parent / "cache"
    report = run("mypy", "--output=json", f"--cache-dir={cache}", *map(str, files))
    for entry in map(json.loads, filter(None, report.splitlines())):
        if entry["severity"] == "error":
            yield ROOT / entry["file"], entry["line"], entry["message"]


def run(checker: str, *arguments: str) -> str:
    """Run a type checker with the project's settings."""
    command = [sys.executable, "-m", checker, *arguments]
    quiet = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=[told_by_pyright, told_by_mypy], ids=["pyright", "mypy"])
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Errors]:
    """Let a type checker look at all files, and give what it says of each."""
    # Copies: the project's settings leave the mistakes out, and pyright leaves out even a file that
    # it is told to check. All at once: most of a checker's time goes into what they import.
    folder = tmp_path_factory.mktemp("typing")
    copies = [Path(shutil.copy(HERE / name, folder)) for name in (*RIGHT, *WRONG)]
    found: dict[str, Errors] = {copy.name: defaultdict(list) for copy in copies}
    for file, line, message in request.param(copies):
        found[file.name][line].append(message)
    return found


@pytest.mark.parametrize("file", WRONG)
def test_each_mistake_is_one_error_and_nothing_else_is(found: dict[str, Errors], file: str) -> None:
    lines = (HERE / file).read_text().splitlines()
    errors = found[file]

    surprises = [
        f"{number}: {line.strip()}\n{errors[number]}"
        for number, line in enumerate(lines, 1)
        if len(errors[number]) != (MARK in line)
    ]
    assert not surprises, "\n".join(surprises)


@pytest.mark.parametrize("file", RIGHT)
def test_right_uses_are_no_errors(found: dict[str, Errors], file: str) -> None:
    assert found[file] == {}


def test_right_uses_are_no_errors_at_run_time_either() -> None:
    assert right.Look in right.Document.__handlers__
    assert right_with_rooms.Move in right_with_rooms.LoudGame.__member_handlers__
