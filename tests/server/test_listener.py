"""Binding, accepting, and stopping gracefully, over real sockets and on both event loops."""

import errno
import socket
from contextlib import AsyncExitStack

import anyio
import pytest

from herdwick.server import Listener, PortInUse, listen, serve
from herdwick.server.sockets import Address, accept_forever, base_url, bind
from herdwick.websocket import ASGIReceive, ASGISend, Limits, Scope
from tests.server.apps import Conversation, FakeApp, accept, echo, hello
from tests.server.wire import close, connected, text

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Waiting:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.answer = anyio.Event()

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        self.asked.set()
        await self.answer.wait()
        await hello(scope, receive, send)


# Binding.


async def test_the_url_is_that_of_the_port_which_was_picked() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        assert url.startswith("http://127.0.0.1:")
        assert (await wire.upgrade()).status == 101


async def test_a_port_in_use_says_what_to_do_and_starts_nothing() -> None:
    app = FakeApp()
    async with listen(FakeApp()) as listener:
        port = int(listener.url.rpartition(":")[2])

        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1 is in use") as caught:
            async with serve(app, port=port):
                pass

    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE
    assert app.events == []


async def test_sockets_of_the_caller_are_served_and_closed() -> None:
    sockets = await bind("127.0.0.1", 0)

    async with serve(FakeApp(), sockets=sockets) as url, connected(url) as wire:
        assert url == base_url(sockets[0], secure=False)
        assert (await wire.upgrade()).status == 101

    assert sockets[0].fileno() == -1


async def test_every_address_of_a_host_gets_the_same_port() -> None:
    sockets = await bind("localhost", 0)

    assert len({listening.getsockname()[1] for listening in sockets}) == 1
    for listening in sockets:
        listening.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_ipv6_is_served_too() -> None:
    async with serve(FakeApp(), host="::1") as url, connected(url) as wire:
        assert url.startswith("http://[::1]:")
        assert (await wire.upgrade()).status == 101


class Exhausted(socket.socket):
    """A listening socket whose first accepts fail."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = [OSError(errno.EMFILE, "too many open files"), ConnectionAbortedError()]

    def accept(self) -> tuple[socket.socket, object]:
        if self.errors:
            raise self.errors.pop(0)
        return super().accept()


async def test_running_out_of_descriptors_does_not_end_accepting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    accepted = anyio.Event()
    taken: list[socket.socket] = []

    def take(connection: socket.socket, client: Address | None) -> None:
        taken.append(connection)
        accepted.set()

    with Exhausted() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: accept_forever(listening, take, rest=0))
            client.connect(listening.getsockname())
            await accepted.wait()
            tasks.cancel_scope.cancel()

    taken[0].close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "cannot accept connections" in caplog.text


# Stopping.


async def until_closed(url: str, codes: list[tuple[int, str]]) -> None:
    """Be a client that shakes hands, and answers the server's close."""
    async with connected(url) as wire:
        await wire.upgrade()
        codes.append(await wire.close_frame())
        await wire.send(close(1012))
        assert await wire.rest() == b""


async def test_stopping_tells_every_client_1012_and_then_stops_the_application() -> None:
    app = FakeApp()
    codes: list[tuple[int, str]] = []
    async with anyio.create_task_group() as clients, serve(app) as url:
        for _ in range(3):
            clients.start_soon(until_closed, url, codes)
        await app.connected_times(3)

    assert codes == [(1012, "restarting")] * 3
    assert app.events == ["started", "draining", "stopped"]
    assert [conversation.ends for conversation in app.conversations] == [[(1012, "")]] * 3


async def test_an_idle_connection_ends_at_once() -> None:
    async with AsyncExitStack() as clients:
        async with serve(FakeApp(limits=Limits(head_timeout=3600))) as url:
            wire = await clients.enter_async_context(connected(url))
            await wire.send(GET)
            assert (await wire.answer()).status == 200

        assert await wire.rest() == b""


async def test_a_request_in_flight_is_answered_and_its_connection_closed() -> None:
    app = Waiting()
    async with (
        AsyncExitStack() as clients,
        anyio.create_task_group() as tasks,
        listen(FakeApp(http=app)) as listener,
    ):
        wire = await clients.enter_async_context(connected(listener.url))
        await wire.send(GET)
        await app.asked.wait()
        tasks.start_soon(listener.stop)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="All connection attempts failed"):
            await clients.enter_async_context(connected(listener.url))
        app.answer.set()
        answer = await wire.answer()

        assert answer.headers["connection"] == "close"
        assert answer.body == b"GET "
        assert await wire.rest() == b""


