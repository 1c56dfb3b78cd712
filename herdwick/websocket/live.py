"""A connection that speaks herdwick.v1, as docs/reference/herdwick-v1.md has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

import anyio
import msgspec

from herdwick import protocol
from herdwick.actors import (
    AlreadyJoined,
    HandlerFailed,
    InvalidParams,
    InvalidPosition,
    JoinFailed,
    Joining,
    JoinRefused,
    Left,
    Member,
    NotAMember,
    Params,
    Position,
    Push,
    Room,
    RoomFull,
    RoomUnavailable,
    TooManyTopics,
    Topic,
    UnknownTopic,
    hall_of,
)
from herdwick.routing import InvalidTopic, check_topic
from herdwick.runtime import Answer, AskTimeout, Crashed, NotHandled, Rejected, Unanswered

from .codec import encode_json, explain
from .http import HTTPError
from .identity import Identity
from .paces import Paces, TooFast
from .wires import V1Wire

if TYPE_CHECKING:
    from .sessions import Session
    from .websocket import WebSocket

Refresh: TypeAlias = Callable[[str], Awaitable[Identity]]

PATIENCE: Final = 30.0
"""Seconds that a room has to answer a push."""

RETRY_AFTER: Final = 1.0
"""Seconds after which it is worth another try, where nothing else is known."""


class Live:
    """One such connection: it reads frames, and answers each."""

    def __init__(self, websocket: WebSocket, session: Session, *, only: frozenset[str]) -> None:
        self._websocket = websocket
        self._connection = websocket.connection
        self._session = session
        self._rooms = session.rooms
        self._only = only
        """The patterns that can be joined here; empty: all that are open to the wire."""
        self._paces = Paces(session.limits)
        self._joins: dict[str, anyio.CancelScope] = {}
        self._full = False

    async def run(self) -> None:
        """Read and answer, until the connection is over."""
        async for data in self._websocket:
            await self._take(data)
            if self._full:
                self._full = False
                await self._connection.caught_up()

    async def _take(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._object("frames travel in text messages")
            return
        try:
            frame = protocol.decode_client(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            self._object(explain(error))
            return
        match frame:
            case protocol.Join():
                self._join(frame)
            case protocol.Leave():
                self._leave(frame)
            case protocol.Push():
                self._push(frame)
            case protocol.Refresh():
                # One at a time: the newest token counts, and whoever checks it is not flooded.
                await self._refresh(frame)
            case protocol.Ping(ref):
                self._say(protocol.Reply(ref))

    def _say(self, frame: protocol.ServerFrame) -> None:
        self._full |= self._connection.offer(protocol.encode(frame))

    def _object(self, problem: str) -> None:
        """Answer what is no frame, unless there was too much of that."""
        if self._session.forgives(self._connection):
            self._say(protocol.Error(protocol.INVALID_MESSAGE, problem))

    def _refuse(self, ref: int | None, error: Exception) -> None:
        if isinstance(error, TooFast) and error.again_and_again:
            self._connection.close_on_fault(1008, str(error))
        elif ref is not None:
            code, retry_after, detail = verdict(error)
            frame = protocol.Refused(ref, code, told(error), retry_after=retry_after)
            if detail is not None:
                frame = msgspec.structs.replace(frame, detail=written(detail))
            self._say(frame)

    # ------------------------------------------------------------------ join and leave

    def _join(self, frame: protocol.Join) -> None:
        if self._connection.ending is not None:
            return  # sent just before it hung up: nobody would ever end the membership
        try:
            self._paces.check_join(self._now())
            self._check_reachable(frame.topic)
            since = None if frame.since is None else Position.parse(frame.since)
            wire, identity = V1Wire(frame.ref), self._websocket.identity
            most = self._session.limits.topics
            joining = self._rooms.joining(frame.topic, self._connection, wire, identity, most)
        except (TooFast, JoinRefused, InvalidTopic, InvalidPosition) as error:
            self._refuse(frame.ref, error)
            return
        scope = self._joins[frame.topic] = anyio.CancelScope()
        self._websocket.start_soon(self._finish_join, frame, joining, since, scope)

    def _now(self) -> float:
        return self._connection.life.surroundings.clock()

    def _check_reachable(self, topic: str) -> None:
        check_topic(topic)
        found = self._rooms.find(topic)
        if found is None:
            raise UnknownTopic(topic, "there is no such topic")
        if self._only and found.kind.pattern not in self._only:
            raise UnknownTopic(topic, "it is not to be had here")
        if found.kind.room is None and found.kind.authorize is None:
            raise UnknownTopic(topic, "it is not to be joined from outside")

    async def _finish_join(
        self,
        frame: protocol.Join,
        joining: Joining,
        since: Position | None,
        scope: anyio.CancelScope,
    ) -> None:
        try:
            with scope:
                await joining.join(Params(frame.params or {}), since)
        except (JoinRefused, NotAMember) as error:
            if not joining.member.joined:
                self._refuse(frame.ref, error)
        finally:
            if self._joins.get(frame.topic) is scope:
                del self._joins[frame.topic]
        if scope.cancelled_caught and not joining.member.joined:
            self._refuse(frame.ref, JoinRefused("left before it had joined"))

    def _leave(self, frame: protocol.Leave) -> None:
        member = self._connection.memberships.get(frame.topic)
        scope = self._joins.pop(frame.topic, None)
        if member is not None:
            member.leave(Left("left"))
        if scope is not None:
            scope.cancel()
        self._say(protocol.Reply(frame.ref))

    # ------------------------------------------------------------------ pushes

    def _push(self, frame: protocol.Push) -> None:
        ref = frame.ref
        member = self._connection.memberships.get(frame.topic)
        if member is None or not member.joined:
            self._refuse(ref, NotJoined(frame.topic))
            return
        try:
            self._paces.check_push(frame.topic, self._connection.memberships, self._now())
            self._submit(member, frame)
        except (TooFast, NotHandled, JoinRefused, InvalidPush) as error:
            self._refuse(ref, error)

    def _submit(self, member: Member, frame: protocol.Push) -> None:
        topic = self._rooms.realtime.topic(frame.topic)
        message = decoded(topic, frame.payload)
        hall = hall_of(topic, type(message))
        answer = Told(partial(self._answer, frame.ref))
        hall.submit(Push(message, member, answer))
        if frame.ref is not None:
            late = partial(answer.fail, AskTimeout(hall.name, PATIENCE))
            answer.timer = hall.timers.call_later(PATIENCE, late)

    def _answer(self, ref: int | None, value: object, error: BaseException | None) -> None:
        if ref is None:
            return
        if isinstance(error, Exception):
            self._refuse(ref, error)
            return
        try:
            self._say(protocol.Reply(ref, msgspec.Raw(encode_json(value))))
        except TypeError as unencodable:  # what the room has returned
            self._refuse(ref, unencodable)

    # ------------------------------------------------------------------ tokens

    async def _refresh(self, frame: protocol.Refresh) -> None:
        try:
            self._paces.check_refresh(self._now())
            await self._websocket.refresh(frame.token)
        except TooFast as error:
            self._refuse(frame.ref, error)
        except HTTPError as error:
            later = RETRY_AFTER if error.status in (429, 503) else None
            reason = str(error) or "the token is not valid"
            self._refuse(frame.ref, JoinRefused(reason, retry_after=later))
        else:
            self._say(protocol.Reply(frame.ref))


class NotJoined(Exception):
    """A push to a topic that the connection is no member of."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"join {topic[:80]!a} first, and wait until you are a member")


