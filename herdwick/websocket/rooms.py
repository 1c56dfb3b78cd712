"""What an application declares of its topics and rooms, and the joins of its handlers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, TypeVar, cast, get_type_hints
from uuid import UUID

from herdwick.actors import (
    Connection,
    Hall,
    Joining,
    Left,
    Member,
    Membership,
    Params,
    Position,
    Realtime,
    Room,
    TopicKind,
    UnknownTopic,
    Wire,
)
from herdwick.routing import (
    InvalidTopic,
    Parameter,
    ParamTypes,
    TopicMatch,
    TopicPattern,
    TopicTable,
    check_topic,
)

from .ends import is_crash
from .errors import NotRunning
from .identity import Identity, MissingIdentityId
from .live import decoder_of
from .wires import V1Wire

C = TypeVar("C", bound=type[Room[Any]])

_WRITTEN: Final[Mapping[str, type]] = {"str": str, "int": int, "float": float, "uuid": UUID}


class RoomMisdeclared(TypeError):
    """A room's class and the pattern of its topics do not fit; a mistake in the program."""

    def __init__(self, room: object, pattern: str, problem: str) -> None:
        name = getattr(room, "__qualname__", repr(room))
        super().__init__(f"{name} cannot be the room of {pattern!r}: {problem}")
        self.pattern = pattern
        """The text of the pattern."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A room's class with the pattern of its topics."""

    pattern: TopicPattern
    kind: TopicKind


