"""Tests of examples/game, without its page; that has a test of its own, in a browser."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from math import hypot, inf, nan
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from examples.game.app import (
    HEIGHT,
    MARGIN,
    PLAYERS,
    SPEED,
    TICKS_PER_SECOND,
    WIDTH,
    Game,
    Sheep,
    Tick,
    app,
)
from herdwick import serve
from herdwick.testing import crash
from tests.examples.client import PATIENCE
from tests.support.clients import Peer, closing
from tests.support.clients import httpx_ws_client as connect

STEP = SPEED / TICKS_PER_SECOND
MIDDLE = (WIDTH / 2, HEIGHT / 2)


async def receive(peer: Peer, kind: str = "World") -> dict[str, Any]:
    """Receive until there is a message of that kind."""
    with anyio.fail_after(PATIENCE):
        while True:
            data = await peer.receive()
            assert isinstance(data, bytes)
            message: dict[str, Any] = msgspec.msgpack.decode(data)
            if message["type"] == kind:
                return message


async def place_of(peer: Peer, player: str) -> tuple[float, float]:
    _, x, y, _ = (await receive(peer))["sheep"][player]
    return x, y


async def send(peer: Peer, **message: object) -> None:
    await peer.send(msgspec.msgpack.encode({"type": "Move"} | message))


async def steer(peer: Peer, heading: tuple[float, float]) -> None:
    await send(peer, dx=heading[0], dy=heading[1])


@asynccontextmanager
async def playing(url: str, name: str = "Ada") -> AsyncGenerator[tuple[Peer, str]]:
    """Play, and know which of the sheep it is."""
    async with connect(f"{url}/games/fell?name={name}") as peer:
        welcome = await receive(peer, "Welcome")
        yield peer, welcome["you"]


async def eat(peer: Peer, player: str) -> int:
    """Run to the grass until it is eaten, and give the points."""
    before = None
    with anyio.fail_after(PATIENCE):
        while True:
            world = await receive(peer)
            _, x, y, points = world["sheep"][player]
            if before is not None and points > before:
                return int(points)
            before = points
            far_x, far_y = world["grass"][0] - x, world["grass"][1] - y
            far = max(hypot(far_x, far_y), STEP)
            await steer(peer, (far_x / far, far_y / far))


async def stop(peer: Peer, player: str) -> int:
    """Stand still, and give the points: they do not change now."""
    await steer(peer, (0, 0))
    before, now = None, (await receive(peer))["sheep"][player]
    while before != now:
        before, now = now, (await receive(peer))["sheep"][player]
    return int(now[3])


# ------------------------------------------------------------------ play


async def test_all_players_see_where_one_runs() -> None:
    async with serve(app) as url, playing(url) as (ada, player), playing(url, "Bob") as (bob, _):
        start = await place_of(bob, player)
        await steer(ada, (1, 0))

        for peer in (ada, bob):
            with anyio.fail_after(PATIENCE):
                while (await place_of(peer, player))[0] < start[0] + 2 * STEP:
                    pass


async def test_a_sheep_runs_no_faster_however_often_or_aslant_it_is_told_to() -> None:
    async with serve(app) as url, playing(url) as (ada, player):
        for _ in range(100):
            await steer(ada, (1, 1))
        places = [await place_of(ada, player) for _ in range(8)]

    steps = [hypot(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(places)]
    assert max(steps) == pytest.approx(STEP)


@pytest.mark.parametrize("dx", [1.01, -5, 1e300, inf, nan, "1", None])
async def test_who_wants_to_teleport_is_put_out(dx: object) -> None:
    async with serve(app) as url, playing(url) as (ada, _):
        await send(ada, dx=dx, dy=0)

        assert (await closing(ada)).code == 1007


async def test_nobody_but_the_room_makes_it_tick() -> None:
    async with serve(app) as url, playing(url) as (ada, _):
        await ada.send(msgspec.msgpack.encode(Tick()))

        assert (await closing(ada)).code == 1007


def test_a_sheep_stays_on_the_field() -> None:
    sheep = Sheep("Ada", dx=-1.0, dy=1.0)

    sheep.run(60)

    assert (sheep.x, sheep.y) == (MARGIN, HEIGHT - MARGIN)


async def test_who_eats_the_grass_has_a_point_and_it_grows_elsewhere() -> None:
    async with serve(app) as url, playing(url) as (ada, player):
        before = (await receive(ada))["grass"]

        assert await eat(ada, player) >= 1
        assert (await receive(ada))["grass"] != before


# ------------------------------------------------------------------ come and go


async def test_who_leaves_is_gone_from_the_field() -> None:
    async with serve(app) as url, playing(url) as (ada, player):
        async with playing(url, "Bob"):
            while len((await receive(ada))["sheep"]) < 2:
                pass

        while len(sheep := (await receive(ada))["sheep"]) > 1:
            pass
    assert sheep.keys() == {player}


async def test_a_full_game_refuses_who_comes_and_has_room_again_when_somebody_leaves() -> None:
    async with serve(app) as url, playing(url) as (ada, _), AsyncExitStack() as others:
        for number in range(1, PLAYERS - 1):
            await others.enter_async_context(playing(url, f"Bob {number}"))
        async with playing(url, "Last"), connect(f"{url}/games/fell?name=Late") as late:
            refused = await closing(late)
        while len((await receive(ada))["sheep"]) == PLAYERS:
            pass

        async with playing(url, "Late"):
            pass

    assert (refused.code, refused.reason) == (4403, "full")


@pytest.mark.parametrize("name", ["", "%20", "x" * 17])
async def test_who_has_no_name_is_not_let_in(name: str) -> None:
    async with serve(app) as url, connect(f"{url}/games/fell?name={name}") as nobody:
        assert (await closing(nobody)).code == 4403


async def test_games_are_apart() -> None:
    async with (
        serve(app) as url,
        playing(url) as (_, player),
        connect(f"{url}/games/dale?name=Bob") as bob,
    ):
        assert player not in (await receive(bob))["sheep"]


# ------------------------------------------------------------------ crashes


async def test_a_crash_drops_no_player_and_keeps_names_and_points() -> None:
    async with serve(app) as url, playing(url) as (ada, player), playing(url, "Bob") as (bob, _):
        await eat(ada, player)
        points = await stop(ada, player)
        room = app.room_ref(Game, "fell")
        await crash(room, RuntimeError("a bug"))

        for peer in (ada, bob):
            while await place_of(peer, player) != MIDDLE:  # where they begin anew
                pass
        sheep = (await receive(ada))["sheep"]
        assert {name for name, *_ in sheep.values()} == {"Ada", "Bob"}
        assert sheep[player][3] >= points >= 1
        assert app.system.statistics(room).incarnation == 2
        assert await eat(ada, player) > points


async def test_a_tick_that_fails_is_such_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Sheep.run
    fails = [True]

    def trips(sheep: Sheep, seconds: float) -> None:
        if fails:
            fails.clear()
            raise RuntimeError("it has stumbled")
        run(sheep, seconds)

    async with serve(app) as url, playing(url) as (ada, player):
        monkeypatch.setattr(Sheep, "run", trips)
        while fails:
            await receive(ada)

        assert await eat(ada, player) >= 1
        assert app.connections == 1


async def test_the_page_and_its_parts_are_served() -> None:
    names = ("game.js", "msgpack.js", "game.css", "favicon.svg")
    async with serve(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        page = await http.get("/")
        parts = [await http.get(f"/{name}") for name in names]

    assert "Herdwick field" in page.text
    assert [part.status_code for part in parts] == [200] * len(names)
