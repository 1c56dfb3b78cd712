"""Clients that check, message by message, what the server has promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import msgspec

from herdwick import protocol
from herdwick.actors import Connection, Data, Position

from .arena import Note, Say, Stage
from .lines import Line

Asked: TypeAlias = tuple[Literal["join", "leave", "push", "ping"], str, int]
"""What a ref stands for: the request, the topic, and the number of a push."""

CHUNK: Final = 128
"""Messages that are compared at once."""
UNTOUCHED: Final = {"full", "unavailable", "not_joined"}
"""Refusals that say: the room has not got it."""
POSSIBLE: Final = {"failed", "crashed", "timeout", *UNTOUCHED}


REFUSALS = ("forbidden", "unavailable", "already_joined", "not_joined", "failed")
"""What a join may be refused with under fire."""


@dataclass
class Cursor:
    """How far a client has come on one topic."""

    topic: str
    joined: bool = False
    at: Position | None = None
    """Where it would resume."""
    thinned: bool = False
    """Whether it was told, since it joined, that values were left out."""
    jumps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Where values were left out: behind which offset, and before which."""
    seen: set[int] = field(default_factory=set[int])
    unrecorded: dict[tuple[str, int], None] = field(default_factory=dict[tuple[str, int], None])
    """What it has seen in this membership."""
    present: dict[str, dict[str, object]] | None = None
    gaps: int = 0
    latest: dict[str, int] = field(default_factory=dict[str, int])
    """By whom, the number of the last that has come in this membership."""

    def hear(self, note: Note) -> None:
        """Take note of one, whether it is recorded or not."""
        assert note.n > self.latest.get(note.by, 0), f"{note} was overtaken on {self.topic}"
        if note.by.startswith("p") and not note.by.startswith("plain"):
            self.latest[note.by] = note.n


