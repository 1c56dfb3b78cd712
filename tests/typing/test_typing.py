"""Type checkers find each mistake that is made with actors, once, and accept what is right."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.typing import right, right_with_rooms

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MARK = "  # wrong: "

Errors: TypeAlias = dict[int, list[str]]
"""What a type checker says of a file, by line."""


def told_by_pyright(file: Path) -> Iterable[tuple[int, str]]:
    report = run("pyright", "--outputjson", str(file))
    told: list[dict[str, Any]] = json.loads(report)["generalDiagnostics"]
    return [(entry["range"]["start"]["line"] + 1, entry["message"]) for entry in told]


def told_by_mypy(file: Path) -> Iterable[tuple[int, str]]:
    # A cache of its own: the project's may be in use.
    report = run("mypy", "--output=json", f"--cache-dir={file.parent / 'cache'}", str(file))
    told: list[dict[str, Any]] = [json.loads(line) for line in report.splitlines() if line]
    return [(entry["line"], entry["message"]) for entry in told if entry["severity"] == "error"]


def run(checker: str, *arguments: str) -> str:
    """Run a type checker with the project's settings."""
    command = [sys.executable, "-m", checker, *arguments]
    quiet = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typing")


@pytest.fixture(params=[told_by_pyright, told_by_mypy], ids=["pyright", "mypy"])
def check(request: pytest.FixtureRequest, folder: Path) -> Callable[[str], Errors]:
    """Has a type checker look at a file beside this one."""

    def errors(name: str) -> Errors:
        # A copy: the project's settings leave the mistakes out, and pyright leaves out even a file
        # that it is told to check.
        copy = Path(shutil.copy(HERE / name, folder))
        by_line: Errors = defaultdict(list)
        for line, message in request.param(copy):
            by_line[line].append(message)
        return by_line

    return errors


@pytest.mark.parametrize("file", ["mistakes.py", "mistakes_with_rooms.py"])
def test_each_mistake_is_one_error_and_nothing_else_is(
    check: Callable[[str], Errors], file: str
) -> None:
    lines = (HERE / file).read_text().splitlines()

    errors = check(file)

    surprises = [
        f"{number}: {line.strip()}\n{errors[number]}"
        for number, line in enumerate(lines, 1)
        if len(errors[number]) != (MARK in line)
    ]
    assert not surprises, "\n".join(surprises)


@pytest.mark.parametrize("file", ["right.py", "right_with_rooms.py"])
def test_right_uses_are_no_errors(check: Callable[[str], Errors], file: str) -> None:
    errors = check(file)

    assert errors == {}


def test_right_uses_are_no_errors_at_run_time_either() -> None:
    assert right.Look in right.Document.__handlers__
    assert right_with_rooms.Move in right_with_rooms.LoudGame.__member_handlers__