async def test_a_request_that_does_not_end_is_dropped_after_the_grace() -> None:
    app = Waiting()
    async with AsyncExitStack() as clients:
        async with listen(FakeApp(http=app), grace=0.05) as listener:
            wire = await clients.enter_async_context(connected(listener.url))
            await wire.send(GET)
            await app.asked.wait()

        assert await wire.rest() == b""
        assert listener.connections == 0


async def test_a_cancelled_stop_drops_what_is_left() -> None:
    app = Waiting()
    async with AsyncExitStack() as clients, listen(FakeApp(http=app), grace=3600) as listener:
        wire = await clients.enter_async_context(connected(listener.url))
        await wire.send(GET)
        await app.asked.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.stop)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

        assert await wire.rest() == b""


async def test_a_second_stop_drops_what_is_left() -> None:
    app = Waiting()
    async with (
        AsyncExitStack() as clients,
        anyio.create_task_group() as tasks,
        listen(FakeApp(http=app), grace=3600) as listener,
    ):
        wire = await clients.enter_async_context(connected(listener.url))
        await wire.send(GET)
        await app.asked.wait()

        tasks.start_soon(listener.stop)
        await anyio.wait_all_tasks_blocked()
        await listener.stop()

        assert await wire.rest() == b""


async def test_a_cancelled_block_stops_gracefully_too() -> None:
    app = FakeApp()
    codes: list[tuple[int, str]] = []
    async with anyio.create_task_group() as clients:
        with anyio.CancelScope() as block:
            async with serve(app) as url:
                clients.start_soon(until_closed, url, codes)
                await app.connected.wait()
                block.cancel()
                await anyio.sleep_forever()

    assert codes == [(1012, "restarting")]
    assert app.events == ["started", "draining", "stopped"]


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with serve(FakeApp()):
            raise LookupError("mine")


async def test_a_peer_that_never_reads_does_not_hold_up_the_stop() -> None:
    app = FakeApp(limits=Limits(close_timeout=0.05))
    async with AsyncExitStack() as clients:
        async with serve(app) as url:
            wire = await clients.enter_async_context(connected(url))
            await wire.upgrade()
            conversation = await app.conversation()
            for _ in range(64):
                conversation.transport.offer(bytes(1 << 20))

        assert conversation.ends == [(1006, "")]


# One connection's bugs are its own.


def fails_at_messages(conversation: Conversation) -> None:
    def fail(conversation: Conversation, data: object) -> None:
        raise ValueError("a bug")

    conversation.on_message = fail
    accept(conversation)


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
async def test_an_application_that_fails_on_a_handshake_is_500(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(conversation: Conversation) -> None:
        raise error

    async with serve(FakeApp(fail)) as url:
        for _ in range(2):
            async with connected(url) as wire:
                assert (await wire.upgrade()).status == 500

    assert len(caplog.records) == 2


async def test_a_bug_at_a_message_ends_that_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FakeApp(fails_at_messages)
    async with serve(app) as url, connected(url) as sound, connected(url) as broken:
        await broken.upgrade()
        await broken.send(text("boom"))
        assert await broken.rest() == b""

        assert (await sound.upgrade()).status == 101

    assert app.conversations[0].ends == [(1006, "")]
    assert [record.message for record in caplog.records] == [
        "a bug ended one connection; the others go on"
    ]


async def test_many_connections_come_and_go() -> None:
    app = FakeApp(echo)

    async def visit(listener: Listener) -> None:
        async with connected(listener.url) as wire:
            await wire.upgrade()
            await wire.send(text("hello") + close(1000))
            assert await wire.frame() == (1, b"hello")
            assert await wire.close_frame() == (1000, "")
            assert await wire.rest() == b""

    async with listen(app) as listener:
        async with anyio.create_task_group() as visitors:
            for _ in range(100):
                visitors.start_soon(visit, listener)
        await anyio.wait_all_tasks_blocked()

        assert listener.connections == 0
    assert [conversation.ends for conversation in app.conversations] == [[(1000, "")]] * 100