class Peer:
    """A client of either kind, over one connection after another."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.connection: Connection
        self.line: Line
        self.gone = True
        self.numbers = count(1)

    @property
    def open(self) -> bool:
        """Whether it has a connection that neither side has ended."""
        return not self.gone and self.line.ending is None

    def deliver(self, data: Data) -> None:
        if self.open:
            self.connection.deliver(data)

    def drop(self, code: int = 1006) -> None:
        """Be lost."""
        if not self.gone:
            self.gone = True
            ended = self.line.ending is not None
            self.line.close(code)
            self.line.waiting.clear()
            if not ended:
                self.connection.disconnected(code, "")

    def check(self) -> None:
        """Check all that has come; what has ended was meant to end so."""
        received, self.line.received = self.line.received, []
        for start in range(0, len(received), CHUNK):
            frames = received[start : start + CHUNK]
            if not self._take_all(frames):
                for data in frames:
                    assert isinstance(data, str)
                    self._take(data)
        assert self.connection.error is None, self.connection.error
        if self.line.ending is not None and not self.gone:
            self._ended(*self.line.ending)

    def _take_all(self, frames: list[Data]) -> bool:
        """Take what is exactly what is expected; False where it has to be looked at."""
        return False

    def _take(self, data: str) -> None:
        raise NotImplementedError

    def _ended(self, code: int, reason: str) -> None:
        assert code == 1013, f"{self.name} was closed with {code} {reason}"
        assert self.line.lagged, f"{self.name} reads at once, and was closed as too slow"


class V1Peer(Peer):
    """A client of herdwick.v1, member of many topics."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.cursors: dict[str, Cursor] = {}
        self.asked: dict[int, Asked] = {}
        """What is not answered yet, by its ref."""
        self.since: dict[int, Position | None] = {}
        """Where each join has asked to resume."""
        self.answered: dict[tuple[str, int], object] = {}
        """By connection and number of a push: what it came to."""
        self.recovered = 0

    # ------------------------------------------------------------------ what it does

    async def connect(self, *, prompt: bool = True) -> None:
        """Connect, again perhaps, and resume all that it was a member of."""
        self.drop()
        topics = [cursor.topic for cursor in self.cursors.values() if cursor.joined]
        self.asked.clear()
        for cursor in self.cursors.values():
            cursor.joined = False
        self.connection, self.line = await self.stage.connect("/v1", prompt=prompt)
        self.gone = False
        for topic in topics:
            self.join(topic)

    def join(self, topic: str, **params: object) -> None:
        cursor = self.cursors.setdefault(topic, Cursor(topic))
        since = None if cursor.at is None else str(cursor.at)
        frame = protocol.Join(self._ref("join", topic), topic, dict(params), since)
        self.since[frame.ref] = cursor.at
        self.deliver(protocol.encode(frame))

    def leave(self, topic: str) -> None:
        self.cursors.setdefault(topic, Cursor(topic))
        self.deliver(protocol.encode(protocol.Leave(self._ref("leave", topic), topic)))

    def push(self, topic: str, *, work: float = 0.0, answer: bool = True) -> None:
        n = next(self.numbers)
        payload = msgspec.Raw(msgspec.json.encode(Say(n, work)))
        ref = self._ref("push", topic, n) if answer else None
        self.deliver(protocol.encode(protocol.Push(topic, payload, ref)))

    def ping(self) -> None:
        self.deliver(protocol.encode(protocol.Ping(self._ref("ping", ""))))

    def _ref(self, what: Literal["join", "leave", "push", "ping"], topic: str, n: int = 0) -> int:
        ref = next(self.numbers)
        if self.open:
            self.asked[ref] = (what, topic, n)
        return ref

    # ------------------------------------------------------------------ what it hears

    def _take_all(self, frames: list[Data]) -> bool:
        if len(self.cursors) != 1:
            return False
        [cursor] = self.cursors.values()
        at, book = cursor.at, self.stage.books[cursor.topic]
        if not cursor.joined or at is None or not book.follows(at.offset, frames, v1=True):
            return False
        cursor.at = Position(at.epoch, at.offset + len(frames))
        return True

    def _take(self, data: str) -> None:
        for cursor in self.cursors.values():  # mostly it is the next one, of one of few topics
            book = self.stage.books[cursor.topic]
            offset = book.offset_of.get(data)
            if offset is not None:
                self._recorded(cursor, offset)
                return
        frame = protocol.decode_server(data)
        assert frame is not None
        self._frame(frame)

    def _frame(self, frame: protocol.ServerFrame) -> None:
        match frame:
            case protocol.Publication(topic, payload, None):
                self._unrecorded(self._member_of(topic), msgspec.json.decode(payload, type=Note))
            case protocol.Moved(topic, text):
                position = Position.parse(text)
                self._next(self._member_of(topic), position.offset)
                excluded = self.stage.books[topic].at(position.offset).exclude
                assert self.connection.name in excluded
            case protocol.Gap():
                self._gap(self._member_of(frame.topic), frame)
            case protocol.Presence():
                self._presence(self._member_of(frame.topic), frame)
            case protocol.Joined():
                self._joined(frame)
            case protocol.Reply() | protocol.Refused():
                self._answer(frame)
            case _:
                raise AssertionError(f"{self.name} has not expected {frame}")

    def _member_of(self, topic: str) -> Cursor:
        cursor = self.cursors[topic]
        assert cursor.joined, f"{self.name} hears of {topic}, and is no member"
        return cursor

    def _recorded(self, cursor: Cursor, offset: int) -> None:
        assert cursor.joined, f"{self.name} hears of {cursor.topic}, and is no member"
        excluded = self.stage.books[cursor.topic].at(offset).exclude
        assert self.connection.name not in excluded
        self._next(cursor, offset)
        cursor.seen.add(offset)
        cursor.hear(self.stage.books[cursor.topic].note(offset))

    def _next(self, cursor: Cursor, offset: int) -> None:
        at = cursor.at
        assert at is not None
        assert at.epoch == self.stage.books[cursor.topic].epoch
        if offset != at.offset + 1:
            jump = f"{self.name}, {cursor.topic}: {offset} came after {at.offset}"
            assert offset > at.offset, jump
            assert cursor.thinned, jump
            cursor.jumps.append((at.offset, offset))
        cursor.at = Position(at.epoch, offset)

    def _unrecorded(self, cursor: Cursor, note: Note) -> None:
        audience = self.stage.ledger.audience[cursor.topic, note.by, note.n]
        assert self.connection.name in {member.id for member in audience}, (
            f"{note} was published before the join"
        )
        assert (note.by, note.n) not in cursor.unrecorded, f"{note} came twice"
        cursor.unrecorded[note.by, note.n] = None
        cursor.hear(note)

    def _gap(self, cursor: Cursor, frame: protocol.Gap) -> None:
        cursor.gaps += 1
        position = None if frame.position is None else Position.parse(frame.position)
        if frame.reason == "conflated":
            assert cursor.topic.startswith(("melt", "beat"))
            assert position == cursor.at
            cursor.thinned = True
            return
        assert frame.reason in ("slow", "history")
        assert self.line.lagged
        assert position is not None
        assert cursor.at is not None
        assert position.offset > cursor.at.offset
        cursor.at = position

    def _presence(self, cursor: Cursor, frame: protocol.Presence) -> None:
        assert cursor.present is not None
        for key, metas in frame.joins.items():
            cursor.present.setdefault(key, {}).update(metas)
        for key, refs in frame.leaves.items():
            for ref in refs:
                cursor.present[key].pop(ref, None)
            if not cursor.present[key]:
                del cursor.present[key]

    # ------------------------------------------------------------------ answers

    def _joined(self, frame: protocol.Joined) -> None:
        what, topic, _ = self.asked.pop(frame.ref)
        assert (what, topic) == ("join", frame.topic)
        cursor = self.cursors[topic]
        assert not cursor.joined
        cursor.joined, cursor.thinned = True, False
        cursor.unrecorded.clear()
        cursor.latest.clear()
        if frame.presence is not None:
            cursor.present = {key: dict(metas) for key, metas in frame.presence.items()}
        position = None if frame.position is None else Position.parse(frame.position)
        since = self.since.pop(frame.ref)
        if since is not None:
            assert frame.recovered == (frame.gap is None)
            if frame.recovered:
                self.recovered += 1
                assert position == since
            else:
                assert frame.gap == "history"  # the epoch is the same for all of the test
                assert position is not None
                assert position.offset > since.offset + self.stage.history.size
        cursor.at = position

    def _answer(self, frame: protocol.Reply | protocol.Refused) -> None:
        assert frame.ref in self.asked, f"{self.name}: {frame} answers nothing, or once more"
        what, topic, n = self.asked.pop(frame.ref)
        refused = frame.code if isinstance(frame, protocol.Refused) else None
        match what:
            case "leave":
                assert refused is None
                self.cursors[topic].joined = False
            case "join":
                # already_joined: after a leave that it had not heard the answer of.
                assert refused in REFUSALS, frame
            case "push":
                self._push_answered(topic, n, frame)
            case _:
                assert refused is None

    def _push_answered(self, topic: str, n: int, frame: protocol.Reply | protocol.Refused) -> None:
        key = (self.connection.name, n)
        if isinstance(frame, protocol.Refused):
            assert frame.code in POSSIBLE, frame
            self.answered[key] = frame.code
            return
        assert msgspec.json.decode(frame.payload) == n
        self.answered[key] = n
        cursor = self.cursors[topic]
        if cursor.joined and not self.line.lagged:  # what was broadcast comes before the reply
            place = self.stage.books[topic].place[f"push {self.connection.name}", n]
            assert cursor.at is not None
            assert cursor.at.offset >= place


