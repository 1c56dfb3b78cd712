"""The application under fire: its topics, its room, and what they have done."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final, cast
from urllib.parse import unquote

import anyio
import anyio.lowlevel
import msgspec

from herdwick import Application, Limits, WebSocket
from herdwick.actors import (
    CatchUp,
    Conflate,
    Connection,
    Data,
    Disconnect,
    Hall,
    History,
    JoinRefused,
    Left,
    Member,
    Membership,
    NotAMember,
    Params,
    Position,
    Publication,
    Realtime,
    Room,
    Slow,
    Topic,
    from_member,
)
from herdwick.protocol import Publication as Frame
from herdwick.protocol import encode
from herdwick.runtime import Ask, AskError, Rejected, Slot, slot_of
from herdwick.runtime.tree import children_of
from herdwick.websocket import Request, WebSocketDisconnectError

from .lines import Line

OUTBOX: Final = 3000
CAPACITY: Final = 6
"""Pushes that may wait for the room."""
HISTORY: Final = History(size=400, ttl=10_000.0)


class Note(msgspec.Struct, frozen=True):
    """What is published: by whom, the how manieth of his, and of which key."""

    by: str
    n: int
    c: int = 0
    pad: str = ""


class Say(Ask[int]):
    """Broadcast this, after some work, and answer with its number."""

    n: int
    work: float = 0.0


def color(note: Note) -> int:
    """Give what a newer one takes the place of."""
    return note.c


SLOW: Final[dict[str, Slow]] = {
    "room": CatchUp(patience=20.0),
    "catch": CatchUp(patience=20.0),
    "cut": Disconnect(),
    "melt": Conflate[Note](key=color, patience=20.0),
    "beat": Conflate[Note](key=color, interval=0.5, patience=20.0),
}


class Book:
    """The log of one topic, as somebody sees it who has it open and misses nothing."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.entries: list[Publication] = []
        self.offset_of: dict[str, int] = {}
        """By the frame that tells of it, of either wire."""
        self.place: dict[tuple[str, int], int] = {}
        """By whom and the number, where it stands."""
        self.plain: list[Data] = []
        """The frames for plain members, in order."""
        self.v1: list[Data] = []
        """Those of herdwick.v1."""
        self.excludes = False
        """Whether any of them is not for all."""
        self.epoch = ""

    def hear(self, publication: Publication) -> None:
        """Write down the next one."""
        position, note = publication.position, publication.payload
        assert isinstance(note, Note)
        assert position is not None
        assert position.offset == len(self.entries) + 1
        assert (note.by, note.n) not in self.place, f"{note} was recorded twice"
        self.epoch = position.epoch
        self.entries.append(publication)
        self.place[note.by, note.n] = position.offset
        self.excludes |= bool(publication.exclude)
        raw = msgspec.json.encode(note)
        plain, v1 = raw.decode(), encode(Frame(self.topic, msgspec.Raw(raw), str(position)))
        self.offset_of[plain] = self.offset_of[v1] = position.offset
        self.plain.append(plain)
        self.v1.append(v1)

    @property
    def end(self) -> int:
        return len(self.entries)

    def follows(self, at: int, frames: list[Data], *, v1: bool) -> bool:
        """Whether these are exactly what stands after an offset: a short way for very many."""
        expected = self.v1 if v1 else self.plain
        return not self.excludes and frames == expected[at : at + len(frames)]

    def at(self, offset: int) -> Publication:
        return self.entries[offset - 1]

    def note(self, offset: int) -> Note:
        note = self.at(offset).payload
        assert isinstance(note, Note)
        return note


@dataclass
class Ledger:
    """What has happened, whoever crashed meanwhile."""

    handled: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """What the room has begun to handle: whose, and the number."""
    pushed: dict[str, dict[int, object]] = field(default_factory=dict[str, dict[int, object]])
    """What plain members have pushed, by their ids: the answer, or the error's class."""
    began: dict[str, Position | None] = field(default_factory=dict[str, Position | None])
    """Where plain members stood when they had joined."""
    audience: dict[tuple[str, str, int], frozenset[Member]] = field(
        default_factory=dict[tuple[str, str, int], frozenset[Member]]
    )
    """By topic, publisher and number: who was a member when it was published, unrecorded."""
    room: Arena | None = None
    """The incarnation that has started last."""
    double_leaves: list[str] = field(default_factory=list[str])


