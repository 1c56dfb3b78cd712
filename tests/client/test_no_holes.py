"""Whatever happens to connections, every publication is told once, in order, or a gap is."""

from random import Random

import anyio
import pytest

from herdwick.client import Client, Gap, Message, Rejoined, Room
from herdwick.protocol import Join, Joined, ServerFrame
from tests.client.server import Server, publication, serving

ENOUGH = 100


class Topic:
    """A topic with a record of all, or of the newest `kept` publications."""

    def __init__(self, server: Server, kept: int) -> None:
        self.log: list[int] = []
        self._server = server
        self._kept = kept
        server.welcome = self.welcome

    def welcome(self, join: Join) -> list[ServerFrame]:
        newest = len(self.log)
        since = newest if join.since is None else int(join.since)
        recovered = join.since is not None and newest - since <= self._kept
        begin = since if recovered else newest
        if recovered or join.since is None:
            joined = Joined(join.ref, "chat", recovered, str(begin))
        else:
            joined = Joined(join.ref, "chat", position=str(begin), gap="history")
        return [joined, *(publication(n, str(n + 1)) for n in self.log[begin:])]

    async def publish(self) -> None:
        number = len(self.log)
        self.log.append(number)
        for peer in self._server.all:
            if peer.joins:
                await peer.send(publication(number, str(number + 1)))


async def publish_and_drop(server: Server, topic: Topic, chance: Random) -> None:
    """Publish for ever; the connections hold once enough has been said."""
    while True:
        await topic.publish()
        if len(topic.log) < ENOUGH and chance.random() < 0.1:
            await server.all[-1].drop()
        if len(topic.log) >= ENOUGH or chance.random() < 0.2:
            await anyio.sleep(chance.random())


async def hear(room: Room) -> list[int | Gap]:
    """Give what is told until enough has been said."""
    told: list[int | Gap] = []
    while True:
        match await anext(room):
            case Message(payload, _):
                told.append(payload)
                if payload >= ENOUGH:
                    return told
            case Gap() as gap:
                told.append(gap)
            case Rejoined():
                pass
            case other:
                raise AssertionError(other)


def untold(told: list[int | Gap]) -> list[int | Gap]:
    """List the publications before which some are missing without a gap."""
    return [
        after
        for before, after in zip([-1, *told], told, strict=False)
        if not isinstance(before, Gap) and not isinstance(after, Gap) and after != before + 1
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_with_a_long_record_nothing_is_missing_and_nothing_comes_twice(seed: int) -> None:
    chance = Random(seed)
    async with serving() as server, anyio.create_task_group() as tasks:
        topic = Topic(server, kept=10_000)
        async with Client(server.url, random=chance.random) as client, client.join("chat") as room:
            tasks.start_soon(publish_and_drop, server, topic, chance)

            told = await hear(room)

            assert told == [*range(len(told))]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(3))
async def test_with_a_short_record_each_hole_is_told_as_a_gap(seed: int) -> None:
    chance = Random(seed)
    async with serving() as server, anyio.create_task_group() as tasks:
        topic = Topic(server, kept=1)
        async with Client(server.url, random=chance.random) as client, client.join("chat") as room:
            tasks.start_soon(publish_and_drop, server, topic, chance)
            told = await hear(room)

            numbers = [each for each in told if not isinstance(each, Gap)]
            assert numbers == sorted(set(numbers))
            assert Gap("history") in told
            assert untold(told) == []
        tasks.cancel_scope.cancel()
