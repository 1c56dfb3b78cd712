"""What happens to a client whose messages nobody reads."""

from typing import Any

import anyio
import pytest

from herdwick import Application, Limits, WebSocket, WebSocketDisconnectError, WebSocketState
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, closing
from tests.support.raw_client import RawPeer, raw_client
from tests.support.servers import HYPERCORN, OWN, RUN, UVICORN
from tests.support.waiting import turns, until

own = Stage(OWN, raw_client)
EVERYWHERE = pytest.mark.parametrize(
    "raw_stage",
    [
        pytest.param(own, id="own"),
        pytest.param(Stage(RUN, raw_client), id="run", marks=pytest.mark.asyncio_only),
        pytest.param(Stage(UVICORN, raw_client), id="uvicorn", marks=pytest.mark.asyncio_only),
        pytest.param(Stage(HYPERCORN, raw_client), id="hypercorn"),
    ],
)
TOO_MANY = pytest.mark.parametrize(
    ("limits", "messages"),
    [
        pytest.param({"inbox_messages": 4}, ["x"] * 5, id="messages"),
        pytest.param({"inbox_bytes": 4000}, ["x" * 2500] * 3, id="bytes"),
    ],
)


async def send_until_blocked(peer: RawPeer, message: bytes) -> int:
    """Send a message again and again, until the server has not taken a byte for 1000 turns.

    Returns the number of those that were sent; the last one may be torn.
    """
    sent, frame, idle = 0, peer.frame(message), 0
    with peer.socket.dup() as bare:
        while idle < 1000:
            try:
                frame = frame[bare.send(frame) :]
                idle = 0
            except BlockingIOError:
                idle += 1
                await turns(1)
            if not frame:
                sent, frame = sent + 1, peer.frame(message)
                assert sent < 1000, "the server takes all that one sends"
    peer.unsent = frame
    return sent + 1


@EVERYWHERE
async def test_reading_pauses_and_tcp_slows_the_client_and_nothing_is_lost(
    raw_stage: Stage[RawPeer],
) -> None:
    may_read = anyio.Event()
    received: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await may_read.wait()
        async for message in websocket.iter_bytes():
            received.append(len(message))

    async with raw_stage.visit(handler, limits=Limits(inbox_messages=4)) as peer:
        sent = await send_until_blocked(peer, bytes(100_000))
        may_read.set()
        await peer.stream.send(peer.unsent)
        await until(lambda: len(received) == sent)

    assert received == [100_000] * sent


@TOO_MANY
@EVERYWHERE
async def test_a_pause_that_lasts_too_long_closes_with_1008(
    raw_stage: Stage[RawPeer], limits: dict[str, Any], messages: list[str]
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

    async with raw_stage.visit(handler, limits=Limits(**limits, pause_timeout=0.05)) as peer:
        for message in messages:
            await peer.send(message)
        closed = await closing(peer)
        await ended.wait()

    assert closed.code == 1008
    assert received[-1] == 1008
    assert set(received[:-1]) == set(messages)


@EVERYWHERE
async def test_a_pause_that_ends_in_time_closes_nothing(raw_stage: Stage[RawPeer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            if message == "wait":
                await turns(1000)
            await websocket.send_text(message)

    limits = Limits(inbox_messages=4, pause_timeout=1000)
    async with raw_stage.visit(handler, limits=limits) as peer:
        for _ in range(10):
            for message in ["wait", "1", "2", "3", "4"]:
                await peer.send(message)
            assert [await peer.receive() for _ in range(5)] == ["wait", "1", "2", "3", "4"]


async def test_while_reading_is_paused_no_pong_is_demanded() -> None:
    app = Application(
        limits=Limits(inbox_messages=2, ping_interval=0.2, ping_timeout=0.2, close_timeout=0.05)
    )
    given_up = anyio.Event()
    states: list[WebSocketState] = []

    @app.ws("/paused")
    async def paused(websocket: WebSocket) -> None:
        await websocket.accept()
        await given_up.wait()
        states.append(websocket.state)
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    @app.ws("/silent")
    async def silent(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(WebSocketDisconnectError):
            await websocket.receive()
        given_up.set()

    async with own.serve(app) as url, own.connect(f"{url}/paused") as peer:
        for number in range(3):
            await peer.send(str(number))
        async with own.connect(f"{url}/silent"):
            await given_up.wait()
        received = [await peer.receive() for _ in range(3)]

    assert states == [WebSocketState.CONNECTED]
    assert received == ["0", "1", "2"]


async def test_while_reading_is_paused_a_disconnect_is_seen_after_all_messages() -> None:
    gone = anyio.Event()
    states: list[WebSocketState] = []
    received: list[object] = []
    ended = anyio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await gone.wait()
        await turns(1000)
        states.append(websocket.state)
        try:
            while True:
                received.append(await websocket.receive_text())
        except WebSocketDisconnectError as error:
            received.append(error.code)
        ended.set()

    async with own.visit(handler, limits=Limits(inbox_messages=2)) as peer:
        for number in range(5):
            await peer.send(str(number))
        await peer.close(4001)
        await peer.leave()
        gone.set()
        await ended.wait()

    assert states == [WebSocketState.CONNECTED]
    assert received == ["0", "1", "2", "3", "4", 4001]


@EVERYWHERE
async def test_a_burst_of_more_than_the_inbox_holds_is_answered_whole(
    raw_stage: Stage[RawPeer],
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    async with raw_stage.visit(handler, limits=Limits(inbox_messages=4)) as peer:
        await peer.stream.send(b"".join(peer.frame(str(number)) for number in range(100)))
        assert [await peer.receive() for _ in range(100)] == [str(n) for n in range(100)]


async def test_a_handler_that_reads_may_be_sent_more_than_its_inbox_holds(
    stage: Stage[Peer],
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    async with stage.visit(handler, limits=Limits(inbox_messages=2)) as peer:
        for number in range(20):
            await peer.send(str(number))
            assert await peer.receive() == str(number)
