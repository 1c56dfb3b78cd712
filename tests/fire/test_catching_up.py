"""Those who lag: what they get when they read on, and in which order."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from herdwick.actors import Joining, Params
from herdwick.websocket.wires import V1Wire

from .arena import Note, Stage, turns
from .peers import Cursor, PlainPeer, V1Peer

TOPIC = "catch:a"


def publish_now(stage: Stage, note: Note, *, record: bool) -> None:
    """Publish, and be cancelled before anybody else has had a turn."""
    if not record:
        stage.expect_unrecorded(TOPIC, note)
    publishing = stage.app.broadcast(TOPIC, note, record=record)
    with suppress(StopIteration):  # where nobody is there
        publishing.send(None)  # it stands in the topic's order now
    publishing.close()


async def lagging(stage: Stage, peer: V1Peer | PlainPeer) -> None:
    """Let somebody join, and fall behind."""
    await peer.connect()
    if isinstance(peer, V1Peer):
        peer.join(TOPIC)
    await anyio.sleep(1)
    peer.check()
    peer.line.stall()
    for n in range(1, 6):
        await stage.app.broadcast(TOPIC, Note("p", n, pad="x" * 1500))
    await anyio.sleep(1)


@pytest.mark.parametrize("attempt", range(8))  # trio runs what is ready in any order
async def test_what_is_not_recorded_does_not_come_after_what_was_published_later(
    attempt: int,
) -> None:
    stage = Stage()
    async with stage.running(TOPIC):
        peer = V1Peer(stage, "ada")
        await lagging(stage, peer)

        peer.line.resume()
        publish_now(stage, Note("p", 6), record=False)
        publish_now(stage, Note("p", 7), record=True)
        publish_now(stage, Note("p", 8), record=False)
        publish_now(stage, Note("p", 9), record=True)
        await anyio.sleep(1)

        peer.check()  # in order
        cursor = peer.cursors[TOPIC]
        assert cursor.at is not None
        assert cursor.at.offset == stage.books[TOPIC].end == 7
        assert cursor.gaps == 0


@pytest.mark.parametrize("attempt", range(8))
async def test_who_has_caught_up_hears_what_is_not_recorded_again(attempt: int) -> None:
    stage = Stage()
    async with stage.running(TOPIC):
        peer = V1Peer(stage, "ada")
        await lagging(stage, peer)

        peer.line.resume()
        await anyio.sleep(1)
        publish_now(stage, Note("p", 6), record=False)
        publish_now(stage, Note("p", 7), record=True)
        await anyio.sleep(1)

        peer.check()
        assert list(peer.cursors[TOPIC].unrecorded) == [("p", 6)]


async def test_a_plain_member_catches_up_without_a_hole() -> None:
    stage = Stage()
    async with stage.running(TOPIC):
        peer = PlainPeer(stage, "ada", TOPIC)
        await lagging(stage, peer)

        for _ in range(20):
            peer.line.sip(1)
            publish_now(stage, Note("q", 1 + _), record=True)
            await anyio.sleep(0.1)
        peer.line.resume()
        await anyio.sleep(1)

        peer.check()
        assert peer.at == stage.books[TOPIC].end == 25


async def test_a_crowd_that_leaves_in_mid_fan_out_takes_nothing_from_those_who_come() -> None:
    """The pump goes on with an idea of its own of how far it was."""
    stage = Stage()
    async with stage.running(TOPIC):
        ada = V1Peer(stage, "ada")
        await ada.connect()
        crowd = [PlainPeer(stage, f"{number}", TOPIC) for number in range(300)]
        for peer in crowd:
            await peer.connect()
        await anyio.sleep(1)

        publish_now(stage, Note("p", 1), record=True)
        while not any(peer.line.received for peer in crowd):
            await turns(1)
        for n in range(2, 4):
            publish_now(stage, Note("p", n), record=True)
        for peer in crowd:
            peer.drop()
        join_now(stage, ada)
        for n in range(4, 9):
            publish_now(stage, Note("p", n), record=True)
        await anyio.sleep(1)

        ada.check()
        cursor = ada.cursors[TOPIC]
        assert cursor.at is not None
        assert cursor.at.offset == 8


def join_now(stage: Stage, peer: V1Peer) -> None:
    """Join before anybody else has a turn."""
    ref = 1000
    peer.cursors[TOPIC], peer.asked[ref], peer.since[ref] = Cursor(TOPIC), ("join", TOPIC, 0), None
    joining = Joining(
        stage.realtime,
        peer.connection,
        V1Wire(ref),
        topic=TOPIC,
        identity=None,
        key=None,
        most=100,
    )
    with pytest.raises(StopIteration):
        joining.join(Params(), None).send(None)
