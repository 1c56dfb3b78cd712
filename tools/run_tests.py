"""Run all that must pass: the tests, on each Python and on the oldest dependencies, and the checks.

The main run, in .venv, shows its progress. The others, what is heavy and the pages in a browser
among them, go on beside it and are told of afterwards; their output is kept in artefacts/tests. The
last line is the sum of all tests.
"""

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

REPORTS = Path("artefacts/tests")
OLDEST = "3.11"
BETWEEN = "3.12"
NEWEST = "3.13"
PLAIN = "not browser and not heavy"
HEAVY = "heavy and not browser"
FIRE = "tests/fire"

ELSEWHERE = {
    "3.13": (
        "acceptance/test_drain.py",
        "acceptance/test_full_inbox.py",
        "acceptance/test_handler_ends.py",
        "acceptance/test_handshake.py",
        "actors",
        "runtime",
        "server",
        "websocket/rooms",
    ),
    "3.12": ("actors", "runtime"),
    "oldest": ("actors", "client", "server", "websocket"),
}
"""Which tests run on other interpreters than the main one, and on the oldest packages:
the event loops differ from one to the next, and what other packages do; the pages do not, and most
of what is accepted goes over the same loop in the same way."""

UNWANTED = {"MAKEFLAGS", "PYTHONDONTWRITEBYTECODE"}
"""What no command sees of the environment: without bytecode that is kept, each of the hundreds of
programs that the tests start would compile all of Herdwick, and each run all of the tests."""

SECONDS_PER_COMMAND = 1800.0

Command = list[str]


@dataclass(frozen=True, slots=True)
class Run:
    """Commands that follow one another until one fails."""

    name: str
    commands: list[Command]
    hindrance: str = ""
    """Why there is nothing to carry out here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `tests` counts them by how they ended, and is empty where none ran."""

    run: Run
    passed: bool
    seconds: float
    tests: Counter[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=4, help="how many runs go on at a time")
    jobs: int = parser.parse_args().jobs

    REPORTS.mkdir(parents=True, exist_ok=True)
    pool = ThreadPoolExecutor(jobs)
    shown = pool.submit(execute, Run("main", [pytest(".venv", "main", "-m", PLAIN)]), shown=True)
    beside = [pool.submit(execute, run) for run in planned()]

    outcomes = [shown.result()]
    print()
    for future in beside:
        tell(future.result())
        outcomes.append(future.result())
    return conclude(outcomes)


def planned() -> list[Run]:
    """List the runs beside the main one."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    pins = REPORTS / "oldest-dependencies.txt"
    pins.write_bytes(subprocess.check_output([sys.executable, "tools/oldest.py"]))
    elsewhere = [
        tests_on(version, name=version) for version in (NEWEST, BETWEEN) if version != this
    ]
    # The longest first: none is to be left over at the end, with one core idle beside it.
    return [
        Run("heavy", [pytest(".venv", "heavy", "-m", HEAVY, "--ignore", FIRE)]),
        *elsewhere[:1],
        Run("pages", [pytest(".venv", "pages", "-m", "browser")]),
        Run("fire", [pytest(".venv", "fire", "-m", HEAVY, FIRE)]),
        Run("checks", [["make", "--no-print-directory", "--keep-going", "lint", "types"]]),
        *elsewhere[1:],
        tests_on(OLDEST, "--constraint", str(pins), name="oldest"),
    ]


def tests_on(version: str, *pip_arguments: str, name: str) -> Run:
    found = subprocess.run(["tools/find-python", version], capture_output=True, text=True)
    if found.returncode:
        return Run(name, [], f"python{version} is neither on PATH nor in pyenv")
    venv = f".venv-{name}"
    # Not compiled: it is but a part of what is installed that is imported, and compiled then.
    group = ["--no-compile", "--editable", ".", "--group", "test"]
    setup = ["tools/environment", venv, found.stdout.strip(), "test", *group, *pip_arguments]
    folders = [f"tests/{part}" for part in ELSEWHERE[name]]
    return Run(name, [setup, pytest(venv, name, "-m", PLAIN, *folders)])


def pytest(venv: str, name: str, *arguments: str) -> Command:
    # Each its own cache: two runs at a time share nothing that they write.
    cache = f"cache_dir=.pytest_cache/{name}"
    report = f"--junit-xml={REPORTS / name}.xml"
    return [f"{venv}/bin/python", "-m", "pytest", "-o", cache, report, *arguments]


def execute(run: Run, *, shown: bool = False) -> Outcome:
    """Carry out a run; its output goes to the terminal if `shown`, else to a file."""
    report = REPORTS / f"{run.name}.xml"
    report.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    started = time.monotonic()
    log = REPORTS / f"{run.name}.txt"
    with nullcontext(sys.stdout) if shown else log.open("w") as output:
        passed = all(
            subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS_PER_COMMAND,
                check=False,
            ).returncode
            == 0
            for command in run.commands
        )
    return Outcome(run, passed, time.monotonic() - started, counted(report))


def counted(report: Path) -> Counter[str]:
    if not report.exists():
        return Counter[str]()
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    keys = ("tests", "failures", "errors", "skipped")
    return Counter({key: sum(int(suite.get(key, 0)) for suite in suites) for key in keys})


def tell(outcome: Outcome) -> None:
    """Print how a run ended in one line, after all that it printed if it failed."""
    if not outcome.passed:
        print((REPORTS / f"{outcome.run.name}.txt").read_text(errors="replace"))
    verdict = sentence(outcome.tests) if outcome.tests else "passed" if outcome.passed else "failed"
    verdict += f" in {outcome.seconds:.0f} s"
    if outcome.run.hindrance:
        verdict = f"not run: {outcome.run.hindrance}"
    print(f"{outcome.run.name:8}{verdict}", flush=True)


def conclude(outcomes: list[Outcome]) -> int:
    unmet = [outcome.run.name for outcome in outcomes if not outcome.passed]
    if unmet:
        print(f"\nnot passed: {', '.join(unmet)}")
    print(sentence(sum((outcome.tests for outcome in outcomes), Counter[str]())), flush=True)
    return 1 if unmet else 0


def sentence(tests: Counter[str]) -> str:
    failed = tests["failures"] + tests["errors"]
    passed = tests["tests"] - failed - tests["skipped"]
    return f"{passed} passed, {failed} failed, {tests['skipped']} skipped"


if __name__ == "__main__":
    sys.exit(main())
