"""The fixtures, under anyio's plugin on both backends and under pytest-trio."""

import subprocess
import sys
from importlib import import_module
from types import ModuleType

import anyio.pytest_plugin
import pytest

import pytest_herdwick
from herdwick.testing import VIRTUAL_BACKENDS

ANYIO = anyio.pytest_plugin
TRIO = import_module("pytest_trio.plugin")  # it has no types

pytest_plugins = ["pytester"]

ACTORS = """
import anyio
import pytest

from herdwick import Actor, Ask, Message, on
from herdwick.testing import settle


class Add(Message):
    n: int = 1


class Get(Ask[int]):
    pass


class Break(Message):
    pass


class Counter(Actor[Add | Get | Break]):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @on(Add)
    async def add(self, message: Add) -> None:
        self.value += message.n

    @on(Get)
    async def get(self, message: Get) -> int:
        return self.value

    @on(Break)
    async def break_down(self, message: Break) -> None:
        raise ValueError("behind your back")
"""

CONFTEST = """
import pytest


@pytest.fixture
def anyio_backend(virtual_backend):
    return virtual_backend
"""

TESTS = """
from actors import *


@pytest.fixture
async def counter(harness):
    return await harness.spawn(Counter, start=10)


{marks}
async def test_it_counts(counter{more}):
    counter.tell(Add(2))
    await anyio.sleep(3600)
    assert await counter.ask(Get()) == 12
"""

FAILURES = """
from actors import *


{marks}
async def test_it_breaks(harness{more}):
    counter = await harness.spawn(Counter)
    counter.tell(Break())
    await settle()


{marks}
async def test_it_leaks(harness{more}):
    harness.system.timers.call_later(60, print)


{marks}
async def test_it_does_not_start_again(harness{more}):
    class Once(Actor[Break]):
        starts = 0

        async def on_start(self):
            Once.starts += 1
            if Once.starts > 1:
                raise OSError("once is enough")

        @on(Break)
        async def break_down(self, message):
            raise ValueError("behind your back")

    once = await harness.spawn(Once)
    once.tell(Break())
    await settle()
    assert once.tell(Break()) is False


{marks}
async def test_it_is_well(harness{more}):
    await harness.spawn(Counter)
"""

UNDER_ANYIO = {"marks": "@pytest.mark.anyio", "more": ""}
UNDER_TRIO = {"marks": "@pytest.mark.trio", "more": ", autojump_clock"}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of somebody else's, with its actors and no other plugins than those it names."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(actors=ACTORS)
    pytester.makeini("[pytest]\nfilterwarnings = error\npythonpath = .\n")
    return pytester


def run(project: pytest.Pytester, *plugins: ModuleType) -> pytest.RunResult:
    return project.runpytest_inprocess("-v", plugins=[pytest_herdwick, *plugins])


def test_the_fixtures_serve_anyios_plugin_on_both_backends(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST)
    project.makepyfile(TESTS.format(**UNDER_ANYIO))

    result = run(project, ANYIO)

    result.assert_outcomes(passed=len(VIRTUAL_BACKENDS))
    result.stdout.fnmatch_lines([f"*test_it_counts?{name}? PASSED*" for name in VIRTUAL_BACKENDS])


def test_the_harness_serves_pytest_trio(project: pytest.Pytester) -> None:
    project.makepyfile(TESTS.format(**UNDER_TRIO))

    result = run(project, TRIO)

    result.assert_outcomes(passed=1)


def test_both_plugins_can_be_there_at_once(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST)
    project.makepyfile(test_anyio=TESTS.format(**UNDER_ANYIO), test_trio=TESTS.format(**UNDER_TRIO))

    result = run(project, ANYIO, TRIO)

    result.assert_outcomes(passed=len(VIRTUAL_BACKENDS) + 1)


def test_the_harness_serves_a_real_clock(project: pytest.Pytester) -> None:
    project.makepyfile(TESTS.format(**UNDER_ANYIO).replace("3600", "0.01"))

    result = run(project, ANYIO)

    result.assert_outcomes(passed=2)


def test_what_went_wrong_fails_the_test_under_anyios_plugin(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST)
    project.makepyfile(FAILURES.format(**UNDER_ANYIO))

    result = run(project, ANYIO)

    runs = len(VIRTUAL_BACKENDS)
    result.assert_outcomes(passed=4 * runs, errors=3 * runs)
    shows_what_went_wrong(result)


def test_what_went_wrong_fails_the_test_under_pytest_trio(project: pytest.Pytester) -> None:
    project.makepyfile(FAILURES.format(**UNDER_TRIO))

    result = run(project, TRIO)

    result.assert_outcomes(passed=1, failed=3)
    shows_what_went_wrong(result)


def shows_what_went_wrong(result: pytest.RunResult) -> None:
    result.stdout.fnmatch_lines(
        [
            '*raise ValueError("behind your back")*',
            "*UnexpectedCrash: the test did not ask for these crashes:*",
            "*test/spawned/Counter, incarnation 1: ValueError: behind your back*",
            "*Leaked: the harness has stopped, and this is left:*",
            "*a timer that is to call <built-in function print>*",
            "*test/spawned/Once, incarnation 2: OSError: once is enough*",
        ]
    )


def test_the_plugin_knows_the_backends_without_importing_them() -> None:
    assert tuple(pytest_herdwick.BACKENDS) == VIRTUAL_BACKENDS


def test_pytest_loads_the_plugin_without_herdwick() -> None:
    script = "import sys, pytest_herdwick; print('herdwick' in sys.modules)"

    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert told.stdout == "False\n"
