"""All topics of one application, and the branch of the tree that serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar, cast

from herdwick.runtime import (
    Actor,
    ActorStopped,
    Child,
    Clock,
    Exit,
    Message,
    NotFound,
    Pool,
    PoolSupervision,
    Slot,
    Supervisor,
    System,
    Timers,
    checkpoint,
    current_clock,
    on,
)

from .hall import Hall, RoomSpec
from .log import EPOCH_TTL, MemoryStore, Position, Publication, Store
from .pump import Pump
from .topic import Topic, TopicKind
from .wire import Wire

T = TypeVar("T")

RESTARTS: Final = 5
PERIOD: Final = 10.0
"""A room, or the pump of a topic, that fails more than 5 times in 10 seconds is given up."""

TIDY_EVERY: Final = 60.0

WINDOW: Final = 0.05
"""Seconds within which changes of who is present are told together."""

CHECKPOINT_EVERY: Final = 64


class Found(Protocol):
    """What is declared of a topic by its name."""

    @property
    def kind(self) -> TopicKind:
        """What is declared."""
        ...

    @property
    def values(self) -> Mapping[str, object]:
        """The parameters in the name."""
        ...


class Look(Message):
    """There is something to look after."""


class Announce(Message):
    """The moment is over in which changes are told together."""


class Tidy(Message):
    """It is time to drop what is too old."""


class Realtime:
    """The owner of all topics, as long as the system runs: their members, queues and logs.

    Its branch of the tree holds nothing but actors. Any of them may crash, or the branch as a
    whole: what comes back goes on from here.

    Args:
        find: Tells what is declared of a topic; None where nothing is.
        default_wire: Encodes what is published while nobody is there, so that a mistake is told.
        store: Where the logs are; None: in memory.
    """

    def __init__(
        self,
        find: Callable[[str], Found | None],
        default_wire: Wire,
        store: Store | None = None,
    ) -> None:
        self.clock: Clock = current_clock()
        self.store: Store = MemoryStore(self.clock) if store is None else store
        self.default_wire = default_wire
        self.closed = False
        """Whether it has ended for good: nobody offers anything any more."""
        self.snapshots: dict[str, object] = {}
        """What rooms that are put away, or crash, begin with again; by topic."""
        self.topics: dict[str, Topic] = {}
        """Those that are in use, by name."""
        self._find = find
        self._system: System | None = None
        self._kept_at: dict[str, float] = {}
        self._pumps = Pool("pumps", max_restarts=RESTARTS, period=PERIOD)
        self.registry: Child[Any] = Child(Registry, self).named("registry")
        """The actor that sees to it that rooms are there."""
        self._rooms = Pool("rooms", max_restarts=RESTARTS, period=PERIOD)
        self.announcer: Child[Any] = Child(Announcer, self).named("presence")
        """The actor that tells who is present."""
        self.told: set[Child[Any]] = set()
        """Which of the two has been told that there is something to do."""
        self._wanted: dict[Hall, None] = {}
        self._changed: dict[Topic, None] = {}

    # ------------------------------------------------------------------ the tree

    @property
    def branch(self) -> Supervisor:
        """The pumps, the registry and the rooms: who comes later relies on who comes before."""
        children = (self._pumps, self.registry, self._rooms)
        return Supervisor("realtime", *children, strategy="rest_for_one")

    def serve(self, system: System) -> None:
        """Belong to a system, whose tree has the branch."""
        self._system = system

    @property
    def timers(self) -> Timers:
        """The timers of the system."""
        return self._running.timers

    @property
    def takes_rooms(self) -> bool:
        """Whether rooms can be started now."""
        return self._open(self._rooms)

    @property
    def takes_pumps(self) -> bool:
        """Whether pumps can be started now."""
        return self._open(self._pumps)

    def spawn_pump(self, pump: Pump) -> Slot:
        """Start the actor of a topic.

        Raises:
            ActorStopped: The branch is down.
        """
        pool = self._pool(self._pumps)
        pump.name = pool.name_for([pump.name])
        return pool.spawn(pump, comeback=True)

    def spawn_room(self, room: RoomSpec, wanted: bool, place: Slot | None) -> Slot:
        """Start a room; where it was given up or ended before, at its old place.

        Raises:
            ActorStopped: The branch is down.
        """
        pool = self._pool(self._rooms)
        comeback = True if wanted and room.hall.members else None
        return pool.spawn(room, key=room.hall.name, place=place, comeback=comeback)

    # ------------------------------------------------------------------ topics

    def topic(self, name: str) -> Topic:
        """Give a topic; make it where it is not in use. The name has been checked."""
        topic = self.topics.get(name)
        if topic is not None:
            return topic
        found = self._find(name)
        if found is None:
            return Topic(name, UNDECLARED, {}, self)
        if found.kind.room is None:
            return Topic(name, found.kind, found.values, self)
        passive = self._pool(self._rooms).find(name) if self.takes_rooms else None
        if passive is not None:
            hall = cast(RoomSpec, passive.spec).hall
            hall.readmit(passive)
            return hall
        return Hall(name, found.kind, found.values, self)

    def admit(self, topic: Topic) -> None:
        """Take note that a topic is in use."""
        self.topics[topic.name] = topic

    def forget(self, topic: Topic) -> None:
        """Take note that a topic was put away."""
        if self.topics.get(topic.name) is topic:
            del self.topics[topic.name]
        self._wanted.pop(cast(Hall, topic), None)
        self._changed.pop(topic, None)

    async def broadcast(
        self,
        name: str,
        payload: object,
        *,
        exclude: Iterable[str] = (),
        record: bool,
        key: str | None,
    ) -> Position | None:
        """Publish on a topic, from anywhere."""
        if name not in self.topics and key is None and not self._keeps(name):
            Publication(payload).encode(self.default_wire)  # a mistake is told all the same
            await checkpoint()
            return None
        return await self.topic(name).publish(payload, exclude=exclude, record=record, key=key)

    def _keeps(self, name: str) -> bool:
        """Whether a topic that is not in use would do anything with what is published."""
        found = self._find(name)
        return found is not None and found.kind.history is not None

    def keep(self, name: str, snapshot: object) -> None:
        """Keep the snapshot of a room, or None."""
        self.snapshots.pop(name, None)
        self._kept_at.pop(name, None)
        if snapshot is not None:
            self.snapshots[name] = snapshot
            self._kept_at[name] = self.clock()

    # ------------------------------------------------------------------ what the actors do

    def look_after(self, hall: Hall) -> None:
        """Have a room started again whose place is empty, though somebody needs it."""
        self._wanted[hall] = None
        self._tell(self.registry)

    def presence_changed(self, topic: Topic) -> None:
        """Have it told, in a moment, who has come and gone."""
        self._changed[topic] = None
        self._tell(self.announcer)

    def take_wanted(self) -> Iterator[Hall]:
        """Give the rooms that are to be started, each once."""
        while self._wanted:
            hall = next(iter(self._wanted))
            del self._wanted[hall]
            yield hall

    def take_changed(self) -> Iterator[Topic]:
        """Give the topics whose presence has changed, each once."""
        while self._changed:
            topic = next(iter(self._changed))
            del self._changed[topic]
            yield topic

    def tidying(self) -> Iterator[None]:
        """Drop logs and snapshots that are too old, one a step."""
        if isinstance(self.store, MemoryStore):
            yield from self.store.tidying()
        now = self.clock()
        while self._kept_at:
            name, kept_at = next(iter(self._kept_at.items()))  # the oldest stand first
            if now - kept_at <= EPOCH_TTL:
                break
            self.keep(name, None)
            yield

    def close(self) -> None:
        """End for good: who waits for an offer goes on."""
        self.closed = True
        for topic in self.topics.values():
            topic.release_publishers()

    # ------------------------------------------------------------------ inside

    @property
    def _running(self) -> System:
        assert self._system is not None
        return self._system

    def _open(self, pool: Pool) -> bool:
        try:
            return self._pool(pool).open
        except ActorStopped:
            return False

    def _pool(self, pool: Pool) -> PoolSupervision:
        try:
            return self._running.pool(pool)
        except NotFound:
            raise ActorStopped(pool.name) from None

    def _tell(self, child: Child[Any]) -> None:
        # One that waits is enough: they look at all there is, and once more when they are back.
        if child not in self.told and self._system is not None and self._system.running:
            with suppress(NotFound):
                if self._system.ref(child).tell(Look()):
                    self.told.add(child)


UNDECLARED: Final = TopicKind()
"""What holds for a topic that nobody has declared."""


class Registry(Actor[Look | Tidy]):
    """Sees to it that each room is there that somebody needs."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

    async def on_start(self) -> None:
        """Find out, after a crash of the branch, who is needed: all of it stands in the topics."""
        self.ctx.every(TIDY_EVERY, Tidy())
        self._realtime.told.discard(self._realtime.registry)
        for topic in list(self._realtime.topics.values()):
            if topic.waiting:
                topic.wake_pump()
            if isinstance(topic, Hall) and topic.wanted:
                self._realtime.look_after(topic)

    @on(Look)
    async def look(self, message: Look) -> None:
        """Start the rooms that are needed; they may have to wait for their own supervisor."""
        if not self._realtime.takes_rooms:
            self.ctx.send_after(0.001, Look(), key="look again")
            return
        self._realtime.told.discard(self._realtime.registry)
        for hall in self._realtime.take_wanted():
            hall.wake_room()

    @on(Tidy)
    async def tidy(self, message: Tidy) -> None:
        """Drop what is too old, in turns: there may be a hundred thousand of them."""
        for number, _ in enumerate(self._realtime.tidying(), 1):
            if not number % CHECKPOINT_EVERY:
                await checkpoint()

    async def on_stop(self, reason: Exit) -> None:
        """Let nobody wait for pumps that are not to come back."""
        if not self.ctx.system.running:
            self._realtime.close()


class Announcer(Actor[Look | Announce]):
    """Tells who is present. It keeps nothing: what was told already stands in the topics."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

    async def on_start(self) -> None:
        """Compare, after a crash, what was told with who is there."""
        self._realtime.told.discard(self._realtime.announcer)
        for topic in list(self._realtime.topics.values()):
            topic.compare_presence()
        self.ctx.send_after(0.0, Announce(), key="announce")

    @on(Look)
    async def look(self, message: Look) -> None:
        """Wait for a moment: what comes and goes in it is told at once, or not at all."""
        self.ctx.send_after(WINDOW, Announce(), key="announce")

    @on(Announce)
    async def announce(self, message: Announce) -> None:
        """Tell what has changed."""
        self._realtime.told.discard(self._realtime.announcer)
        for number, topic in enumerate(self._realtime.take_changed(), 1):
            topic.announce()
            if not number % CHECKPOINT_EVERY:
                await checkpoint()
