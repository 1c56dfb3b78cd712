"""The parts of the branch crash: whatever relies on them is back at once, by itself."""

from __future__ import annotations

import anyio
import pytest

from .arena import Note, Stage
from .peers import V1Peer

TOPIC = "room:a"


@pytest.mark.parametrize(
    "part", ["realtime", "realtime/pumps", "realtime/registry", "realtime/rooms"]
)
async def test_a_room_with_members_comes_back_though_nobody_wants_anything_of_it(
    part: str,
) -> None:
    stage = Stage()
    async with stage.running(TOPIC):
        ada, bob = V1Peer(stage, "ada"), V1Peer(stage, "bob")
        for peer in (ada, bob):
            await peer.connect()
            peer.join(TOPIC)
        await anyio.sleep(1)
        before = stage.ledger.room

        assert stage.crash(part)
        bob.drop()
        await anyio.sleep(1)

        assert stage.ledger.room is not before
        assert stage.ledger.room is not None
        assert stage.ledger.room.known == {ada.connection.name}


async def test_a_room_that_waits_for_its_broadcast_does_not_hold_up_the_pumps() -> None:
    """They are down together; the room has to end before the pumps are started again."""
    stage = Stage()
    async with stage.running(TOPIC):
        ada = V1Peer(stage, "ada")
        await ada.connect()
        ada.join(TOPIC)
        await anyio.sleep(1)

        ada.push(TOPIC, work=0.5)
        ada.push(TOPIC)
        await anyio.sleep(0.25)
        assert stage.crash("realtime/pumps")
        await anyio.sleep(0.1)
        await stage.app.broadcast(TOPIC, Note("p", 1))
        await anyio.sleep(0.1)

        ada.check()
        assert [*ada.answered.values()] == ["crashed", 4]
        assert stage.books[TOPIC].end == 2
