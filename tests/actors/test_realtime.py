"""Topics and their branch without the facade: stores far away, and what is put away when."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from herdwick.actors import (
    CatchUp,
    Connection,
    History,
    Joining,
    JoinRefused,
    Log,
    Member,
    MemoryLog,
    MemoryStore,
    Params,
    Position,
    Publication,
    Realtime,
    Recovery,
    Room,
    Store,
    TopicKind,
)
from herdwick.actors.realtime import Tidy
from herdwick.runtime import Pool, Supervisor, System
from herdwick.testing import VIRTUAL_BACKENDS, Backend, settle, virtual_backend
from tests.actors.fakes import BOUNDS, FakeTransport, Plain
from tests.actors.wire import TextWire


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return virtual_backend(request.param)


@dataclass(frozen=True)
class Declared:
    kind: TopicKind
    values: Mapping[str, object] = field(default_factory=dict[str, object])


class FarLog:
    """A log that answers late; what is appended arrives even later."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    @property
    def position(self) -> Position:
        return self._log.position

    async def append(self, publication: Publication) -> Position:
        await anyio.sleep(0.01)
        position = await self._log.append(publication)
        await anyio.sleep(0.01)
        return position

    async def since(self, position: Position) -> Recovery:
        recovery = await self._log.since(position)
        await anyio.sleep(0.015)
        return recovery

    async def newest(self, count: int) -> Recovery:
        recovery = await self._log.newest(count)
        await anyio.sleep(0.015)
        return recovery

    def close(self) -> None:
        self._log.close()


class FarStore:
    """Keeps logs far away."""

    def __init__(self) -> None:
        self._store = MemoryStore(anyio.current_time)

    def open(self, topic: str, history: History, deliver: Callable[[Publication], None]) -> Log:
        return FarLog(self._store.open(topic, history, deliver))


@dataclass
class Stage:
    """All topics of a running system, and whom it takes to join one."""

    system: System
    realtime: Realtime
    pool: Pool

    async def join(
        self, topic: str, *, since: Position | None = None, most: int = 1000
    ) -> FakeTransport:
        transport = FakeTransport(most=most)
        connection = Connection(transport, Plain(stay), BOUNDS)
        self.system.spawn(self.pool, connection)
        await settle()
        wire = TextWire()
        joining = Joining(
            self.realtime, connection, wire, topic=topic, identity=None, key=None, most=10
        )
        await joining.join(Params(), since)
        return transport

    async def publish(self, topic: str, payload: object) -> Position | None:
        return await self.realtime.broadcast(topic, payload, record=True, key=None)


async def stay(connection: Connection) -> None:
    connection.accept(None, ())
    while await connection.receive() is not None:
        pass


@asynccontextmanager
async def staged(kind: TopicKind, store: Store | None = None) -> AsyncGenerator[Stage]:
    pool = Pool("connections")
    realtime = Realtime(lambda name: Declared(kind), TextWire(), store)
    root = Supervisor("root", realtime.branch, realtime.announcer, pool)
    system = System(root)
    realtime.serve(system)
    async with system:
        yield Stage(system, realtime, pool)


# ------------------------------------------------------------------ a store that is far away


async def test_the_seam_holds_however_late_the_store_answers() -> None:
    history = History(size=1000, replay=1000)

    async with staged(TopicKind(history=history), FarStore()) as stage:
        transports: list[FakeTransport] = []

        async def publish(first: int) -> None:
            for number in range(first, first + 20):
                await stage.publish("chat", number)

        async def join() -> None:
            transports.append(await stage.join("chat"))

        async with anyio.create_task_group() as tasks:
            for index in range(3):
                tasks.start_soon(publish, index * 20)
                tasks.start_soon(join)
        await anyio.sleep(1)

        heards = [transport.outbox[1:] for transport in transports]
        assert len(heards) == 3
        assert heards[0] == heards[1] == heards[2]
        assert sorted(heards[0]) == sorted(f"chat: {number}" for number in range(60))


