"""A room that obeys any order, clients of both kinds, and hands to break what stands in between."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar, TypeAlias

import msgspec
import pytest

from herdwick import (
    LATER,
    Application,
    Ask,
    History,
    Later,
    Left,
    Limits,
    Member,
    Membership,
    Message,
    Params,
    PresenceDiff,
    Rejected,
    Reply,
    Room,
    WebSocket,
    WebSocketDisconnectError,
    everyone,
    from_member,
    on,
)
from herdwick.protocol import (
    SUBPROTOCOL,
    ClientFrame,
    Join,
    Joined,
    Push,
    Refused,
    ServerFrame,
    decode_server,
    encode,
)
from herdwick.testing import TestClient, TestWebSocket, settle
from tests.runtime.samples import Door

# ------------------------------------------------------------------ the room


class Say(Message):
    """Broadcast this."""

    text: str


class Count(Ask[int]):
    """How much has this incarnation broadcast?"""


class Fail(Message):
    """Raise an error."""

    text: str = "a secret"


class Refuse(Message):
    """Answer no."""

    detail: str = "no"


class Stay(Message):
    """Wait until the door opens."""


class Defer(Ask[str]):
    """Answer once somebody tells `Answer`."""


class Kick(Message):
    """Put out the one who says so."""

    reason: str | None = None


class Save(Message):
    """Take a snapshot."""


class Note(Message):
    """Write this down; for actors only."""

    text: str


class Crash(Message):
    """Raise an error; for actors only."""

    text: str = "a bug"


class Reveal(Message):
    """Answer what was deferred; for actors only."""

    text: str


Orders = Say | Count | Fail | Refuse | Stay | Defer | Kick | Save | Note | Crash | Reveal


class Diary(Room[Orders]):
    """Writes down, beyond its own life, what becomes of it."""

    journal: ClassVar[list[str]]
    door: ClassVar[Door]

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: list[str] = []
        self.replies: list[Reply[str]] = []

    async def on_start(self) -> None:
        self.journal.append("start")

    async def on_join(self, member: Member, params: Params) -> object:
        self.journal.append("join")
        return params.get("welcome")

    async def on_reattach(self, member: Member) -> None:
        self.journal.append("reattach")

    async def on_leave(self, member: Member, reason: Left) -> None:
        self.journal.append(f"leave {reason.kind}")

    async def on_presence(self, diff: PresenceDiff) -> None:
        self.journal.append(f"presence +{len(diff.joins)} -{len(diff.leaves)}")

    async def snapshot(self) -> object:
        return list(self.said)

    async def restore(self, snapshot: object) -> None:
        self.said = msgspec.convert(snapshot, list[str])
        self.journal.append(f"restore {len(self.said)}")

    @from_member(Say)
    async def say(self, message: Say, member: Member) -> None:
        self.said.append(message.text)
        await self.broadcast(message.text)

    @from_member(Count)
    async def count(self, message: Count, member: Member) -> int:
        return len(self.said)

    @from_member(Fail)
    async def fail(self, message: Fail, member: Member) -> None:
        raise ValueError(message.text)

    @from_member(Refuse)
    async def refuse(self, message: Refuse, member: Member) -> None:
        raise Rejected(message.detail)

    @from_member(Stay)
    async def stay(self, message: Stay, member: Member) -> None:
        self.journal.append("stay")
        await self.door.passed()

    @from_member(Defer)
    async def defer(self, message: Defer, member: Member) -> Later:
        self.replies.append(self.ctx.defer(message))
        return LATER

    @from_member(Kick)
    async def kick(self, message: Kick, member: Member) -> None:
        member.remove(message.reason)

    @from_member(Save)
    async def keep(self, message: Save, member: Member) -> None:
        await self.save()

    @on(Note)
    async def note(self, message: Note) -> None:
        self.journal.append(message.text)

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise RuntimeError(message.text)

    @on(Reveal)
    async def reveal(self, message: Reveal) -> None:
        for reply in self.replies:
            reply(message.text)


def diary(app: Application, pattern: str = "room:{name}", **options: Any) -> type[Diary]:
    """Declare a room class of its own, with a journal and a door of its own."""

    class Own(Diary):
        journal: ClassVar[list[str]] = []
        door: ClassVar[Door] = Door()

    return app.room(pattern, **options)(Own)


KEPT = History(size=100)


# ------------------------------------------------------------------ clients


def topics(app: Application, path: str = "/{topic}", **options: Any) -> None:
    """Let clients join a topic by its name, and hear what comes."""

    @app.ws(path, **options)
    async def handler(websocket: WebSocket, topic: str) -> None:
        await websocket.accept()
        async with websocket.join(topic):
            await websocket.wait_closed()


def joins(app: Application, topic: str, **options: Any) -> None:
    """Let clients join at `/`, with options."""

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join(topic, **options):
            await websocket.wait_closed()


async def ending(socket: TestWebSocket) -> tuple[int, str]:
    """Wait for the end of a connection."""
    with pytest.raises(WebSocketDisconnectError) as caught:
        while True:
            await socket.receive()
    return caught.value.code, caught.value.reason or ""


async def heard(socket: TestWebSocket) -> list[Any]:
    """Give all that has come, and let no time pass."""
    messages: list[Any] = []
    await settle()
    with suppress(TimeoutError, WebSocketDisconnectError):
        while True:
            data = await socket.receive(timeout=0)
            messages.append(data if isinstance(data, bytes) else _plain(data))
    return messages


def _plain(data: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data  # text travels as it is


@dataclass
class Peer:
    """A client of herdwick.v1."""

    socket: TestWebSocket
    refs: "count[int]" = field(default_factory=lambda: count(1))

    async def send(self, frame: ClientFrame) -> None:
        await self.socket.send_text(encode(frame))

    async def take(self) -> ServerFrame:
        return decoded(await self.socket.receive_text())

    async def ask(self, frame: ClientFrame) -> ServerFrame:
        """Send a frame, and take what comes next."""
        await self.send(frame)
        return await self.take()

    async def join(self, topic: str, **more: Any) -> Joined:
        joined = await self.ask(Join(next(self.refs), topic, **more))
        assert isinstance(joined, Joined), joined
        return joined

    async def refused(self, frame: ClientFrame) -> Refused:
        refused = await self.ask(frame)
        assert isinstance(refused, Refused), refused
        return refused

    def pushed(self, topic: str, message: object) -> Push:
        return Push(topic, raw(message), next(self.refs))

    async def push(self, topic: str, message: object) -> None:
        """Push, and let the answer come when it does."""
        await self.send(self.pushed(topic, message))

    async def heard(self) -> list[ServerFrame]:
        return [decoded(msgspec.json.encode(each)) for each in await heard(self.socket)]


def decoded(data: str | bytes) -> ServerFrame:
    """Read a frame that the server has sent."""
    frame = decode_server(data)
    assert frame is not None
    return frame


def raw(value: object) -> msgspec.Raw:
    """Write a payload."""
    return msgspec.Raw(msgspec.json.encode(value))


def live(app: Application, *only: str | type[Room[Any]], path: str = "/live") -> None:
    """Serve herdwick.v1 at a path."""

    @app.ws(path)
    async def handler(websocket: WebSocket) -> None:
        await websocket.serve_rooms(*only)


def open_to_all(limits: Limits | None = None, **options: Any) -> Application:
    """Give an application with a room, a topic that is open, and one that is not."""
    app = Application(limits=limits)
    diary(app, **options)
    app.topic("news:{name}", history=KEPT, authorize=everyone)
    app.topic("inside")
    live(app)
    return app


@asynccontextmanager
async def peer(client: TestClient, path: str = "/live", **more: Any) -> AsyncGenerator[Peer]:
    """Connect with herdwick.v1."""
    async with client.websocket_connect(path, subprotocols=[SUBPROTOCOL], **more) as socket:
        yield Peer(socket)


Script: TypeAlias = Callable[[Membership[Any]], Awaitable[None]]


@asynccontextmanager
async def membership(
    app: Application, own: type[Diary], script: Script | None = None
) -> AsyncGenerator[tuple[TestClient, TestWebSocket]]:
    """Run the application with one member, who does what the script says, and then stays."""
    done: list[str] = []

    @app.ws("/{name}")
    async def handler(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        async with websocket.join(own, name) as room:
            if script is not None:
                await script(room)
            done.append(name)
            await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/fell") as socket:
        await settle()
        yield client, socket
    assert done or socket.close_code is not None
