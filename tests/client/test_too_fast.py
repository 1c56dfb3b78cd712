"""A client that does more than it may: it is told, and where it goes on it comes back slowly."""

from functools import partial

import anyio
import pytest

from herdwick import (
    Application,
    Ask,
    Limits,
    Member,
    Params,
    Rate,
    Room,
    WebSocket,
    from_member,
    serve,
)
from herdwick.client import Client, ConnectionLost, Refused, Rejoined
from herdwick.client import Room as Joined


class Baa(Ask[int]):
    """Say baa, and tell how often it was said."""


class Meadow(Room[Baa]):
    """Counts."""

    def __init__(self, name: str) -> None:
        self.said = 0

    @classmethod
    async def authorize(cls, member: Member, params: Params) -> None:
        """Let everybody in."""

    @from_member(Baa)
    async def baa(self, message: Baa, member: Member) -> int:
        self.said += 1
        return self.said


class Site:
    """A server that lets its clients say something twice in an hour."""

    def __init__(self, limits: Limits) -> None:
        self.came_at: list[float] = []
        self.app = app = Application(limits=limits)
        app.room("meadow:{name}", idle=3600.0)(Meadow)

        @app.ws("/live")
        async def live(websocket: WebSocket) -> None:
            self.came_at.append(anyio.current_time())
            await websocket.serve_rooms()


TWICE = Rate(1, per=3600.0, burst=2)


def client(url: str) -> Client:
    return Client(url.replace("http", "ws", 1) + "/live", random=lambda: 1.0)


async def push(room: Joined, outcomes: list[object]) -> None:
    try:
        outcomes.append(await room.push(Baa(), type=int))
    except (Refused, ConnectionLost) as error:
        outcomes.append(type(error))


async def test_a_push_that_comes_too_soon_is_an_error_of_that_push_alone() -> None:
    site = Site(Limits(publishes=TWICE))

    async with serve(site.app) as url, client(url) as ada, ada.join("meadow:a") as room:
        assert [await room.push(Baa(), type=int) for _ in range(2)] == [1, 2]
        with pytest.raises(Refused, match="too many pushes") as refused:
            await room.push(Baa())
        assert refused.value.code == "too_fast"
        seconds = refused.value.retry_after
        assert seconds is not None
        assert 1800 < seconds <= 3600
        async with ada.join("meadow:b") as other:
            assert await other.push(Baa(), type=int) == 1

    assert len(site.came_at) == 1


async def test_a_client_that_floods_is_closed_and_comes_back_half_a_minute_later() -> None:
    site = Site(Limits(publishes=TWICE))
    outcomes: list[object] = []

    async with serve(site.app) as url, client(url) as ada, ada.join("meadow:a") as room:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(partial(push, room, outcomes))
        assert isinstance(await anext(room), Rejoined)
        assert await room.push(Baa(), type=int) == 3

    assert sorted(map(str, outcomes)) == sorted(map(str, [1, 2, Refused, Refused, ConnectionLost]))
    first, second = site.came_at
    assert second - first == pytest.approx(30, abs=1)


async def test_a_first_join_that_comes_too_soon_is_refused() -> None:
    site = Site(Limits(joins=TWICE))

    async with serve(site.app) as url, client(url) as ada:
        for _ in range(128):
            async with ada.join("meadow:a"):
                pass
        with pytest.raises(Refused, match="too many joins") as refused:
            async with ada.join("meadow:a"):
                pass

    assert refused.value.code == "too_fast"
