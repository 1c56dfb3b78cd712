"""Members that check what comes: in order, once, or with a word of what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec

from herdwick import protocol
from herdwick.actors import Position

from .crowd import Client, Crowd

OFFERED: Final = f"Sec-WebSocket-Protocol: {protocol.SUBPROTOCOL}"
COMEBACK: Final = 0.2
"""Seconds until a client that was closed comes back, and until it asks to join again, about."""


class Books:
    """What stands at which position, as the first one who has heard of it has told."""

    def __init__(self) -> None:
        self.pages: dict[str, dict[Position, tuple[int, tuple[str, int]]]] = {}
        """By topic and position: a hash of the whole, who has said it, and the number."""

    def compare(self, topic: str, position: Position, payload: bytes) -> None:
        """Take note of a publication, which is the same for all."""
        page = self.pages.setdefault(topic, {})
        if position not in page:
            by, n, _ = msgspec.json.decode(payload, type=tuple[str, int, str])
            page[position] = hash(payload), (by, n)
        assert page[position][0] == hash(payload), f"{topic} {position} is not the same for all"

    def said(self, topic: str) -> list[tuple[str, int]]:
        """Give who has said which number, in the order of the positions."""
        page = self.pages.get(topic, {})
        return [page[position][1] for position in sorted(page, key=lambda each: each.offset)]


@dataclass
class Cursor:
    """How far a member has come on one topic."""

    joined: bool = False
    at: Position | None = None
    join_at: float | None = 0.0
    """When it asks to join; None while it has asked, and while it is in."""


@dataclass
class Notices:
    """What members were told of what they miss, and what happened to them."""

    gaps: int = 0
    recovered: int = 0
    left: int = 0
    ends: dict[int, int] = field(default_factory=dict[int, int])
    """How many connections have ended, by the code."""


class Fan:
    """A client of herdwick.v1 over one connection after another; it comes back by itself."""

    def __init__(
        self, crowd: Crowd, name: str, topics: tuple[str, ...], books: Books, notices: Notices
    ) -> None:
        self.name = name
        self.topics = topics
        self.id: str | None = None
        """What its connection is called in the server; None until it is told."""
        self.may_end: set[int] = set()
        """The codes that its connection may be closed with, because of what was done to it."""
        self.acknowledged: set[tuple[str, int]] = set()
        """What it has pushed, and was told that it is done: the topic, and the number."""
        self.cursors = {topic: Cursor() for topic in topics}
        self._books = books
        self._notices = notices
        self._crowd = crowd
        self._numbers = count(1)
        self._asked: dict[int, Callable[[protocol.Reply | protocol.Refused], None]] = {}
        self._joins: dict[int, tuple[str, Position | None]] = {}
        self._back_at: float | None = None
        self.client: Client
        self._connect()

    def has_heard_all(self, ends: Mapping[str, str]) -> bool:
        """Whether it is a member, and has heard all up to these positions."""
        return all(
            cursor.joined and str(cursor.at) == ends.get(topic)
            for topic, cursor in self.cursors.items()
        )

    # ------------------------------------------------------------------ what it does

    def go_on(self) -> None:
        """Come back, and ask to join, when it is time to."""
        now = time.monotonic()
        if self.client.phase == "over":
            self._come_back(now)
        elif self.client.phase == "open":
            for topic, cursor in self.cursors.items():
                if cursor.join_at is not None and cursor.join_at <= now:
                    self._join(topic, cursor)

    def say(self, topic: str) -> None:
        """Push a number, if it is a member."""
        if not self.cursors[topic].joined:
            return
        n = next(self._numbers)
        payload = msgspec.Raw(msgspec.json.encode({"type": "Say", "by": self.name, "n": n}))
        self._asked[n] = lambda answer: self._pushed(topic, n, answer)
        self.client.send(protocol.encode(protocol.Push(topic, payload, n)))

    def reset(self) -> None:
        """Be lost."""
        self.client.reset()

    def _connect(self) -> None:
        self.client = self._crowd.connect("/rooms", OFFERED, hear=self._hear)
        self.id, self._back_at = None, None
        self._asked.clear()
        self._joins.clear()
        for cursor in self.cursors.values():
            cursor.joined, cursor.join_at = False, 0.0

    def _come_back(self, now: float) -> None:
        if self._back_at is None:
            self._ended()
            self._back_at = now + COMEBACK
        elif now >= self._back_at:
            self.may_end.clear()
            self._connect()

    def _ended(self) -> None:
        end = self.client.end
        if end is None or self.client.status != 101:
            return  # it has left by itself, or was not let in
        self._notices.ends[end.code] = self._notices.ends.get(end.code, 0) + 1
        assert end.code in self.may_end, f"{self.name} was closed with {end.code} {end.reason}"
        assert not end.reason or end.code == 1013

    def _join(self, topic: str, cursor: Cursor) -> None:
        ref = next(self._numbers)
        self._joins[ref] = topic, cursor.at
        self._asked[ref] = lambda answer: self._not_joined(topic, answer)
        cursor.join_at = None
        since = None if cursor.at is None else str(cursor.at)
        self.client.send(protocol.encode(protocol.Join(ref, topic, since=since)))

    # ------------------------------------------------------------------ what it hears

    def _hear(self, client: Client, payload: bytes) -> None:
        if client is not self.client:
            return
        match protocol.decode_server(payload):
            case protocol.Publication(topic, said, str(position)):
                self._next(topic, Position.parse(position))
                self._books.compare(topic, Position.parse(position), bytes(said))
            case protocol.Moved(topic, position):
                self._next(topic, Position.parse(position))
            case protocol.Gap(topic, _, str(position)):
                self._notices.gaps += 1
                self._skip(topic, Position.parse(position))
            case protocol.Joined() as joined:
                self._joined(joined)
            case protocol.Left(topic, _, _, retry_after):
                self._notices.left += 1
                self._again(self.cursors[topic], retry_after)
            case protocol.Reply() | protocol.Refused() as answer:
                self._asked.pop(answer.ref)(answer)
            case frame:
                raise AssertionError(f"{self.name} has not expected {frame}")

    def _next(self, topic: str, position: Position) -> None:
        cursor = self.cursors[topic]
        assert cursor.joined, f"{self.name} hears of {topic}, and is no member"
        assert cursor.at is not None
        follows = Position(cursor.at.epoch, cursor.at.offset + 1)
        assert position == follows, f"{self.name}, {topic}: {position} comes after {cursor.at}"
        cursor.at = position

    def _skip(self, topic: str, position: Position) -> None:
        cursor = self.cursors[topic]
        assert cursor.at is not None
        assert cursor.at.epoch == position.epoch
        assert position.offset > cursor.at.offset
        cursor.at = position

    def _joined(self, joined: protocol.Joined) -> None:
        topic, since = self._joins.pop(joined.ref)
        del self._asked[joined.ref]
        cursor, position = self.cursors[topic], Position.parse(joined.position or "")
        assert topic == joined.topic
        if since is not None and joined.recovered:
            assert position == since
            self._notices.recovered += 1
        elif since is not None:
            assert joined.gap is not None, f"{self.name} was not told what it misses of {topic}"
            self._notices.gaps += 1
        cursor.joined, cursor.at = True, position
        told = msgspec.json.decode(joined.payload)
        self.id = told if isinstance(told, str) else self.id

    def _not_joined(self, topic: str, answer: protocol.Reply | protocol.Refused) -> None:
        assert isinstance(answer, protocol.Refused)
        del self._joins[answer.ref]
        assert answer.code in ("unavailable", "failed"), f"{self.name}, {topic}: {answer}"
        self._again(self.cursors[topic], answer.retry_after)

    def _again(self, cursor: Cursor, retry_after: float | None) -> None:
        cursor.joined = False
        cursor.join_at = time.monotonic() + (retry_after or COMEBACK)

    def _pushed(self, topic: str, n: int, answer: protocol.Reply | protocol.Refused) -> None:
        if isinstance(answer, protocol.Reply):
            assert msgspec.json.decode(answer.payload) == n
            self.acknowledged.add((topic, n))
        else:
            assert answer.code in ("crashed", "unavailable", "not_joined", "full", "failed"), answer
