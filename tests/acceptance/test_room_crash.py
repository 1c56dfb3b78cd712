"""A room with five hundred real sockets crashes: none of them hears of it."""

import anyio
import pytest

from herdwick import Application, WebSocket
from herdwick.actors import Hall, Member, Room, from_member
from herdwick.runtime import Ask, slot_of
from herdwick.testing import crash
from tests.acceptance.stage import Stage
from tests.acceptance.test_crowd import SERVERS
from tests.support.raw_client import RawPeer
from tests.support.waiting import until

CROWD = 500


class Say(Ask[int]):
    """Broadcast this, after a while; the answer is the incarnation."""

    n: int
    waits: bool = False


class Arena(Room[Say]):
    """Tells who has said what, and in which incarnation."""

    def __init__(self, name: str) -> None: ...

    @from_member(Say)
    async def say(self, message: Say, member: Member) -> int:
        if message.waits:
            await anyio.sleep_forever()
        await self.broadcast([message.n, self.ctx.incarnation])
        return self.ctx.incarnation


@pytest.mark.heavy
@pytest.mark.parametrize("stage", SERVERS)
async def test_five_hundred_sockets_stay_when_their_room_crashes(stage: Stage[RawPeer]) -> None:
    app = Application()
    app.room("arena:{name}")(Arena)

    @app.ws("/")
    async def arena(websocket: WebSocket) -> None:
        await websocket.serve_rooms()

    heard: list[list[str]] = [[] for _ in range(CROWD)]
    peers: dict[int, RawPeer] = {}

    async def visit(url: str, number: int) -> None:
        async with stage.connect(url, subprotocols=["herdwick.v1"]) as peer:
            await peer.send('{"type": "join", "ref": 1, "topic": "arena:a"}')
            joined = await peer.receive()
            assert isinstance(joined, str)
            assert '"joined"' in joined
            peers[number] = peer
            while True:
                heard[number].append(str(await peer.receive()))

    async with stage.serve(app) as url, anyio.create_task_group() as tasks:
        for number in range(CROWD):
            tasks.start_soon(visit, url, number)
        await until(lambda: len(peers) == CROWD)
        hall = app._rooms.realtime.topic("arena:a")  # pyright: ignore[reportPrivateUsage]
        assert isinstance(hall, Hall)
        before = dict(hall.members)
        await push(peers[0], 0, waits=True)
        room = slot_of(hall.ref())
        assert room is not None
        await until(lambda: room.current is not None)
        for number in range(1, 20):
            await push(peers[number], number)

        await crash(hall.ref(), OSError("boom"), timeout=60)
        await until(lambda: all(len(each) >= 19 for each in heard))

        assert hall.members == before
        assert app.connections == CROWD
        publications = [each for each in heard[CROWD - 1] if '"publication"' in each]
        assert len(publications) == 19
        assert all(",2]" in each for each in publications)
        for each in heard:
            assert [frame for frame in each if '"publication"' in frame] == publications
        refused = [frame for frame in heard[0] if '"refused"' in frame]
        assert len(refused) == 1
        tasks.cancel_scope.cancel()


async def push(peer: RawPeer, n: int, *, waits: bool = False) -> None:
    text = "true" if waits else "false"
    payload = f'{{"type": "Say", "n": {n}, "waits": {text}}}'
    await peer.send(f'{{"type": "push", "ref": 2, "topic": "arena:a", "payload": {payload}}}')