class InvalidPush(Exception):
    """A push that does not decode to what the room takes from its members."""


class Told(Answer[object]):
    """An answer that is told as soon as it comes: nobody waits for it in a task."""

    __slots__ = ("_tell", "timer")

    def __init__(self, tell: Callable[[object, BaseException | None], None]) -> None:
        super().__init__()
        self._tell = tell
        self.timer: Any = None

    def give(self, value: object) -> None:
        """Answer with a value."""
        self._arrive_with(value, None)

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        self._arrive_with(None, error)

    def _arrive_with(self, value: object, error: BaseException | None) -> None:
        if self.wanted:
            self.wanted = False
            if self.timer is not None:
                self.timer.cancel()
            self._tell(value, error)


def decoded(topic: Topic, payload: msgspec.Raw) -> object:
    """Decode what a client pushes to a room.

    Raises:
        InvalidPush: It does not decode, or there is no room that could take it.
    """
    room = topic.kind.room
    if room is None or not room.__member_handlers__:
        raise InvalidPush(f"{topic.name} takes no messages from its members")
    try:
        return decoder_of(room).decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidPush(f"the payload does not decode: {explain(error)}") from None


def decoder_of(room: type[Room[Any]]) -> msgspec.json.Decoder[object]:
    """Give what decodes the messages that a room takes from its members.

    Raises:
        TypeError: Two of them have one name on the wire, or msgspec cannot decode one.
        NameError: An annotation in one names what is not defined yet.
    """
    return _decoder(tuple(room.__member_handlers__))


@cache
def _decoder(messages: tuple[type, ...]) -> msgspec.json.Decoder[object]:
    union: Any = Union[messages or (None,)]  # noqa: UP007 - values, not annotations
    return msgspec.json.Decoder(union)


def verdict(error: Exception) -> tuple[str, float | None, object]:
    """Give the code of an error, the seconds until another try, and what the room says of it."""
    match error:
        case InvalidTopic():
            return protocol.INVALID_TOPIC, None, None
        case InvalidPosition():
            return protocol.INVALID_POSITION, None, None
        case InvalidParams() | InvalidPush():
            return protocol.INVALID_MESSAGE, None, None
        case UnknownTopic():
            return protocol.UNKNOWN_TOPIC, None, None
        case AlreadyJoined():
            return protocol.ALREADY_JOINED, None, None
        case TooManyTopics():
            return protocol.TOO_MANY_TOPICS, None, None
        case TooFast():
            return protocol.TOO_FAST, error.retry_after, None
        case NotJoined() | NotAMember():
            return protocol.NOT_JOINED, None, None
        case RoomUnavailable():
            return protocol.UNAVAILABLE, error.retry_after, None
        case JoinFailed():
            return protocol.FAILED, error.retry_after, None
        case JoinRefused():
            return protocol.FORBIDDEN, error.retry_after, _plain(error.reason)
        case Rejected():
            return protocol.REJECTED, None, _plain(error.error)
        case RoomFull():
            return protocol.FULL, RETRY_AFTER, None
        case AskTimeout():
            return protocol.TIMEOUT, None, None
        case NotHandled():
            return protocol.UNAVAILABLE, RETRY_AFTER, None
        case Crashed():
            return protocol.CRASHED, None, None
        case _:
            return protocol.FAILED, None, None


def told(error: Exception) -> str:
    """Give what a client may read of an error: neither its cause nor a path in the tree."""
    match error:
        case HandlerFailed() | AskTimeout():
            return str(error)
        case Unanswered():
            return "the room failed before it had answered"
        case _:
            return str(error)


def written(detail: object) -> msgspec.Raw:
    """Write what a room has to say; what cannot be encoded, as Python shows it."""
    try:
        return msgspec.Raw(encode_json(detail))
    except TypeError:
        return msgspec.Raw(encode_json(ascii(detail)))


def _plain(error: object) -> object:
    return str(error) if isinstance(error, BaseException) else error
