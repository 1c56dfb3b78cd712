"""The chapter "Performance and Scaling" of the document."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from weakref import WeakSet

import anyio
import pytest

from herdwick import (
    Application,
    WebSocket,
    WebSocketState,
)
from tests.acceptance.document.page import Chapter, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, receive_json
from tests.support.waiting import until

chapter = Chapter("Performance and Scaling")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


OPTIMIZED = "Connection Management"


@chapter.covers(OPTIMIZED)
@pytest.mark.asyncio_only
async def test_messages_are_processed_in_the_background(stage: Stage[Peer]) -> None:
    may_end = anyio.Event()

    async def heavy_processing(message: str) -> str:
        if message == "slow":
            await may_end.wait()
        if message == "bad":
            raise ValueError("too heavy")
        return message.upper()

    page = chapter.run(OPTIMIZED, asyncio=asyncio, heavy_processing=heavy_processing)

    async with stage.serve(page["app"]) as url, stage.connect(f"{url}/optimized") as peer:
        await peer.send("slow")
        await peer.send("quick")
        await peer.send("bad")
        answers = [await receive_json(peer), await receive_json(peer)]
        may_end.set()
        answers.append(await receive_json(peer))

    assert answers == [{"result": "QUICK"}, {"error": "too heavy"}, {"result": "SLOW"}]


@chapter.covers(OPTIMIZED)
@pytest.mark.asyncio_only
async def test_weak_references_let_connections_go_that_have_ended(stage: Stage[Peer]) -> None:
    async def heavy_processing(message: str) -> str:
        return message

    page = chapter.run(OPTIMIZED, asyncio=asyncio, heavy_processing=heavy_processing)
    active: WeakSet[WebSocket] = page["active_connections"]

    async with stage.serve(page["app"]) as url:
        async with stage.connect(f"{url}/optimized") as peer:
            await peer.send("hello")
            await receive_json(peer)
            assert [one.state for one in active] == [WebSocketState.CONNECTED]
        await until(all_gone(page["app"]))

    gc.collect()
    assert len(active) == 0


@chapter.covers("Broadcast Optimization")
@pytest.mark.asyncio_only
async def test_the_efficient_broadcast_reaches_all_that_are_still_there(
    stage: Stage[Peer],
) -> None:
    page = chapter.run("Broadcast Optimization", json=json)
    broadcast: Callable[[list[WebSocket], object], Awaitable[None]] = page["efficient_broadcast"]
    app: Application = page["app"]
    connections: list[WebSocket] = []

    @app.ws("/")
    async def listener(websocket: WebSocket) -> None:
        connections.append(websocket)
        await websocket.accept()
        await websocket.wait_closed()

    async with stage.serve(app) as url, stage.connect(url) as anna:
        async with stage.connect(url):
            pass
        await until(lambda: connections[1].closed)
        async with stage.connect(url) as ben:
            await broadcast(connections, {"news": 1})
            received = [await anna.receive(), await ben.receive()]

    assert received == [b'{"news": 1}'] * 2
    assert len(connections) == 3