async def test_whoever_is_behind_catches_up_from_a_store_that_is_far_away() -> None:
    kind = TopicKind(history=History(size=1000), slow=CatchUp())

    async with staged(kind, FarStore()) as stage:
        slow = await stage.join("chat", most=5)
        for number in range(40):
            await stage.publish("chat", number)
        heard: list[object] = []
        for _ in range(40):
            heard += slow.outbox
            slow.drain()
            slow.refill()
            await anyio.sleep(0.1)

        assert heard[1:] == [f"chat: {number}" for number in range(40)]


async def test_a_join_since_a_position_of_a_far_store_misses_nothing() -> None:
    async with staged(TopicKind(history=History()), FarStore()) as stage:
        first = await stage.publish("chat", 1)
        await stage.publish("chat", 2)
        transports: list[FakeTransport] = []

        async def join() -> None:
            transports.append(await stage.join("chat", since=first))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.publish, "chat", 3)
            tasks.start_soon(join)
        await settle()

        assert transports[0].outbox == ["welcome to chat at 1", "chat: 2", "chat: 3"]


# ------------------------------------------------------------------ what is put away


async def test_a_topic_that_nobody_needs_is_put_away_and_its_log_stays() -> None:
    async with staged(TopicKind(history=History(), idle=30)) as stage:
        position = await stage.publish("chat", 1)
        await anyio.sleep(31)
        assert stage.realtime.topics == {}

        transport = await stage.join("chat", since=position)
        assert transport.outbox == ["welcome to chat at 1"]
        await anyio.sleep(100)
        assert list(stage.realtime.topics) == ["chat"]


async def test_old_logs_and_snapshots_are_dropped_after_a_day() -> None:
    class Keeps(Room):
        async def snapshot(self) -> object:
            return "kept"

    kind = TopicKind(history=History(ttl=60), room=Keeps)

    async with staged(kind) as stage:
        await stage.publish("chat", 1)
        stage.realtime.topic("chat").retire_later()
        stage.realtime.keep("chat", "kept")
        store = stage.realtime.store
        assert isinstance(store, MemoryStore)
        await anyio.sleep(86_000)
        assert len(store) == len(stage.realtime.snapshots) == 1
        await anyio.sleep(1000)

        assert len(store) == len(stage.realtime.snapshots) == 0


async def test_joins_that_are_refused_leave_no_log_behind() -> None:
    async def nobody(member: Member, params: Params) -> None:
        raise JoinRefused("no")

    async with staged(TopicKind(history=History(), authorize=nobody)) as stage:
        for number in range(100):
            with pytest.raises(JoinRefused):
                await stage.join(f"chat:{number}")
        store = stage.realtime.store
        assert isinstance(store, MemoryStore)
        await anyio.sleep(120)

        assert (len(stage.realtime.topics), len(store)) == (0, 0)


async def test_dropping_many_old_logs_lets_others_have_their_turns() -> None:
    left = list[int]()

    async with staged(TopicKind()) as stage:
        store = stage.realtime.store
        assert isinstance(store, MemoryStore)
        for number in range(1000):
            store.open(f"chat:{number}", History(), list[Publication]().append).close()
        stage.system.ref(stage.realtime.registry).tell(Tidy())
        while len(store) > 0:
            left.append(len(store))
            await anyio.lowlevel.checkpoint()

    assert any(0 < each < 1000 for each in left)


async def test_a_publisher_that_waits_for_pumps_goes_on_when_all_ends() -> None:
    done: list[Position | None] = []

    async with (
        anyio.create_task_group() as tasks,
        staged(TopicKind(history=History())) as stage,
    ):
        await stage.join("chat")

        async def publish() -> None:
            for number in range(1000):
                done.append(await stage.publish("chat", number))

        tasks.start_soon(publish)
        await anyio.lowlevel.checkpoint()

    assert all(position is not None for position in done)


# ------------------------------------------------------------------ names


async def test_topics_whose_names_look_alike_in_a_path_have_rooms_of_their_own() -> None:
    class Own(Room):
        pass

    async with staged(TopicKind(room=Own)) as stage:
        for name in ("a/b", "a%2Fb", "a%b"):
            assert (await stage.join(name)).outbox == [f"welcome to {name} at None"]
            await stage.publish(name, 1)

        paths = [node.path for node in stage.system.tree() if "/rooms/" in node.path]
        assert len(set(paths)) == 3