class Arena(Room[Say]):
    """A room that writes down what it sees."""

    ledger: Ledger

    def __init__(self, name: str) -> None:
        self.known: set[str] = set()

    async def on_start(self) -> None:
        self.ledger.room = self

    async def on_join(self, member: Member, params: Params) -> object:
        if "work" in params:
            await anyio.sleep(float(params["work"]))
        if "refuse" in params:
            raise JoinRefused("not you")
        self.known.add(member.id)
        self.presence.track(member, {"id": member.id})
        return {"hello": member.id}

    async def on_reattach(self, member: Member) -> None:
        self.known.add(member.id)

    async def on_leave(self, member: Member, reason: Left) -> None:
        if member.id not in self.known:
            self.ledger.double_leaves.append(member.id)
        self.known.discard(member.id)

    @from_member(Say)
    async def say(self, message: Say, member: Member) -> int:
        self.ledger.handled.append((member.id, message.n))
        if message.work:
            await anyio.sleep(message.work)
        await self.broadcast(Note(f"push {member.id}", message.n))
        return message.n


class Stage:
    """The application while it runs, and those who look behind it."""

    def __init__(self, outbox: int = OUTBOX, history: History = HISTORY) -> None:
        self.ledger = ledger = Ledger()
        limits = Limits(outbox_bytes=outbox, inbox_messages=2000, connections=10_000)
        self.app = app = Application(limits=limits)
        self.outbox = outbox
        self.books: dict[str, Book] = {}
        self.scopes: dict[anyio.CancelScope, None] = {}
        """What can be cancelled: publishers, pushers, joiners."""
        self.history = history
        self._numbers = count(1)

        class Pit(Arena):
            pass

        Pit.ledger = ledger
        app.room(
            "room:{name}", history=history, slow=SLOW["room"], presence=True, capacity=CAPACITY
        )(Pit)
        for kind in ("catch", "cut", "melt", "beat"):
            app.topic(
                f"{kind}:{{name}}", history=history, slow=SLOW[kind], authorize=self._authorize
            )
        app.topic("bare:{name}", authorize=self._authorize)

        @app.ws("/v1")
        async def v1(websocket: WebSocket) -> None:
            await websocket.serve_rooms()

        @app.ws("/plain/{topic}")
        async def plain(websocket: WebSocket, topic: str) -> None:
            await websocket.accept()
            await Plain(self, websocket, topic).run()

    @asynccontextmanager
    async def running(self, *topics: str) -> AsyncGenerator[None]:
        """Run it, and have the logs of these topics open all the time."""
        async with self.app.running():
            for topic in topics:
                book = self.books[topic] = Book(topic)
                if not topic.startswith("bare"):
                    self.realtime.store.open(topic, self.history, book.hear)
            yield

    @property
    def realtime(self) -> Realtime:
        return self.app._rooms.realtime  # pyright: ignore[reportPrivateUsage]  # nobody else has it

    def topic(self, name: str) -> Topic | None:
        return self.realtime.topics.get(name)

    # ------------------------------------------------------------------ connections

    async def connect(self, path: str, *, prompt: bool = True) -> tuple[Connection, Line]:
        """Open a connection."""
        line = Line(self.outbox, prompt=prompt)
        path, _, query = path.partition("?")
        scope: dict[str, object] = {
            "type": "websocket",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "ws",
            "query_string": query.encode(),
            "headers": [(b"host", b"here"), (b"sec-websocket-protocol", b"herdwick.v1")],
            "subprotocols": ["herdwick.v1"],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "extensions": {},
            "state": {},
        }
        connection = self.app.connect(Request(scope), line)
        await line.answered.wait()
        assert line.status is None
        return connection, line

    async def _authorize(self, member: Member, params: Params) -> None:
        if "work" in params:
            await anyio.sleep(float(params["work"]))
        if "refuse" in params:
            raise JoinRefused("not you")

    # ------------------------------------------------------------------ publishing

    def expect_unrecorded(self, topic: str, note: Note) -> None:
        """Write down who is to hear of it: those who are members now."""
        found = self.topic(topic)
        members = frozenset(found.members.values() if found is not None else ())
        self.ledger.audience[topic, note.by, note.n] = members

    async def cancellable(self, run: Callable[[], Awaitable[object]]) -> None:
        """Run something that may be cancelled at any moment."""
        with anyio.CancelScope() as scope:
            self.scopes[scope] = None
            try:
                await run()
            finally:
                del self.scopes[scope]

    # ------------------------------------------------------------------ crashes

    def places(self) -> dict[str, Slot]:
        """Give all places of the branch, and that of the presence, by their paths."""
        ref = self.app.system.ref(self.realtime.announcer)
        presence = slot_of(ref)
        root = self.app.system._slot  # pyright: ignore[reportPrivateUsage]  # to find them all
        found = {} if presence is None else {"presence": presence}
        waiting = [slot for slot in children_of(root) if slot.spec.name == "realtime"]
        while waiting:
            slot = waiting.pop()
            found[slot.path.removeprefix("root/")] = slot
            waiting += children_of(slot)
        return found

    def crash(self, path: str) -> bool:
        """Crash what stands there, whatever it does now; tell whether it lived."""
        slot = self.places().get(path)
        life = None if slot is None else slot.life
        if life is None or life.over or life.ending or not life.acknowledged:
            return False
        life.fail(OSError("under fire"))
        return True


