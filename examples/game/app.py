"""A game: sheep on a field, and a tuft of grass that all of them want.

herdwick run examples.game.app:app      and open http://127.0.0.1:8000 in two tabs

Each game is a room that moves its sheep 20 times a second and tells all players where they are. A
player tells where to, as MessagePack; how far is the room's business, so nobody can teleport. The
room may crash: it comes back, every player is still in it, and nobody's connection has noticed.
"""

from dataclasses import dataclass
from math import hypot
from pathlib import Path
from random import uniform
from typing import Annotated, Any

from msgspec import Meta

import herdwick
from herdwick import (
    Application,
    JoinRefused,
    Left,
    Member,
    Message,
    Params,
    Room,
    WebSocket,
    from_member,
    on,
)

TICKS_PER_SECOND = 20
PLAYERS = 8
WIDTH, HEIGHT = 800.0, 500.0
MARGIN = 30.0
SPEED = 240.0
"""How far a sheep runs in a second."""
REACH = 32.0
"""How near it must be to the grass to eat it."""

Place = tuple[float, float]

# ------------------------------------------------------------------ what players say


class Hello(Message):
    name: Annotated[str, Meta(pattern=r"\S", max_length=16)]


class Move(Message):
    """Where to, from now on: each part from -1 to 1, or it does not decode."""

    dx: Annotated[float, Meta(ge=-1, le=1)]
    dy: Annotated[float, Meta(ge=-1, le=1)]


# ------------------------------------------------------------------ what they hear


class Welcome(Message):
    you: str
    size: Place


class World(Message):
    grass: Place
    sheep: dict[str, tuple[str, float, float, int]]
    """By player: the name, the place and the points."""


# ------------------------------------------------------------------ the game


@dataclass(slots=True)
class Sheep:
    name: str
    points: int = 0
    x: float = WIDTH / 2
    y: float = HEIGHT / 2
    dx: float = 0.0
    dy: float = 0.0

    def run(self, seconds: float) -> None:
        """Go on, no further than to the fence, and as fast aslant as straight on."""
        far = SPEED * seconds / max(1.0, hypot(self.dx, self.dy))
        self.x = min(max(self.x + far * self.dx, MARGIN), WIDTH - MARGIN)
        self.y = min(max(self.y + far * self.dy, MARGIN), HEIGHT - MARGIN)


class Tick(Message):
    """It is time to move; no client can send it, since it has no `@from_member`."""


app = Application()


@app.room("game:{game_id}")
class Game(Room[Move | Tick]):
    def __init__(self, game_id: str) -> None:
        self._sheep: dict[Member, Sheep] = {}
        self._kept: dict[str, tuple[str, int]] = {}
        self._grass = somewhere()

    async def on_start(self) -> None:
        self.ctx.every(1 / TICKS_PER_SECOND, Tick())

    async def on_join(self, member: Member, params: Params) -> Welcome:
        if len(self._sheep) >= PLAYERS:
            raise JoinRefused("full")
        self._sheep[member] = Sheep(params.decode(Hello).name)
        await self.save()
        return Welcome(member.id, (WIDTH, HEIGHT))

    async def on_leave(self, member: Member, reason: Left) -> None:
        self._sheep.pop(member, None)

    # After a crash this object is a new one: `restore` is called first, then `on_reattach` for each
    # player. They begin in the middle of the field, with their names and points.

    async def snapshot(self) -> dict[str, tuple[str, int]]:
        return {member.id: (sheep.name, sheep.points) for member, sheep in self._sheep.items()}

    async def restore(self, snapshot: Any) -> None:
        self._kept = snapshot

    async def on_reattach(self, member: Member) -> None:
        self._sheep[member] = Sheep(*self._kept[member.id])

    @from_member(Move)
    async def move(self, message: Move, member: Member) -> None:
        sheep = self._sheep[member]
        sheep.dx, sheep.dy = message.dx, message.dy

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        for sheep in self._sheep.values():
            sheep.run(1 / TICKS_PER_SECOND)
            if hypot(sheep.x - self._grass[0], sheep.y - self._grass[1]) < REACH:
                sheep.points += 1
                self._grass = somewhere()
                await self.save()
        await self.broadcast(self._world(), record=False)

    def _world(self) -> World:
        shown = {
            member.id: (sheep.name, sheep.x, sheep.y, sheep.points)
            for member, sheep in self._sheep.items()
        }
        return World(self._grass, shown)


def somewhere() -> Place:
    return uniform(MARGIN, WIDTH - MARGIN), uniform(MARGIN, HEIGHT - MARGIN)


# ------------------------------------------------------------------ the door


@app.ws("/games/{game_id}", codec="msgpack")
async def play(websocket: WebSocket, game_id: str) -> None:
    await websocket.accept()
    async with websocket.join(Game, game_id) as room:  # his name stands in the query
        async for move in websocket.iter_as(Move):
            await room.push(move)


app.serve_files(Path(__file__).parent / "static")

if __name__ == "__main__":
    herdwick.run(app)
