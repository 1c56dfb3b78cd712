"""A transport that writes down what it is told, and a pool to run a connection in."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from herdwick import Limits
from herdwick.actors import Bounds, Connection, Data, RawHeaders, Shared
from herdwick.runtime import Once, Pool, Slot, Supervisor, System
from tests.runtime.samples import Events

Handler = Callable[[Connection], Awaitable[None]]

BOUNDS = Limits(inbox_messages=4, inbox_bytes=100, pause_timeout=3600, send_timeout=3600)


class FakeTransport:
    """What carries a connection: a journal of orders, and an outbox with a bound."""

    def __init__(self, *, most: int = 1000, longest_pause: float = float("inf")) -> None:
        self.longest_pause = longest_pause
        self.journal: list[str] = []
        self.outbox: list[Data] = []
        self.most = most
        self._room = Once()

    def limit(self, bounds: Bounds) -> None:
        self.journal.append("limit")

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        self.journal.append("accept")

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        self.journal.append(f"reject {status} {body.decode()}".strip())

    def offer(self, data: Data) -> bool:
        self.outbox.append(data)
        return len(self.outbox) > self.most

    def share(self, message: Shared) -> bool:
        return self.offer(message.data)

    async def drained(self) -> None:
        await self._room.wait()

    def close(self, code: int, reason: str = "") -> None:
        self.journal.append(f"close {code} {reason}".strip())
        self._room.happen()

    def abort(self) -> None:
        self.journal.append("abort")

    def pause_reading(self) -> None:
        self.journal.append("pause")

    def resume_reading(self) -> None:
        self.journal.append("resume")

    def refill(self) -> None:
        """Let those who ask for room from now on wait again."""
        self._room = Once()

    def drain(self) -> None:
        """Let those go on who wait for room."""
        self.outbox.clear()
        self._room.happen()


def to_text(payload: object) -> Data:
    return payload if isinstance(payload, bytes) else str(payload)


@dataclass
class Plain:
    """What the owner of a connection decides, said outright."""

    handle: Handler
    encode: Callable[[object], Data] = to_text
    peer: str = "192.0.2.1"
    stop_code: int = 1012
    cancel_on_disconnect: bool = False
    debug: bool = False

    def answered(self, status: int) -> None:
        """Take note of nothing."""


@dataclass
class Line:
    """One connection that runs, with both of its ends in the hands of the test."""

    system: System
    pool: Pool
    slot: Slot
    connection: Connection
    transport: FakeTransport
    events: Events

    @property
    def journal(self) -> list[str]:
        return self.transport.journal

    async def over(self) -> None:
        await self.slot.gone.wait()


@asynccontextmanager
async def connected(
    handle: Handler,
    *,
    bounds: Bounds = BOUNDS,
    outbox: int = 1000,
    longest_pause: float = float("inf"),
    debug: bool = False,
    cancel_on_disconnect: bool = False,
    grace: float = 0,
) -> AsyncGenerator[Line]:
    """Run a handler on a connection of its own, which has no time to stop."""
    pool = Pool("connections")
    behaviour = Plain(
        handle=handle, encode=to_text, debug=debug, cancel_on_disconnect=cancel_on_disconnect
    )
    async with System(Supervisor("root", pool)) as system:
        transport, events = FakeTransport(most=outbox, longest_pause=longest_pause), Events(system)
        connection = Connection(transport, behaviour, bounds)
        connection.terms = replace(connection.terms, grace=grace)
        slot = system.spawn(pool, connection)
        yield Line(system, pool, slot, connection, transport, events)


def bounded(**changes: float) -> Bounds:
    """Give the bounds with some of them changed."""
    return replace(BOUNDS, **changes)  # type: ignore[arg-type]  # their names
