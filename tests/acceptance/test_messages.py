"""What becomes of messages, on every server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from herdwick import (
    ConcurrentReceive,
    UnexpectedMessage,
    WebSocket,
    WebSocketDisconnectError,
    WebSocketError,
)
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, closing, receive_json
from tests.support.waiting import until

# Through whole servers, on each of them: run on the main interpreter only.
pytestmark = pytest.mark.heavy


async def test_receive_gives_exactly_one_of_text_and_bytes(stage: Stage[Peer]) -> None:
    events: list[dict[str, Any]] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        events.append(await websocket.receive())
        events.append(await websocket.receive())

    async with stage.visit(handler) as peer:
        await peer.send("")
        await peer.send(b"\x00")
        await closing(peer)

    assert events == [
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b"\x00"},
    ]


async def test_a_large_message_travels_both_ways(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.send_bytes(await websocket.receive_bytes())

    async with stage.visit(handler) as peer:
        await peer.send("ü" * 100_000)
        assert await peer.receive() == "ü" * 100_000
        await peer.send(b"\xff" * 200_000)
        assert await peer.receive() == b"\xff" * 200_000


# ---------------------------------------------------------------------- wrong kind


@pytest.mark.parametrize("wrong", ["text", b"bytes"])
async def test_a_message_of_the_wrong_kind_raises_and_the_connection_survives(
    stage: Stage[Peer], wrong: str | bytes
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        receive = websocket.receive_bytes if isinstance(wrong, str) else websocket.receive_text
        with pytest.raises(UnexpectedMessage) as caught:
            await receive()
        assert isinstance(caught.value, WebSocketError)
        await websocket.send_text(str(caught.value))

    async with stage.visit(handler) as peer:
        await peer.send(wrong)
        expected, received = ("binary", "text") if isinstance(wrong, str) else ("text", "binary")
        assert (
            await peer.receive() == f"expected a {expected} message and received a {received} one"
        )
        assert (await closing(peer)).code == 1000


@pytest.mark.parametrize("wrong", ["text", b"bytes"])
async def test_a_message_of_the_wrong_kind_unhandled_closes_with_1003(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture, wrong: str | bytes
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await (websocket.receive_bytes() if isinstance(wrong, str) else websocket.receive_text())

    async with stage.visit(handler) as peer:
        await peer.send(wrong)
        closed = await closing(peer)

    assert closed.code == 1003
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_message_that_is_no_json_is_a_value_error_and_unhandled_closes_with_1007(
    stage: Stage[Peer],
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(ValueError, match="does not decode"):
            await websocket.receive_json()
        await websocket.receive_json()

    async with stage.visit(handler) as peer:
        await peer.send("{")
        await peer.send("{")
        closed = await closing(peer)

    assert closed.code == 1007


# ---------------------------------------------------------------------- iteration


def whole(websocket: WebSocket) -> AsyncIterator[object]:
    return aiter(websocket)


def text(websocket: WebSocket) -> AsyncIterator[object]:
    return websocket.iter_text()


def json(websocket: WebSocket) -> AsyncIterator[object]:
    return websocket.iter_json()


@pytest.mark.parametrize(
    ("iterate", "expected"), [(whole, ["1", "2"]), (text, ["1", "2"]), (json, [1, 2])]
)
async def test_iteration_ends_at_the_disconnect_without_an_error(
    stage: Stage[Peer],
    iterate: Callable[[WebSocket], AsyncIterator[object]],
    expected: list[object],
) -> None:
    received: list[object] = []
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in iterate(websocket):
            received.append(message)
        ended.set()

    async with stage.visit(handler) as peer:
        await peer.send("1")
        await peer.send("2")
        await peer.close()
        await ended.wait()

    assert received == expected


async def test_iteration_over_bytes_ends_at_the_disconnect_without_an_error(
    stage: Stage[Peer],
) -> None:
    received: list[bytes] = []
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        received.extend([message async for message in websocket.iter_bytes()])
        ended.set()

    async with stage.visit(handler) as peer:
        await peer.send(b"\x01")
        await peer.close()
        await ended.wait()

    assert received == [b"\x01"]


# ---------------------------------------------------------------------- one receiver


async def test_cancelling_receive_loses_no_message(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(3):
            with anyio.move_on_after(0):
                await websocket.receive_text()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(websocket.receive_text)
            await until(lambda: websocket.connection.receiving)
            await websocket.send_text("ready")
            tasks.cancel_scope.cancel()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    async with stage.visit(handler) as peer:
        assert await peer.receive() == "ready"
        await peer.send("first")
        await peer.send("second")
        assert [await peer.receive(), await peer.receive()] == ["first", "second"]


async def test_a_receive_with_an_expired_deadline_loses_no_message_that_has_come(
    stage: Stage[Peer],
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        received: list[str] = []
        while len(received) < 50:
            with anyio.CancelScope() as scope:
                scope.cancel()
                received.append(await websocket.receive_text())
            await anyio.lowlevel.checkpoint()
        await websocket.send_json(received)

    async with stage.visit(handler) as peer:
        await peer.send("start")
        for number in range(50):
            await peer.send(str(number))
        assert await receive_json(peer) == [str(number) for number in range(50)]


async def second_by_receive(websocket: WebSocket) -> None:
    await websocket.receive()


async def second_by_iteration(websocket: WebSocket) -> None:
    async for _ in websocket:
        pass


async def second_by_wait_closed(websocket: WebSocket) -> None:
    await websocket.wait_closed()


SECONDS = [second_by_receive, second_by_iteration, second_by_wait_closed]


@pytest.mark.parametrize("first", ["receive_text", "wait_closed"])
@pytest.mark.parametrize("second", SECONDS)
async def test_a_second_concurrent_receive_is_refused_and_the_first_goes_on(
    stage: Stage[Peer], first: str, second: Callable[[WebSocket], Awaitable[None]]
) -> None:
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(getattr(websocket, first))
            await until(lambda: websocket.connection.receiving)
            with pytest.raises(ConcurrentReceive, match="another task is receiving"):
                await second(websocket)
            await websocket.send_text("refused")
        ended.set()

    async with stage.visit(handler) as peer:
        assert await peer.receive() == "refused"
        await peer.send("hello")
        await peer.close()
        await ended.wait()


# ---------------------------------------------------------------------- before the end


async def test_messages_before_the_close_are_delivered_and_then_the_disconnect(
    stage: Stage[Peer],
) -> None:
    received: list[object] = []
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await until(lambda: websocket.closed)
        try:
            while True:
                received.append(await websocket.receive_text())
        except WebSocketDisconnectError as error:
            received.append(error.code)
        ended.set()

    async with stage.visit(handler) as peer:
        for number in range(10):
            await peer.send(str(number))
        await peer.close(4001)
        await ended.wait()

    code = 4001 if stage.server.tells_codes else 1006
    assert received == [*map(str, range(10)), code]


async def test_messages_before_our_own_close_are_delivered(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(100):
            await websocket.send_text(str(number))
        await websocket.close(4002, "all said")

    async with stage.visit(handler) as peer:
        received = [await peer.receive() for _ in range(100)]
        closed = await closing(peer)

    assert received == [str(number) for number in range(100)]
    assert (closed.code, closed.reason) == (4002, "all said")


# ---------------------------------------------------------------------- turns


async def test_a_send_takes_effect_before_its_first_suspension(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with anyio.CancelScope() as scope:
            scope.cancel()
            for number in range(64):
                await websocket.send_text(str(number))
        await websocket.wait_closed()

    async with stage.visit(handler) as peer:
        assert [await peer.receive() for _ in range(64)] == [str(number) for number in range(64)]


async def test_every_64th_send_lets_the_others_run(stage: Stage[Peer]) -> None:
    sent: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with anyio.CancelScope() as scope:
            scope.cancel()
            for number in range(1000):
                sent.append(number)
                await websocket.send_text("x")

    async with stage.visit(handler) as peer:
        await closing(peer)

    assert len(sent) <= 64
