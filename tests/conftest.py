"""Every `async def` test runs on asyncio, on asyncio with eager tasks (3.12+), and on trio.

`anyio_mode = "auto"` in pyproject.toml runs them without a marker of their own. A test that speaks
of one event loop itself is marked `asyncio_only` or `trio_only`.
"""

import asyncio
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from tests.support.programs import on_ci

Backend: TypeAlias = tuple[str, dict[str, object]]

ASYNCIO: Backend = ("asyncio", {})
TRIO: Backend = ("trio", {})
BACKENDS = [pytest.param(ASYNCIO, id="asyncio"), pytest.param(TRIO, id="trio")]

if sys.version_info >= (3, 12):

    def new_eager_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    EAGER: Backend = ("asyncio", {"loop_factory": new_eager_loop})
    BACKENDS.append(pytest.param(EAGER, id="asyncio-eager"))

# The machine's load decides how long an example takes. CI tries the same examples each time, so
# that a failure there is that of the change; new ones are tried everywhere else.
settings.register_profile("herdwick", deadline=None, derandomize=on_ci(), print_blob=True)
settings.load_profile("herdwick")


@pytest.fixture(scope="module", params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on."""
    backend: Backend = request.param
    return backend


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Herdwick's own frames may not block an asyncio loop: such a call raises `BlockingError`."""
    with blockbuster_ctx("herdwick") as guard:
        yield guard


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Name a test that hangs, a moment before the time limit ends the run without a name."""
    terminal = item.config.get_terminal_writer()
    limit = float(item.config.getini("timeout"))
    timer = threading.Timer(limit - 1, terminal.line, [f"\n{item.nodeid} hangs"])
    timer.start()
    try:
        return (yield)
    finally:
        timer.cancel()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the event loops that a test does not speak of."""
    items[:] = [item for item in items if is_for_its_backend(item)]


def is_for_its_backend(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return True
    backend: object = item.callspec.params.get("anyio_backend")
    if backend in (TRIO, "trio"):
        return item.get_closest_marker("asyncio_only") is None
    return backend is None or item.get_closest_marker("trio_only") is None


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost and the loopback address, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*make, *files], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context
