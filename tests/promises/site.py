"""The application that is put to the test: what its handlers raise, its rooms, what it holds."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Never

import anyio
import msgspec

from herdwick import (
    Application,
    Ask,
    CatchUp,
    Child,
    Context,
    Disconnect,
    History,
    Limits,
    Member,
    Message,
    Params,
    Room,
    WebSocket,
    everyone,
    from_member,
    on,
)
from herdwick.runtime import Slot
from herdwick.runtime.tree import children_of

from .holdings import hold

SECRET: Final = "the secret"
CLOSE_TIMEOUT: Final = float(os.environ.get("CLOSE_TIMEOUT", "1"))
"""Short, for a drain takes as long where somebody does not read."""
IDLE: Final = 0.3
"""Seconds after which a room that nobody needs is put away."""

app = Application(limits=Limits(close_timeout=CLOSE_TIMEOUT, pause_timeout=5.0))

# ---------------------------------------------------------------- echoes

answered: Counter[str] = Counter()
"""How many messages were answered, by the name that the client has given itself."""


@app.lifespan
async def tell() -> AsyncGenerator[None]:
    """Tell in the end how many messages were answered, whoever has read the answers."""
    yield
    print(f"answered {msgspec.json.encode(answered).decode()}", file=sys.stderr, flush=True)


@app.ws("/echo/{name}")
async def echo(websocket: WebSocket, name: str) -> None:
    """Answer each message with itself."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
        answered[name] += 1


@app.ws("/endless")
async def endless(websocket: WebSocket) -> None:
    """Send without end, as fast as the peer reads."""
    await websocket.accept()
    while True:
        await websocket.send_bytes(bytes(10_000))


# ---------------------------------------------------------------- crashes


class OwnBaseException(BaseException):
    """Not even an `Exception`."""


def _raise(make: Callable[[], BaseException]) -> Callable[[], Never]:
    def fail() -> Never:
        raise make()  # a new one: the traceback of an old one would grow

    return fail


def _recurse() -> None:
    _recurse()


FAILURES: Final[dict[str, Callable[[], object]]] = {
    "ValueError": _raise(lambda: ValueError(SECRET)),
    "ExceptionGroup": _raise(lambda: ExceptionGroup(SECRET, [ValueError(SECRET)])),
    "RecursionError": _recurse,
    "OwnBaseException": _raise(lambda: OwnBaseException(SECRET)),
    "SystemExit": _raise(lambda: SystemExit(SECRET)),
    "KeyboardInterrupt": _raise(lambda: KeyboardInterrupt(SECRET)),
    # By hand, without anybody having cancelled; trio's cannot be made by hand.
    "CancelledError": _raise(lambda: asyncio.CancelledError(SECRET)),
    "return": lambda: None,
}
"""What handlers raise; the last one only returns."""


@app.ws("/fail/{kind}")
async def fail(websocket: WebSocket, kind: str) -> None:
    """Fail at the first message."""
    await websocket.accept()
    await websocket.receive_text()
    FAILURES[kind]()


# ---------------------------------------------------------------- rooms


class Say(Ask[int]):
    """Broadcast this, and answer with its number."""

    by: str
    n: int


class Fault(Ask[int]):
    """Make a mistake while a member is served."""


class Poison(Message):
    """Crash whoever handles it."""


PAD: Final = "x" * 2048
"""So that who stops reading is soon behind."""


class Fell(Room[Say | Fault | Poison]):
    """Broadcasts what its members say, and can be poisoned."""

    def __init__(self, name: str) -> None: ...

    async def on_join(self, member: Member, params: Params) -> object:
        """Tell the one who joins what its connection is called."""
        return member.id

    @from_member(Say)
    async def say(self, message: Say, member: Member) -> int:
        """Broadcast it."""
        await self.broadcast([message.by, message.n, PAD])
        return message.n

    @from_member(Fault)
    async def fault(self, message: Fault, member: Member) -> int:
        """Fail, as on any client's mistake."""
        raise ValueError(SECRET)

    @on(Poison)
    async def drink(self, message: Poison) -> None:
        """Crash."""
        raise LookupError("poisoned")


HISTORY: Final = History(size=300, ttl=600.0)
SLOW: Final = CatchUp(patience=5.0)
room = app.room("fell:{name}", history=HISTORY, slow=SLOW, cool_down=2.0)(Fell)
app.room("hut:{name}", presence=True, idle=IDLE)(type("Hut", (Fell,), {"__init__": Fell.__init__}))
app.topic("tick", history=HISTORY, slow=SLOW, authorize=everyone, idle=3600)
app.topic("flood", slow=Disconnect(), authorize=everyone)


@app.ws("/rooms")
async def rooms(websocket: WebSocket) -> None:
    """Speak herdwick.v1."""
    await websocket.serve_rooms()


@app.ws("/member/{topic}")
async def member(websocket: WebSocket, topic: str) -> None:
    """Be a plain member."""
    await websocket.accept()
    async with websocket.join(topic):
        await websocket.wait_closed()


@app.ws("/flood/{each_second:int}/{size:int}")
async def flood(websocket: WebSocket, each_second: int, size: int) -> None:
    """Broadcast messages of a size to the topic `flood`, for as long as the client says."""
    await websocket.accept()
    seconds = float(await websocket.receive_text())
    began = anyio.current_time()
    for number in range(int(seconds * each_second)):
        await app.broadcast("flood", f"{number} {time.monotonic()} ".ljust(size, "x"))
        await anyio.sleep_until(began + number / each_second)
    await websocket.send_text("done")


# ---------------------------------------------------------------- a service, and who kills


async def tick(context: Context[Poison]) -> None:
    """Publish the time, ten times a second, over all incarnations."""
    context.every(0.1, Poison())
    while True:
        await context.receive()
        await app.broadcast("tick", ["tick", next(_ticks), ""])


_ticks = iter(range(1, 10**9))
app.supervise(Child(tick))


@app.post("/crash/{path:path}")
async def crash(path: str) -> bool:
    """Crash what stands at a path of the tree, whatever it does now; tell whether it lived."""
    slot = _find(path)
    life = None if slot is None else slot.life
    if life is None or life.over or life.ending or not life.acknowledged:
        return False
    life.fail(OSError("chaos"))
    return True


@app.post("/poison/{name}")
async def poison(name: str) -> bool:
    """Poison a room."""
    return app.room_ref(room, name).tell(Poison())


def _find(path: str) -> Slot | None:
    slot = app.system._slot  # pyright: ignore[reportPrivateUsage]  # to find them all
    for name in path.split("/")[1:]:
        named = {child.path.rpartition("/")[2]: child for child in children_of(slot)}
        if name not in named:
            return None
        slot = named[name]
    return slot


# ---------------------------------------------------------------- who looks


@app.get("/holdings")
async def holdings() -> Any:
    """Tell what the process holds."""
    return msgspec.to_builtins(hold(app))


@app.get("/tree")
async def tree() -> list[str]:
    """Give the paths of all that runs."""
    return [node.path for node in app.system.tree()]


@app.get("/positions")
async def positions() -> dict[str, str]:
    """Tell how far each topic with a history is."""
    topics = app._rooms.realtime.topics  # pyright: ignore[reportPrivateUsage]  # nobody else has it
    return {
        name: str(topic.position) for name, topic in topics.items() if topic.position is not None
    }
