"""A server that has no descriptor left for those who come: they wait, and nobody is dropped."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from anyio.abc import SocketStream
from trio.lowlevel import in_trio_run

from herdwick import Application, WebSocket
from tests.acceptance.stage import Stage
from tests.server.wire import Wire, text, upgrade
from tests.support.raw_client import RawPeer
from tests.support.servers import run_server
from tests.support.waiting import until

if sys.platform != "win32":
    import resource

COMERS = 20


@contextmanager
def no_descriptor_left() -> Generator[None]:
    """Let this process open nothing."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def told(caplog: pytest.LogCaptureFixture) -> Generator[Callable[[], int]]:
    """Count how often it is told: by our log, or to the handler of asyncio's loop."""
    contexts: list[object] = []
    loop = None if in_trio_run() else asyncio.get_running_loop()
    if loop is None:
        yield lambda: len(caplog.records)
        return
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: contexts.append(context["message"]))
    try:
        yield lambda: len(contexts) + len(caplog.records)
    finally:
        loop.set_exception_handler(before)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
async def test_who_comes_when_there_is_no_descriptor_left_is_taken_when_there_is_one(
    ours: Stage[RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()

    @app.ws("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    with told(caplog) as times:
        async with ours.serve(app) as url, ours.connect(url) as bystander:
            address = urlsplit(url)
            with ExitStack() as stack:
                comers = [stack.enter_context(socket.socket()) for _ in range(COMERS)]
                with no_descriptor_left():
                    for comer in comers:
                        comer.connect((address.hostname, address.port))
                        comer.sendall(upgrade())
                    await until(times)
                    await bystander.send("still there?")
                    assert await bystander.receive() == "still there?"
                    assert app.connections == 1
                for comer in comers:
                    async with await SocketStream.from_socket(comer) as stream:
                        wire = Wire(stream)
                        assert (await wire.answer()).status == 101
                        await wire.send(text("hello"))
                        assert await wire.frame() == (1, b"hello")

    assert times() < COMERS  # it pauses, and does not fail for each of them


@pytest.mark.asyncio_only
@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
async def test_asyncio_tells_it_as_we_do_and_other_errors_as_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    async with run_server(Application()) as url:
        address = urlsplit(url)
        with socket.socket() as comer, no_descriptor_left():
            comer.connect((address.hostname, address.port))
            await until(lambda: caplog.records)
        loop.call_exception_handler({"message": "something else"})

    first, *rest = caplog.records
    assert (first.name, vars(first)["kind"]) == ("herdwick.server", "accept_failed")
    assert first.exc_info is None
    assert [each.getMessage() for each in rest if each.name == "asyncio"] == ["something else"]
    assert loop.get_exception_handler() is before
