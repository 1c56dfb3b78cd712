"""Peers that do not read: bounded in bytes, cut by their policy, and in nobody's way."""

from operator import itemgetter

import anyio
import pytest

from herdwick import (
    Application,
    CatchUp,
    Conflate,
    Disconnect,
    History,
    Limits,
    WebSocket,
    WebSocketDisconnectError,
    everyone,
)
from tests.acceptance.stage import Stage
from tests.acceptance.test_full_inbox import send_until_blocked
from tests.support.clients import closing, receive_json
from tests.support.raw_client import RawPeer
from tests.support.waiting import settled, until

MIB = 1024 * 1024
IN_THE_KERNEL = 20 * MIB
"""More than both ends of a connection over loopback hold."""


async def test_what_waits_for_a_peer_that_does_not_read_is_bounded_and_nothing_of_it_is_lost(
    raw: Stage[RawPeer],
) -> None:
    sent: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(64):
            await websocket.send_bytes(bytes(MIB))
            sent.append(MIB)

    async with raw.visit(handler, limits=Limits(send_timeout=1000)) as peer:
        await until(lambda: sent)
        await settled(lambda: len(sent))
        waiting = sum(sent)
        received = [len(await peer.receive()) for _ in range(64)]

    assert waiting < IN_THE_KERNEL + Limits().outbox_bytes
    assert received == [MIB] * 64


async def test_a_peer_that_floods_and_does_not_read_is_slowed_and_nothing_of_it_is_lost(
    raw: Stage[RawPeer],
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_bytes():
            await websocket.send_bytes(message)

    received: list[int] = []
    async with raw.visit(handler, limits=Limits(send_timeout=1000)) as peer:
        sent = await send_until_blocked(peer, bytes(100_000))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.stream.send, peer.unsent)
            for _ in range(sent):
                received.append(len(await peer.receive()))

    assert received == [100_000] * sent


@pytest.mark.parametrize(
    "slow", [Disconnect(), CatchUp(patience=0.05), Conflate(itemgetter("key"), patience=0.05)]
)
async def test_a_member_that_does_not_read_is_cut_by_its_policy_and_the_others_miss_nothing(
    raw: Stage[RawPeer], slow: Disconnect | CatchUp | Conflate[dict[str, object]]
) -> None:
    app = Application(limits=Limits(outbox_bytes=300_000, close_timeout=0.05))
    app.topic("hut", slow=slow, history=History(size=10), authorize=everyone)
    joined: list[WebSocket] = []
    told: list[int] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("hut"):
            joined.append(websocket)
            with pytest.raises(WebSocketDisconnectError) as caught:
                await websocket.receive()
            told.append(caught.value.code)

    async with raw.serve(app) as url, raw.connect(url), raw.connect(url) as reader:
        await until(lambda: len(joined) == 2)
        offered = 0
        while not told:
            await app.broadcast("hut", {"key": "a", "n": offered, "fill": "x" * 100_000})
            assert (await receive_json(reader))["n"] == offered
            offered += 1
        cut = list(told)

    assert cut == [1013]
    assert offered > 3


async def test_a_close_does_not_wait_for_a_peer_that_does_not_read(raw: Stage[RawPeer]) -> None:
    sent: list[int] = []
    closed = anyio.Event()

    async def fill(websocket: WebSocket) -> None:
        with pytest.raises(WebSocketDisconnectError):
            while True:
                await websocket.send_bytes(bytes(MIB))
                sent.append(MIB)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(fill, websocket)
        await until(lambda: sent)
        await settled(lambda: len(sent))
        await websocket.close(4000, "enough")
        closed.set()

    limits = Limits(send_timeout=1000, close_timeout=1000)
    async with raw.visit(handler, limits=limits) as peer:
        await closed.wait()
        ending = await closing(peer)

    assert (ending.code, ending.reason) == (4000, "enough")


async def test_a_drain_does_not_wait_for_peers_that_do_not_read(raw: Stage[RawPeer]) -> None:
    app = Application(limits=Limits(send_timeout=1000, close_timeout=0.05))
    app.topic("hut", slow=CatchUp(patience=1000), history=History(size=100), authorize=everyone)
    sent: list[int] = []
    ended: list[str] = []

    @app.ws("/sender")
    async def sender(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(bytes(MIB))
                sent.append(MIB)
        finally:
            ended.append("sender")

    @app.ws("/member")
    async def member(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("hut"):
            sent.append(0)
            await websocket.wait_closed()
            ended.append("member")

    async with (
        raw.serve(app) as url,
        raw.connect(f"{url}/member"),
        raw.connect(f"{url}/sender"),
    ):
        await until(lambda: 0 in sent)
        for _ in range(64):
            await app.broadcast("hut", {"fill": "x" * MIB})
        await settled(lambda: len(sent))
        assert ended == []

        await app.drain()

        assert sorted(ended) == ["member", "sender"]
