"""P3: what crashes a room again and again stops that room, for a while, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import pytest

from herdwick import Application, Ask, Limits, Member, Message, Room, from_member, on
from herdwick.protocol import Left, Refused, Reply
from herdwick.runtime import Event, Started
from herdwick.testing import TestClient
from tests.fire import ALL_SIZES
from tests.websocket.rooms.stage import Peer, live, peer

EACH_SECOND: Final = 1000
SECONDS: Final = 30 if ALL_SIZES else 12
FAULTS: Final = 10_000 if ALL_SIZES else 1_000
RESTARTS: Final = 5
"""Within `PERIOD`: the budget of each room."""
PERIOD: Final = 10.0


class Poison(Message):
    """Crash whoever handles it."""


class Count(Ask[int]):
    """Say which incarnation this is."""


class Fault(Ask[int]):
    """Make a mistake while a member is served."""


class Fell(Room[Poison | Count | Fault]):
    """Can be poisoned."""

    def __init__(self, name: str) -> None: ...

    @on(Poison)
    async def drink(self, message: Poison) -> None:
        raise LookupError("poisoned")

    @from_member(Count)
    async def count(self, message: Count, member: Member) -> int:
        return self.ctx.incarnation

    @from_member(Fault)
    async def fault(self, message: Fault, member: Member) -> int:
        raise ValueError("a client's mistake")


def fell() -> Application:
    app = Application(limits=Limits(publishes=None))
    app.room("fell:{name}")(Fell)
    live(app)
    return app


def starts_of(app: Application, path: str) -> Callable[[], list[float]]:
    """Note when an actor is started; give the moments."""
    moments: list[float] = []

    def look(event: Event) -> None:
        if isinstance(event, Started) and event.path == path:
            moments.append(anyio.current_time())

    app.events.subscribe(look)
    return lambda: moments


async def poisoned(app: Application, name: str) -> None:
    """Poison a room, very often, for half a minute."""
    poison = app.room_ref(Fell, name)
    for _ in range(SECONDS):
        for _ in range(EACH_SECOND):
            poison.tell(Poison())
            await anyio.sleep(1 / EACH_SECOND)


async def incarnation(member: Peer, topic: str) -> int:
    reply = await member.ask(member.pushed(topic, Count()))
    assert isinstance(reply, Reply), reply
    return int(bytes(reply.payload))


@pytest.mark.heavy
async def test_a_room_that_is_poisoned_a_thousand_times_a_second_stops_and_the_others_go_on() -> (
    None
):
    app = fell()
    starts = starts_of(app, "root/realtime/rooms/fell:a")
    async with TestClient(app) as client, peer(client) as ada, peer(client) as bob:
        await ada.join("fell:a")
        await bob.join("fell:b")

        await poisoned(app, "a")

        told = await ada.heard()
        assert isinstance(told[-1], Left)
        assert (told[-1].topic, told[-1].reason) == ("fell:a", "crashed")
        refused = await ada.refused(ada.pushed("fell:a", Count()))
        assert refused.code == "not_joined"
        for moment in starts():
            within = [each for each in starts() if moment <= each < moment + PERIOD]
            assert len(within) <= 1 + RESTARTS
        assert await bob.heard() == []
        assert await incarnation(bob, "fell:b") == 1


@pytest.mark.heavy
async def test_ten_thousand_mistakes_of_clients_restart_nothing() -> None:
    app = fell()
    async with TestClient(app) as client, peer(client) as ada:
        await ada.join("fell:a")

        for _ in range(FAULTS):
            answer = await ada.ask(ada.pushed("fell:a", Fault()))
            assert isinstance(answer, Refused)
            assert answer.code == "failed"

        assert await incarnation(ada, "fell:a") == 1