class Rooms:
    """The topics and rooms of one application: what is declared, and what runs."""

    def __init__(self, types: ParamTypes) -> None:
        self._table: TopicTable[TopicKind] = TopicTable(types)
        self._classes: dict[type[Room[Any]], Declared] = {}
        self._realtime: Realtime | None = None

    # ------------------------------------------------------------------ declarations

    def declare(self, text: str, kind: TopicKind) -> None:
        """Declare what holds for the topics of a pattern.

        Raises:
            RoutingError: The text is no pattern, or one matches the same names already.
            RoomMisdeclared: The room's class does not fit.
        """
        pattern = TopicPattern.read(text, self._table.types)
        if kind.room is not None:
            _check_room(kind.room, pattern, self._classes)
        self._table.add(pattern, replace(kind, pattern=text))
        if kind.room is not None:
            self._classes[kind.room] = Declared(pattern, kind)

    def name_of(
        self, room: Callable[..., Room[Any]], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> str:
        """Give the name of the topic whose room is made of these arguments.

        Raises:
            RoomMisdeclared: The class was not declared.
            TypeError: The arguments do not fit its constructor.
            UnknownTopic: A value cannot stand in a topic's name, or the name is another kind's.
        """
        declared = self._classes.get(cast("type[Room[Any]]", room))
        if declared is None:
            raise RoomMisdeclared(room, "", "declare it first, with @app.room(pattern)")
        bound = inspect.signature(room).bind(*args, **kwargs)
        pattern = declared.pattern
        for unnamed in bound.arguments.keys() - set(pattern.names):
            raise TypeError(f"{unnamed!r} is not in {pattern.text!r}, so it names no room")
        bound.apply_defaults()
        try:
            name = pattern.name(bound.arguments)
        except InvalidTopic as error:
            raise UnknownTopic(error.name, error.problem) from None
        found = self._table.find(name)
        if found is not None and found.kind.room is not room:  # of a more specific pattern
            raise UnknownTopic(name, f"it is one of {found.kind.pattern!r}, not {pattern.text!r}")
        return name

    def patterns_of(self, only: tuple[str | type[Room[Any]], ...]) -> frozenset[str]:
        """Give the texts of patterns that are named by themselves, or by their rooms' classes.

        Raises:
            ValueError: One of them is not declared.
        """
        known = {kind.pattern: kind for kind in self._table}
        texts: set[str] = set()
        for each in only:
            declared = None if isinstance(each, str) else self._classes.get(each)
            text = declared.pattern.text if declared else each
            if text not in known:
                raise ValueError(f"{each!r} is not declared; declare it with app.room or app.topic")
            texts.add(str(text))
        return frozenset(texts)

    def find(self, name: str) -> TopicMatch[TopicKind] | None:
        """Find what is declared of a topic."""
        return self._table.find(name)

    # ------------------------------------------------------------------ while it runs

    def open(self) -> Realtime:
        """Make what runs them, for one run of the application."""
        self._realtime = Realtime(self.find, V1Wire(0))
        return self._realtime

    def close(self) -> None:
        """Forget what ran them."""
        self._realtime = None

    @property
    def realtime(self) -> Realtime:
        """What runs them.

        Raises:
            NotRunning: The application has not been started.
        """
        if self._realtime is None:
            raise NotRunning
        return self._realtime

    def hall(self, room: Callable[..., Room[Any]], args: Any, kwargs: Any) -> Hall:
        """Give the place of a room, which stands in the tree or soon will."""
        hall = self.realtime.topic(self.name_of(room, args, kwargs))
        assert isinstance(hall, Hall)
        return hall

    def joining(
        self, name: str, connection: Connection, wire: Wire, identity: Identity | None, most: int
    ) -> Joining:
        """Take the first look at somebody who wants to join.

        Raises:
            JoinRefused: There can be no such topic, or he is a member of it, or of too many.
        """
        try:
            check_topic(name)
        except InvalidTopic as error:
            raise UnknownTopic(name, error.problem) from None
        return Joining(
            self.realtime,
            connection,
            wire,
            topic=name,
            identity=identity,
            key=key_of(identity),
            most=most,
        )


class Stay(AbstractAsyncContextManager[Membership[Any]]):
    """A membership for the time of a block; see `WebSocket.join`.

    No generator: of each that waits in such a block, that is 0.5 KiB.
    """

    __slots__ = ("_begin", "_member")

    def __init__(
        self, joining: Callable[[], Joining], params: Params, since: Position | None
    ) -> None:
        self._begin: tuple[Callable[[], Joining], Params, Position | None] | None
        self._begin = joining, params, since
        self._member: Member | None = None

    async def __aenter__(self) -> Membership[Any]:
        """Join.

        Raises:
            JoinRefused: It is refused.
            RuntimeError: The block is entered a second time.
        """
        if self._begin is None:
            raise RuntimeError("a join is for one block; call `join` again")
        (begin, params, since), self._begin = self._begin, None
        joining = begin()
        self._member = joining.member
        return await joining.join(params, since)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave, or crash where the block did."""
        assert self._member is not None
        crashed = isinstance(error, Exception) and is_crash(error)
        self._member.leave(Left("crashed" if crashed else "left"))


def key_of(identity: Identity | None) -> str | None:
    """Give what somebody is present as; None where nothing tells."""
    try:
        return None if identity is None else identity.id
    except MissingIdentityId:
        return None


def _check_room(
    room: type[Room[Any]], pattern: TopicPattern, known: Mapping[type[Room[Any]], Declared]
) -> None:
    if not is_room(room):
        raise RoomMisdeclared(room, pattern.text, "it is no class derived from Room")
    if room in known:
        other = known[room].pattern.text
        raise RoomMisdeclared(
            room, pattern.text, f"it is the room of {other!r}; derive another one"
        )
    _check_messages(room, pattern)
    parameters = inspect.signature(room).parameters
    hints = _hints(room)
    for segment in pattern.segments:
        if not isinstance(segment, Parameter):
            continue
        if segment.name not in parameters:
            raise RoomMisdeclared(
                room,
                pattern.text,
                f"its constructor takes no {segment.name!r}; it is called with "
                f"the parameters of the pattern: {', '.join(pattern.names)}",
            )
        wanted, given = hints.get(segment.name), _WRITTEN.get(segment.type.name)
        if wanted in _WRITTEN.values() and given is not None and wanted is not given:
            name = next(name for name, kind in _WRITTEN.items() if kind is wanted)
            shown = getattr(wanted, "__name__", name)
            raise RoomMisdeclared(
                room,
                pattern.text,
                f"{segment.name} is annotated with {shown}; write "
                f"{{{segment.name}:{name}}} in the pattern",
            )
    for name, parameter in parameters.items():
        variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if name not in pattern.names and parameter.default is parameter.empty and not variable:
            raise RoomMisdeclared(
                room, pattern.text, f"its constructor wants {name!r}, which the pattern has not"
            )


def _check_messages(room: type[Room[Any]], pattern: TopicPattern) -> None:
    """Refuse messages of members that no client could send: two of one name, for example."""
    try:
        decoder_of(room)
    except TypeError as error:
        problem = f"what its members push cannot be decoded: {error}"
        raise RoomMisdeclared(room, pattern.text, problem) from None
    except NameError:
        pass  # an annotation names what stands further down; the first push looks again


def is_room(room: object) -> bool:
    """Tell whether something is a class of rooms."""
    return isinstance(room, type) and issubclass(room, Room)


def _hints(room: type[Room[Any]]) -> dict[str, Any]:
    try:
        return get_type_hints(room.__init__)
    except Exception:  # whatever the evaluation of somebody's annotations may raise
        return {}