class Plain:
    """The handler of a plain member: it does what its client says."""

    def __init__(self, stage: Stage, websocket: WebSocket, topic: str) -> None:
        self._stage = stage
        self._websocket = websocket
        self._topic = topic
        self._id = websocket.id

    async def run(self) -> None:
        """Join, perhaps only try to, and take orders."""
        websocket, since = self._websocket, self._websocket.query.get("since")
        position = None if since is None else Position.parse(since)
        with anyio.CancelScope() as scope:
            self._stage.scopes[scope] = None
            try:
                async with websocket.join(self._topic, since=position) as room:
                    del self._stage.scopes[scope]
                    self._stage.ledger.began[self._id] = room.position
                    await self._member(cast("Membership[Say]", room))
            except (JoinRefused, NotAMember, WebSocketDisconnectError):
                pass
            finally:
                self._stage.scopes.pop(scope, None)
        websocket.connection.offer("left")
        async for _ in websocket:
            pass

    async def _member(self, room: Membership[Say]) -> None:
        async for order in self._websocket.iter_json():
            match order:
                case ["say", work]:
                    self._websocket.start_soon(self._push, room, work)
                case ["publish", n, record]:
                    self._websocket.start_soon(self._publish, room, n, record)
                case _:
                    return

    async def _push(self, room: Membership[Say], work: float) -> None:
        answers = self._stage.ledger.pushed.setdefault(self._id, {})

        async def push() -> None:
            say = Say(len(answers) + 1, work)  # trio runs tasks in any order: this one counts
            answers[say.n] = "cancelled"
            try:
                answers[say.n] = await room.push(say)
            except (AskError, Rejected, JoinRefused, NotAMember) as error:
                answers[say.n] = type(error).__name__

        await self._stage.cancellable(push)

    async def _publish(self, room: Membership[Say], n: int, record: bool) -> None:
        note = Note(f"plain {self._id}", n, n % 3)

        async def publish() -> None:
            if not record or self._topic.startswith("bare"):
                self._stage.expect_unrecorded(self._topic, note)
            await room.broadcast(note, record=record)

        try:
            await self._stage.cancellable(publish)
        except NotAMember:
            self._stage.ledger.audience.pop((self._topic, note.by, note.n), None)


def is_hall(topic: Topic | None) -> bool:
    return isinstance(topic, Hall)


async def turns(number: int) -> None:
    """Let the others run."""
    for _ in range(number):
        await anyio.lowlevel.checkpoint()