class PlainPeer(Peer):
    """A member through a handler: payloads, and nothing else."""

    def __init__(self, stage: Stage, name: str, topic: str) -> None:
        super().__init__(stage, name)
        self.topic = topic
        self.at: int | None = None
        self.asked_at = 0
        self.since: Position | None = None
        self.is_out = False
        self.unrecorded: dict[tuple[str, int], None] = {}
        self.greeted = False
        self.sent: list[str] = []

    async def connect(self, *, prompt: bool = True, resume: bool = False, work: float = 0) -> None:
        self.drop()
        book = self.stage.books[self.topic]
        since = None if self.at is None or not resume else Position(book.epoch, self.at)
        query = "" if since is None else f"&since={quote(str(since))}"
        self.since, self.asked_at, self.at = since, book.end, None
        self.is_out, self.greeted = False, False
        self.unrecorded.clear()
        path = f"/plain/{quote(self.topic)}?work={work}{query}"
        self.connection, self.line = await self.stage.connect(path, prompt=prompt)
        self.gone = False

    def say(self, *, work: float = 0.0) -> None:
        self.deliver(msgspec.json.encode(["say", work]).decode())

    def publish(self, *, record: bool) -> None:
        self.deliver(msgspec.json.encode(["publish", next(self.numbers), record]).decode())

    def leave(self) -> None:
        self.deliver('["leave"]')

    @property
    def joined(self) -> bool:
        """Whether it is a member, as far as the server is concerned."""
        topic = self.stage.topic(self.topic)
        return topic is not None and self.connection.name in topic.members

    def _take_all(self, frames: list[Data]) -> bool:
        at, book = self.at, self.stage.books[self.topic]
        if self.is_out or at is None or not book.follows(at, frames, v1=False):
            return False
        self.at = at + len(frames)
        return True

    def _take(self, data: str) -> None:
        if data == "left":
            self.is_out = True
            return
        assert not self.is_out, f"{self.name} hears {data} after it has left"
        if data.startswith('{"hello"'):
            assert not self.greeted
            assert msgspec.json.decode(data) == {"hello": self.connection.name}
            self.greeted = True
            return
        offset = self.stage.books[self.topic].offset_of.get(data)
        if offset is not None:
            self._recorded(offset)
        else:
            self._unrecorded(msgspec.json.decode(data, type=Note))

    def _recorded(self, offset: int) -> None:
        book, since = self.stage.books[self.topic], self.since
        assert self.connection.name not in book.at(offset).exclude
        conflated = self.topic.startswith(("melt", "beat"))
        if self.at is None:
            start = self.asked_at if since is None else since.offset
            whole = conflated or since is None or self._only_excluded(start, offset)
            assert whole or self._fell_short(), f"{offset} came after {since}"
        else:
            start = self.at
            whole = conflated or self._only_excluded(start, offset)
            assert whole, f"{offset} came after {start}"
        assert offset > start
        self.at = offset

    def _fell_short(self) -> bool:
        """Whether the history was too short for its join; a plain member is not told."""
        began = self.stage.ledger.began[self.connection.name]
        assert self.since is not None
        assert began is not None
        return began.offset > self.since.offset + self.stage.history.size

    def _only_excluded(self, before: int, after: int) -> bool:
        book = self.stage.books[self.topic]
        between = range(before + 1, after)
        return all(self.connection.name in book.at(each).exclude for each in between)

    def _unrecorded(self, note: Note) -> None:
        audience = self.stage.ledger.audience[self.topic, note.by, note.n]
        assert self.connection.name in {member.id for member in audience}, (
            f"{note} was published before the join"
        )
        assert (note.by, note.n) not in self.unrecorded, f"{note} came twice"
        self.unrecorded[note.by, note.n] = None
