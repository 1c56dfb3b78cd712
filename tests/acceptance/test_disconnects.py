"""How a handler learns that its client is gone, on every server."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from logging import WARNING
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from herdwick import (
    Application,
    Limits,
    WebSocket,
    WebSocketDisconnectError,
    WebSocketState,
)
from tests.acceptance.stage import PATIENCE, Stage
from tests.support.clients import Peer, closing
from tests.support.raw_client import RawPeer, raw_client
from tests.support.servers import OWN, RUN, Server
from tests.support.waiting import settled, until

# Through whole servers, on each of them: run on the main interpreter only.
pytestmark = pytest.mark.heavy


@dataclass(frozen=True, slots=True)
class Departure:
    """A way to leave, and how the handler is told."""

    name: str
    leave: Callable[[RawPeer], Awaitable[None]]
    code: int
    reason: str = ""

    def told(self, server: Server) -> set[tuple[int, str]]:
        """What the server may tell."""
        if self.code == 1006:
            return {(1006, "")} if server.tells_losses else {(1005, ""), (1006, "")}
        return {(self.code, self.reason)} if server.tells_codes else {(1006, "")}


async def close(peer: RawPeer) -> None:
    await peer.close(4001, "off to the hill")


async def close_without_a_code(peer: RawPeer) -> None:
    await peer.stream.send(b"\x88\x80\x00\x00\x00\x00")


async def leave(peer: RawPeer) -> None:
    await peer.leave()


async def drop(peer: RawPeer) -> None:
    await peer.drop()


DEPARTURES = [
    Departure("closes", close, 4001, "off to the hill"),
    Departure("closes-without-a-code", close_without_a_code, 1005),
    Departure("leaves", leave, 1006),
    Departure("is-lost", drop, 1006),
]
every_departure = pytest.mark.parametrize("departure", DEPARTURES, ids=lambda one: one.name)


@every_departure
async def test_the_state_is_disconnected_even_if_nobody_receives(
    raw: Stage[RawPeer], departure: Departure
) -> None:
    states: list[WebSocketState] = []
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        states.append(websocket.state)
        await until(lambda: websocket.closed)
        states.append(websocket.state)
        ended.set()

    async with raw.visit(handler) as peer:
        await departure.leave(peer)
        await ended.wait()

    assert states == [WebSocketState.CONNECTED, WebSocketState.DISCONNECTED]


async def receive(websocket: WebSocket) -> None:
    await websocket.receive()


async def receive_text(websocket: WebSocket) -> None:
    await websocket.receive_text()


async def receive_bytes(websocket: WebSocket) -> None:
    await websocket.receive_bytes()


async def receive_json(websocket: WebSocket) -> None:
    await websocket.receive_json()


async def send_text(websocket: WebSocket) -> None:
    await websocket.send_text("too late")


async def send_bytes(websocket: WebSocket) -> None:
    await websocket.send_bytes(b"too late")


async def send_json(websocket: WebSocket) -> None:
    await websocket.send_json("too late")


USES = [receive, receive_text, receive_bytes, receive_json, send_text, send_bytes, send_json]


@every_departure
async def test_receive_and_send_tell_code_and_reason_after_a_disconnect_every_time(
    raw: Stage[RawPeer], departure: Departure
) -> None:
    told: list[tuple[int, str]] = []
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for use in [receive, *USES, *USES]:
            with pytest.raises(WebSocketDisconnectError) as caught:
                await use(websocket)
            told.append((caught.value.code, caught.value.reason))
        ended.set()

    async with raw.visit(handler) as peer:
        await departure.leave(peer)
        await ended.wait()

    assert len(told) == 15
    assert len(set(told)) == 1
    assert set(told) <= departure.told(raw.server)


@every_departure
async def test_a_handler_that_only_sends_is_told_that_its_client_is_gone(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture, departure: Departure
) -> None:
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("tick")
        except WebSocketDisconnectError:
            ended.set()
            raise

    async with raw.visit(handler) as peer:
        assert await peer.receive() == "tick"
        await departure.leave(peer)
        await ended.wait()

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_after_our_own_close_the_state_is_disconnected_and_use_is_refused(
    stage: Stage[Peer],
) -> None:
    told: list[tuple[int, str]] = []
    states: list[WebSocketState] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000, "enough")
        states.append(websocket.state)
        for use in USES:
            with pytest.raises(WebSocketDisconnectError) as caught:
                await use(websocket)
            told.append((caught.value.code, caught.value.reason))

    async with stage.visit(handler) as peer:
        closed = await closing(peer)
        await until(lambda: len(told) == len(USES))

    assert (closed.code, closed.reason) == (4000, "enough")
    assert states == [WebSocketState.DISCONNECTED]
    assert set(told) == {(4000, "enough")}


async def test_a_second_close_does_nothing(stage: Stage[Peer]) -> None:
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000)
        await websocket.close(4001)
        ended.set()

    async with stage.visit(handler) as peer:
        assert (await closing(peer)).code == 4000
        await ended.wait()


async def test_a_close_after_the_client_has_left_does_nothing(stage: Stage[Peer]) -> None:
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()
        await websocket.close(4000)
        ended.set()

    async with stage.visit(handler) as peer:
        await peer.close()
        await ended.wait()


async def test_a_client_that_does_not_read_is_given_up(raw: Stage[RawPeer]) -> None:
    told: list[int] = []
    limits = Limits(outbox_bytes=1000, send_timeout=0.05, close_timeout=0.05)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(bytes(100_000))
        except WebSocketDisconnectError as error:
            told.append(error.code)

    async with raw.visit(handler, limits=limits):
        await until(lambda: told)

    assert told == [1013]


async def check_that_a_waiting_sender_is_told(
    stage: Stage[RawPeer], leave: Callable[[RawPeer], Awaitable[None]]
) -> None:
    sent: list[int] = []
    told: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(bytes(100_000))
                sent.append(1)
        except WebSocketDisconnectError as error:
            told.append(error.code)

    limits = Limits(outbox_bytes=1000, send_timeout=1000, close_timeout=0.05)
    async with stage.visit(handler, limits=limits) as peer:
        await until(lambda: sent)
        await settled(lambda: len(sent))
        await leave(peer)
        await until(lambda: told)


# The foreign servers do not see a close frame behind which nobody reads.
@pytest.mark.parametrize("vanish", [leave, drop])
async def test_a_sender_that_waits_for_a_slow_client_is_told_when_it_has_vanished(
    raw: Stage[RawPeer], vanish: Callable[[RawPeer], Awaitable[None]]
) -> None:
    await check_that_a_waiting_sender_is_told(raw, vanish)


@every_departure
async def test_a_sender_that_waits_for_a_slow_client_is_told_when_it_leaves(
    departure: Departure,
) -> None:
    await check_that_a_waiting_sender_is_told(Stage(OWN, raw_client), departure.leave)


async def test_a_client_that_breaks_a_limit_is_told_and_so_is_its_handler() -> None:
    told: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for use in [receive_text, send_text, receive_text]:
            with pytest.raises(WebSocketDisconnectError) as caught:
                await use(websocket)
            told.append(caught.value.code)

    async with Stage(OWN, raw_client).visit(handler, limits=Limits(message_bytes=1000)) as peer:
        await peer.send("x" * 1001)
        assert (await closing(peer)).code == 1009
        await until(lambda: len(told) == 3)

    assert told == [1009, 1009, 1009]


# ---------------------------------------------------------------------- a normal end


async def plainly(websocket: WebSocket) -> None:
    await websocket.receive()


async def in_a_task_group(websocket: WebSocket) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(websocket.receive_text)
        tasks.start_soon(anyio.sleep_forever)


@pytest.mark.parametrize("receive_on", [plainly, in_a_task_group])
@every_departure
async def test_letting_the_disconnect_through_is_a_normal_end(
    raw: Stage[RawPeer],
    caplog: pytest.LogCaptureFixture,
    departure: Departure,
    receive_on: Callable[[WebSocket], Awaitable[None]],
) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await receive_on(websocket)

    async with raw.serve(app) as url, raw.connect(url) as peer:
        await departure.leave(peer)
        await until(lambda: app.connections == 0)

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("attempts", [1, 1000])
async def test_before_a_send_tells_the_disconnect_the_others_run(
    stage: Stage[Peer], attempts: int
) -> None:
    cancelled: list[bool] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()
        with anyio.CancelScope() as scope:
            scope.cancel()
            for _ in range(attempts):
                with pytest.raises(WebSocketDisconnectError):
                    await websocket.send_text("into the void")
        cancelled.append(scope.cancelled_caught)

    async with stage.visit(handler) as peer:
        await peer.close()
        await until(lambda: cancelled)

    assert cancelled == [True]


# ---------------------------------------------------------------------- waiting for something else


@every_departure
async def test_wait_closed_discards_what_comes_and_returns_when_the_client_is_gone(
    raw: Stage[RawPeer], departure: Departure
) -> None:
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()
        assert websocket.closed
        ended.set()

    async with raw.visit(handler, limits=Limits(inbox_messages=4)) as peer:
        for number in range(20):
            await peer.send(str(number))
        await departure.leave(peer)
        await ended.wait()


@every_departure
async def test_cancel_on_disconnect_cancels_a_handler_that_waits_for_something_else(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture, departure: Departure
) -> None:
    app = Application()
    cancelled = anyio.Event()

    @app.ws("/", cancel_on_disconnect=True)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.set()
            raise

    async with raw.serve(app) as url:
        async with raw.connect(url) as peer:
            await departure.leave(peer)
            await cancelled.wait()
        await until(lambda: app.connections == 0)

    assert [record for record in caplog.records if record.levelno >= WARNING] == []


async def test_without_cancel_on_disconnect_the_handler_comes_to_its_own_end(
    stage: Stage[Peer],
) -> None:
    gone, may_end, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await until(lambda: websocket.closed)
        gone.set()
        await may_end.wait()
        ended.set()

    async with stage.visit(handler) as peer:
        await peer.close()
        await gone.wait()
        may_end.set()
        await ended.wait()


SERVERS: list[Any] = [
    pytest.param(OWN, id="own"),
    pytest.param(RUN, id="uvicorn", marks=pytest.mark.asyncio_only),
]


@pytest.mark.parametrize("server", SERVERS)
async def test_who_has_said_all_still_reads_what_he_was_sent(server: Server) -> None:
    app = Application()

    @app.ws("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    async with server.serve(app) as url:
        peer = await anyio.to_thread.run_sync(ask_and_fall_silent, url)
        with peer:
            await until(lambda: app.connections == 0)
            await settled(lambda: app.connections)

            assert await anyio.to_thread.run_sync(peer.recv, 100) == b"\x81\x03baa"
            assert await anyio.to_thread.run_sync(peer.recv, 100) == b""


def ask_and_fall_silent(url: str) -> socket.socket:
    """Ask for an echo, and end our half of the connection when it is here, unread."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    peer = socket.create_connection((place.hostname, place.port), timeout=PATIENCE)
    fields = "Host: fell\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    fields += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    peer.sendall(f"GET / HTTP/1.1\r\n{fields}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(1)
    peer.sendall(b"\x81\x83\x00\x00\x00\x00baa")
    peer.recv(1, socket.MSG_PEEK)
    peer.shutdown(socket.SHUT_WR)
    return peer
