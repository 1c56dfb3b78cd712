"""A handler that raises anything ends its own connection, and touches nothing else."""

import asyncio
from collections.abc import Callable
from logging import ERROR, LogRecord

import anyio
import pytest

from herdwick import Application, WebSocket
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, Refused, closing
from tests.support.raw_client import RawPeer
from tests.support.waiting import until

# Through whole servers, on each of them: run on the main interpreter only.
pytestmark = pytest.mark.heavy

SECRET = "the secret"


class OwnBaseException(BaseException):
    pass


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    fail.__name__ = type(error).__name__
    return fail


def recurse() -> None:
    recurse()


def assert_something_false() -> None:
    assert not SECRET, SECRET


FAILURES = [
    raising(ValueError(SECRET)),
    raising(ExceptionGroup(SECRET, [ValueError(SECRET), OSError(SECRET)])),
    raising(BaseExceptionGroup(SECRET, [SystemExit(SECRET), KeyboardInterrupt(SECRET)])),
    raising(OwnBaseException(SECRET)),
    raising(SystemExit(SECRET)),
    raising(KeyboardInterrupt(SECRET)),
    raising(GeneratorExit(SECRET)),
    raising(StopAsyncIteration(SECRET)),
    raising(TimeoutError(SECRET)),
    raising(ConnectionResetError(SECRET)),
    raising(anyio.BrokenResourceError(SECRET)),
    raising(MemoryError(SECRET)),
    # By hand, without anybody having cancelled; trio's cannot be made by hand.
    raising(asyncio.CancelledError(SECRET)),
    recurse,
    assert_something_false,
]
any_failure = pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)


class Farm:
    """An application with one handler that fails and one that goes on."""

    def __init__(self, fail: Callable[[], None]) -> None:
        self.app = Application()
        self.paths: list[str] = []
        self._fail = fail
        self.app.ws("/fail/{when}")(self.stumble)
        self.app.ws("/echo")(self.echo)

    async def stumble(self, websocket: WebSocket, when: str) -> None:
        self.paths.append(websocket.connection.path)
        if when == "before":
            self._fail()
        await websocket.accept()
        if when == "after":
            self._fail()
        try:
            await websocket.wait_closed()
        finally:
            if when == "at-the-end":
                self._fail()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                self._fail()

    async def echo(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)


async def echoes(peer: Peer) -> bool:
    await peer.send("hello")
    return await peer.receive() == "hello"


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[LogRecord]:
    return [record for record in caplog.records if record.exc_info and record.exc_info[0]]


def check_log(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Check that the log tells of one crash, once, with the actor's place in the tree."""
    errors = [record for record in caplog.records if record.levelno >= ERROR]
    assert errors == tracebacks(caplog)
    assert len(errors) == 1
    assert path.startswith("root/connections/")
    assert errors[0].getMessage().startswith(f"{path} crashed: ")


@any_failure
async def test_a_crash_closes_its_own_connection_with_1011_and_touches_nothing_else(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture, fail: Callable[[], None]
) -> None:
    farm = Farm(fail)

    async with raw.serve(farm.app) as url, raw.connect(f"{url}/echo") as bystander:
        assert await echoes(bystander)
        async with raw.connect(f"{url}/fail/after") as peer:
            closed = await closing(peer)
        await until(lambda: farm.app.connections == 1)
        assert await echoes(bystander)
        async with raw.connect(f"{url}/echo") as newcomer:
            assert await echoes(newcomer)

    assert (closed.code, closed.reason) == (1011, "")
    check_log(caplog, farm.paths[0])


@any_failure
async def test_a_crash_before_accept_refuses_the_handshake_with_500(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture, fail: Callable[[], None]
) -> None:
    farm = Farm(fail)

    async with raw.serve(farm.app) as url, raw.connect(f"{url}/echo") as bystander:
        with pytest.raises(Refused) as refused:
            async with raw.connect(f"{url}/fail/before"):
                pass
        await until(lambda: farm.app.connections == 1)
        assert await echoes(bystander)

    assert (refused.value.status, refused.value.body) == (500, b"")
    check_log(caplog, farm.paths[0])


@any_failure
@pytest.mark.parametrize("when", ["at-the-end", "in-a-task-group-at-the-end"])
async def test_a_crash_after_the_client_has_left_touches_nothing_else(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture, fail: Callable[[], None], when: str
) -> None:
    farm = Farm(fail)

    async with raw.serve(farm.app) as url, raw.connect(f"{url}/echo") as bystander:
        async with raw.connect(f"{url}/fail/{when}") as peer:
            await peer.drop()
        await until(lambda: farm.paths and farm.app.connections == 1)
        assert await echoes(bystander)

    check_log(caplog, farm.paths[0])


async def test_many_crashes_at_once_do_not_use_up_anything(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    farm = Farm(raising(ValueError(SECRET)))
    codes: list[int] = []

    async def visit(url: str) -> None:
        async with raw.connect(f"{url}/fail/after") as peer:
            codes.append((await closing(peer)).code)

    async with raw.serve(farm.app) as url, raw.connect(f"{url}/echo") as bystander:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(visit, url)
        assert await echoes(bystander)
        assert farm.app.ready

    assert codes == [1011] * 50
    assert farm.app.connections == 0
    assert len(tracebacks(caplog)) == 1  # and those of the same kind within 10 s are counted
