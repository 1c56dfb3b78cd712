"""Publish while somebody joins, at every moment at which the join can stand: once, in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

import anyio
import anyio.lowlevel
import pytest

from herdwick import Application, WebSocket
from herdwick.actors import (
    CatchUp,
    Hall,
    History,
    Log,
    Member,
    MemoryStore,
    Params,
    Position,
    Publication,
    Realtime,
    Recovery,
    Room,
    everyone,
)
from herdwick.runtime import Slot, slot_of
from herdwick.testing import TestClient, TestWebSocket, settle

from .arena import Stage
from .peers import V1Peer

Kind: TypeAlias = Literal["room", "topic"]
When: TypeAlias = Literal["fresh", "since"]

MOST: Final = 40
"""More steps than any join has."""
BEFORE: Final = 3
REPLAY: Final = 2


class Steps:
    """Where a join suspends: at the given step it waits until something has happened."""

    def __init__(self) -> None:
        self.taken = 0
        self.at = MOST
        self.then: Callable[[], Awaitable[object]] | None = None
        self.counting = False

    async def step(self) -> None:
        """Be one moment at which others have their turn."""
        if not self.counting:
            await anyio.lowlevel.checkpoint()
            return
        self.taken += 1
        if self.taken == self.at and self.then is not None:
            self.counting = False
            await self.then()
            self.counting = True
        await anyio.lowlevel.checkpoint()


class SteppedLog:
    """A log whose calls wait, before and after they are carried out."""

    def __init__(self, log: Log, steps: Steps) -> None:
        self._log = log
        self._steps = steps

    @property
    def position(self) -> Position:
        return self._log.position

    async def append(self, publication: Publication) -> Position:
        return await self._log.append(publication)

    async def since(self, position: Position) -> Recovery:
        await self._steps.step()
        recovery = await self._log.since(position)
        await self._steps.step()
        return recovery

    async def newest(self, count: int) -> Recovery:
        await self._steps.step()
        recovery = await self._log.newest(count)
        await self._steps.step()
        return recovery

    def close(self) -> None:
        self._log.close()


class SteppedStore:
    """A store of such logs."""

    def __init__(self, store: MemoryStore, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    def open(
        self, topic: str, history: History, deliver: Callable[[Publication], None]
    ) -> SteppedLog:
        return SteppedLog(self._store.open(topic, history, deliver), self._steps)


class Scene:
    """An application in which somebody joins, step by step."""

    def __init__(self) -> None:
        self.steps = steps = Steps()
        self.app = app = Application()
        history = History(size=50, replay=REPLAY)

        @app.room("room:{name}", history=history, slow=CatchUp())
        class Hut(Room):
            def __init__(self, name: str) -> None: ...

            @classmethod
            async def authorize(cls, member: Member, params: Params) -> None:
                await steps.step()

            async def on_join(self, member: Member, params: Params) -> object:
                await steps.step()
                return "hello"

        async def authorize(member: Member, params: Params) -> None:
            await steps.step()
            await everyone(member, params)

        app.topic("topic:{name}", history=history, slow=CatchUp(), authorize=authorize)

        @app.ws("/v1")
        async def v1(websocket: WebSocket) -> None:
            await websocket.serve_rooms()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[TestClient]:
        async with TestClient(self.app) as client:
            self.realtime.store = SteppedStore(MemoryStore(self.realtime.clock), self.steps)
            yield client

    @property
    def realtime(self) -> Realtime:
        return self.app._rooms.realtime  # pyright: ignore[reportPrivateUsage]  # nobody else has it

    @asynccontextmanager
    async def peer(self, client: TestClient) -> AsyncGenerator[TestWebSocket]:
        async with client.websocket_connect("/v1", subprotocols=["herdwick.v1"]) as peer:
            yield peer


async def joined_at(kind: Kind, when: When, at: int) -> tuple[int, list[Any], str]:
    """Join, and publish at one step of it; give the steps there were, what came, the position."""
    scene = Scene()
    topic = f"{kind}:a"
    async with scene.running() as client:
        first, *_ = [await scene.app.broadcast(topic, number) for number in range(1, BEFORE + 1)]
        assert first is not None
        steps = scene.steps
        steps.at, steps.counting = at, True

        async def publish() -> None:
            await scene.app.broadcast(topic, "in between")

        steps.then = publish
        async with scene.peer(client) as peer:
            await peer.send_json(join(topic, str(first) if when == "since" else None))
            frames = await until(peer, lambda frame: frame["type"] == "joined")
            await scene.app.broadcast(topic, "after")
            frames += await until(peer, lambda frame: frame.get("payload") == "after")
    return steps.taken, frames, str(first)


def join(topic: str, since: str | None = None) -> dict[str, object]:
    return {"type": "join", "ref": 1, "topic": topic, "since": since}


async def crash_now(slot: Slot | None) -> None:
    """Crash what lives there, and do not wait for it: it may be the one that runs."""
    assert slot is not None
    assert slot.life is not None
    slot.life.fail(OSError("at a step"))


async def until(peer: TestWebSocket, found: Callable[[Any], bool]) -> list[Any]:
    """Read up to a frame."""
    frames: list[Any] = []
    while not frames or not found(frames[-1]):
        frames.append(await peer.receive_json())
    return frames


@pytest.mark.parametrize("when", ["fresh", "since"])
@pytest.mark.parametrize("kind", ["room", "topic"])
async def test_what_is_published_at_any_step_of_a_join_comes_once(kind: Kind, when: When) -> None:
    steps, _, _ = await joined_at(kind, when, MOST)

    assert steps >= (4 if kind == "room" else 3)
    for at in range(1, steps + 1):
        _, frames, first = await joined_at(kind, when, at)
        joined, *publications = frames
        payloads = [frame["payload"] for frame in publications]
        offsets = [Position.parse(frame["position"]).offset for frame in publications]
        start = Position.parse(joined["position"]).offset

        assert joined["type"] == "joined"
        assert offsets == list(range(start + 1, start + 1 + len(offsets))), at
        expected: list[object] = [1, 2, 3, "in between", "after"]
        assert payloads == expected[start:], at
        if when == "since":
            assert joined["recovered"]
            assert joined["position"] == first
        else:
            assert start in (BEFORE - REPLAY, BEFORE - REPLAY + 1)


async def test_a_crash_at_any_step_of_a_join_refuses_it_at_most_and_the_next_one_is_whole() -> None:
    steps, _, _ = await joined_at("room", "since", MOST)
    outcomes: list[str] = []

    for at in range(1, steps + 1):
        scene = Scene()
        async with scene.running() as client, scene.peer(client) as peer:
            first = await scene.app.broadcast("room:a", 1)
            await scene.app.broadcast("room:a", 2)
            room = slot_of(cast("Hall", scene.realtime.topic("room:a")).ref())
            await settle()
            scene.steps.at, scene.steps.counting = at, True
            scene.steps.then = partial(crash_now, room)
            await peer.send_json(join("room:a", str(first)))
            answer = await peer.receive_json()
            outcomes.append(answer["type"])
            if answer["type"] == "refused":
                assert answer["code"] == "unavailable"
                assert answer["retry_after"] > 0
                await peer.send_json(join("room:a", str(first)))
                answer = await peer.receive_json()
            await scene.app.broadcast("room:a", 3)
            frames = await until(peer, lambda frame: frame.get("payload") == 3)

            assert answer["recovered"]
            assert [frame["payload"] for frame in frames] == [2, 3]
            assert peer.close_code is None
    assert "refused" in outcomes
    assert "joined" in outcomes


@pytest.mark.parametrize("topic", ["room:a", "catch:a", "bare:a"])
async def test_who_asks_to_join_and_hangs_up_at_once_is_no_member(topic: str) -> None:
    stage = Stage()
    async with stage.running():
        peer = V1Peer(stage, "ada")
        await peer.connect()
        await settle()

        peer.join(topic)
        peer.drop(1000)
        await anyio.sleep(1)

        found = stage.topic(topic)
        assert found is None or not found.members
        assert not peer.connection.memberships
