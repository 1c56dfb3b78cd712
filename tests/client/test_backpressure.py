"""What becomes of events that are not taken."""

import anyio
import pytest

from herdwick.client import Event, Gap, Message, Options, Room
from herdwick.testing import settle
from tests.client.server import Peer, connected, in_room, publication, raw, serving

SMALL = Options(buffer=8)
BULK = "x" * 50_000


async def flood(peer: Peer, count: int = 400) -> None:
    """Send more than the buffers of two sockets can hold."""
    for number in range(count):
        await peer.send(publication([number, BULK], f"e:{number}"))


async def drain(room: Room, last: int) -> list[Event]:
    """Take events up to the publication of this number."""
    events: list[Event] = []
    while True:
        event = await anext(room)
        events.append(event)
        if isinstance(event, Message) and event.payload[0] == last:
            return events


async def begin_to_iterate(room: Room, peer: Peer) -> None:
    await peer.send(publication("first"))
    await anext(room)


async def test_a_consumer_that_does_not_take_its_events_pauses_the_reading() -> None:
    async with serving() as server, in_room(server, options=SMALL) as (room, peer):
        await begin_to_iterate(room, peer)
        async with anyio.create_task_group() as tasks:
            with anyio.move_on_after(5) as stuck:
                await flood(peer)
            assert stuck.cancelled_caught
            tasks.cancel_scope.cancel()

        assert room.position == "e:3"


async def test_a_paused_consumer_that_goes_on_misses_nothing() -> None:
    async with serving() as server, in_room(server, options=SMALL) as (room, peer):
        await begin_to_iterate(room, peer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood, peer)
            await settle()

            events = await drain(room, 399)

            told = [event.payload[0] for event in events if isinstance(event, Message)]
            assert told == [*range(400)]
            assert len(events) == 400


async def test_a_push_is_answered_while_its_own_consumer_lags_behind() -> None:
    async with serving() as server, in_room(server, options=SMALL) as (room, peer):
        await begin_to_iterate(room, peer)
        await peer.send(*(publication([number]) for number in range(6)))
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.answer_push, "heard")

            assert await room.push("hi") == "heard"

        assert len(await drain(room, 5)) == 6


async def test_what_finds_no_place_while_an_answer_is_awaited_becomes_one_gap() -> None:
    async with serving() as server, in_room(server, options=SMALL) as (room, peer):
        await begin_to_iterate(room, peer)
        await peer.send(*(publication([number], f"e:{number}") for number in range(100)))
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.answer_push, "heard")
            await room.push("hi")
        await peer.send(publication([100]))

        events = await drain(room, 7) + [await anext(room)]
        assert events[-1] == Gap("slow")
        assert room.position == "e:99"
        assert await anext(room) == Message(raw([100]))


async def test_a_room_that_nobody_iterates_holds_its_first_events_and_a_gap() -> None:
    async with serving() as server, in_room(server, options=SMALL) as (room, peer):
        await peer.send(*(publication([number], f"e:{number}") for number in range(100)))
        await settle()
        assert room.position == "e:99"

        assert [event.payload for event in await drain(room, 7) if isinstance(event, Message)] == [
            [number] for number in range(8)
        ]
        assert await anext(room) == Gap("slow")


async def test_a_room_that_nobody_iterates_holds_up_no_other() -> None:
    async with (
        serving() as server,
        connected(server, options=SMALL) as (client, peer),
        client.join("ignored"),
        client.join("chat") as room,
    ):
        await peer.send(*(publication(number, topic="ignored") for number in range(100)))
        await peer.send(publication("hello"))

        assert await anext(room) == Message(raw("hello"))


async def test_the_silence_of_a_pause_is_not_the_servers() -> None:
    async with serving() as server, in_room(server, options=SMALL) as (room, peer):
        await begin_to_iterate(room, peer)
        await peer.send(*(publication([number]) for number in range(20)))
        await anyio.sleep(300)

        assert len(await drain(room, 19)) == 20
        assert len(server.tried_at) == 1


async def test_leaving_a_room_that_pauses_the_reading_lets_the_others_go_on() -> None:
    async with (
        serving() as server,
        connected(server, options=SMALL) as (client, peer),
        client.join("chat") as room,
    ):
        async with client.join("lagging") as lagging:
            await peer.send(publication("first", topic="lagging"))
            await anext(lagging)
            await peer.send(*(publication(n, topic="lagging") for n in range(20)))
            await peer.send(publication("hello"))
            await settle()

        assert await anext(room) == Message(raw("hello"))


@pytest.mark.parametrize("buffer", [0, 1])
def test_a_room_holds_two_events_or_more(buffer: int) -> None:
    with pytest.raises(ValueError, match="it must be 2 events or more"):
        Options(buffer=buffer)
