"""A storm at full size: very many publications, a crowd of members, and blows all the time."""

from __future__ import annotations

import os
import random
from functools import partial
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from herdwick.actors import History
from herdwick.testing import VIRTUAL_BACKENDS, virtual_backend
from tests.fire import ALL_SIZES
from tests.support.programs import on_ci

from .arena import Note
from .battle import Battle
from .peers import PlainPeer, V1Peer

TOPIC: Final = "room:a"
MEMBERS: Final = 200
PUBLISHERS: Final = 20
USUAL: Final = "30000" if on_ci() and not ALL_SIZES else "100000"
SIZE: Final = int(os.environ.get("HERDWICK_STORM", USUAL))

SLOW: Final = 20
"""Members that read a little now and then."""
TARGETS: Final = [*3 * ["rooms/room:a"], *3 * ["pumps/room:a"], "registry", "pumps", "rooms"]
DEAD: Final = 4
"""Members that read nothing, until they are closed and come back."""


class Storm:
    """One battle on one topic."""

    def __init__(self, battle: Battle, size: int, seed: int) -> None:
        self.battle = battle
        self.left = size
        self.pause = max(0.02, 400 / size)
        self.chance = random.Random(seed)
        self.scopes: list[anyio.CancelScope | None] = [None] * PUBLISHERS
        self.publishing = PUBLISHERS
        self.cancelled = 0
        self.returns = 0

    async def rage(self) -> None:
        """Let all publish, and strike now and then, until all is published."""
        await self._gather()
        async with anyio.create_task_group() as tasks:
            for number in range(PUBLISHERS):
                tasks.start_soon(self._publisher, number)
            while self.publishing:
                await anyio.sleep(0.05)
                await self._strike()

    async def _gather(self) -> None:
        stage = self.battle.stage
        for number in range(MEMBERS // 2):
            v1, plain = V1Peer(stage, f"v1 {number}"), PlainPeer(stage, f"plain {number}", TOPIC)
            self.battle.v1.append(v1)
            self.battle.plain.append(plain)
            await v1.connect()
            v1.join(TOPIC)
            await plain.connect()
        await anyio.sleep(1)
        self.battle.check()
        for number in range((SLOW + DEAD) // 2):
            self.battle.v1[number].line.stall()
            self.battle.plain[number].line.stall()

    async def _publisher(self, number: int) -> None:
        """Publish; whoever is cancelled is followed by another one."""
        follower = 0
        while self.left > 0:
            follower += 1
            with anyio.CancelScope() as self.scopes[number]:
                await self._publish(f"{number} {follower}")
            await anyio.lowlevel.checkpoint()
        self.scopes[number] = None
        self.publishing -= 1

    async def _publish(self, by: str) -> None:
        app, published, n = self.battle.stage.app, self.battle.published[TOPIC], 0
        while self.left > 0:
            self.left -= 1
            n += 1
            note = Note(by, n)
            if n % 500 == 499:
                self.battle.stage.expect_unrecorded(TOPIC, note)
                await app.broadcast(TOPIC, note, record=False)
            elif n % 50 == 49:
                published.add((by, n))
                await app.broadcast(TOPIC, note, key=f"{by}/{n}")
                await app.broadcast(TOPIC, note, key=f"{by}/{n}")
            else:
                published.add((by, n))
                await app.broadcast(TOPIC, note)
            if n % 10 == 0:
                await anyio.sleep(self.pause)

    # ------------------------------------------------------------------ blows

    async def _strike(self) -> None:
        battle, chance = self.battle, self.chance
        for peer in (*battle.v1[: SLOW // 2], *battle.plain[: SLOW // 2]):
            peer.line.sip(chance.randrange(40))
        for _ in range(2):
            scope = chance.choice(self.scopes)
            if scope is not None:
                scope.cancel()
                self.cancelled += 1
        for peer in chance.sample(battle.v1, 3):
            peer.push(TOPIC, work=0.001 * chance.randrange(3), answer=chance.random() < 0.8)
        for plain in chance.sample(battle.plain, 3):
            plain.say()
        if chance.random() < 0.25:
            await battle.crash(f"realtime/{chance.choice(TARGETS)}")
        if chance.random() < 0.2:
            await self._lose_somebody()
        if chance.random() < 0.2:
            battle.check()

    async def _lose_somebody(self) -> None:
        """Let one be lost and come back, and those come back who were closed as too slow."""
        battle = self.battle
        lost = self.chance.choice([*battle.v1, *battle.plain])
        lost.check()
        lost.drop()
        battle.check()
        for peer in battle.v1:
            if not peer.open:
                await peer.connect()
                self.returns += 1
        for plain in battle.plain:
            if not plain.open:
                await plain.connect(resume=True)


async def storm(size: int, seed: int) -> tuple[Battle, Storm]:
    history = History(size=20_000, ttl=100_000)
    battle = Battle(outbox=20_000, history=history, topics=(TOPIC,))
    raging = Storm(battle, size, seed)
    async with anyio.create_task_group() as battle.tasks, battle.stage.running(TOPIC):
        await raging.rage()
        await battle.verify()
        await battle.finale()
    return battle, raging


RAGES = [
    pytest.param(backend, size, id=f"{backend}-{size}")
    for backend in VIRTUAL_BACKENDS
    for size in (2_000, SIZE)
    if size < SIZE or backend == "asyncio" or ALL_SIZES
]


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("backend", "size"), RAGES)
def test_in_a_storm_every_member_hears_everything_once_and_in_order(
    backend: str, size: int
) -> None:
    name, options = virtual_backend(backend)
    run = partial(storm, size, seed=size)
    battle, raging = anyio.run(run, backend=name, backend_options=options)

    assert battle.stage.books[TOPIC].end >= 0.99 * size
    assert battle.crashes > 3
    assert raging.cancelled > 10
    assert raging.returns > 0
