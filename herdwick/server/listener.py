"""Listening, and stopping gracefully: the server's one object."""

import logging
import socket
import ssl as tls
from collections.abc import AsyncGenerator, Sequence, Set
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from herdwick.runtime import current_clock

from .contain import BUG, contained
from .gate import Plain, Upgrade, Verdict
from .hosting import hosted
from .poller import Poller, Ready, SocketCarrier, SocketEntrance, can_poll
from .proxies import Proxies
from .scope import Peers
from .sockets import Address, accept_forever, address_of, base_url, bind, close_all, tune_all
from .ticker import Ticker
from .visit import Served, Service, Visit, examine

logger = logging.getLogger("herdwick.server")


class Listener:
    """A server that listens. It is made by `listen`, and ends with it.

    Its connections are shielded from cancellation: they end by `stop`, not under it.
    """

    def __init__(self, service: Service, sockets: Sequence[socket.socket], grace: float) -> None:
        self.url = base_url(sockets[0], secure=service.ssl is not None)
        """The base URL of the first socket, as `http://127.0.0.1:8000`."""
        self._service = service
        self._sockets = sockets
        self._grace = grace
        self._visits: set[Visit] = set()
        self._poller = Poller() if can_poll() and service.ssl is None else None
        """What carries WebSockets past streams and tasks; None where it cannot."""
        self._tasks: TaskGroup | None = None
        self._accepting = anyio.CancelScope()
        self._hosting = anyio.CancelScope(shield=True)
        self._stopping = False
        self._left = anyio.Event()
        self._address: Address | None = None
        """Ours, of the last connection: mostly that of the next too, which then shares it."""
        self.ready = anyio.Event()
        """It accepts connections."""

    @property
    def connections(self) -> int:
        """How many TCP connections are open."""
        return len(self._visits) + (0 if self._poller is None else len(self._poller))

    async def host(self) -> None:
        """Accept and serve, until `stop` is through; the one task that all others belong to."""
        with self._hosting:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._service.ticker.run)
                if self._poller is not None:
                    tasks.start_soon(self._poller.run)
                self.ready.set()
                await self._accept()
                await anyio.sleep_forever()

    async def stop(self) -> None:
        """Stop: no new connections, 1012 to every WebSocket, time for requests in flight.

        After the grace, or when it is cancelled, what is left is dropped. A second call drops
        what is left at once.
        """
        try:
            if not self._stopping:
                self._stopping = True
                await self._stop_gracefully()
        finally:
            self._hosting.cancel()

    async def _stop_gracefully(self) -> None:
        deadline = anyio.current_time() + self._grace
        present = self._websockets()
        with anyio.CancelScope(deadline=deadline):
            # Still accepting, until the last WebSocket has left: a handshake that comes meanwhile
            # is answered with 503.
            await self._service.app.drain()
            await self._gone(present)
        # First the tasks that accept, then the sockets: trio objects to the other order.
        self._accepting.cancel()
        for visit in self._visits:
            visit.stop()
        if self._poller is not None:
            self._poller.drop_entrances()
        with anyio.CancelScope(deadline=deadline):
            await self._gone({*self._visits, *(self._poller or ())})

    def _websockets(self) -> set[Visit | Ready]:
        upgraded = {visit for visit in self._visits if visit.upgraded}
        return {
            *upgraded,
            *(each for each in self._poller or () if isinstance(each, SocketCarrier)),
        }

    async def _gone(self, those: Set[Visit | Ready]) -> None:
        """Wait until they have left."""
        if self._poller is not None:
            await self._poller.gone(those)
        while not self._visits.isdisjoint(those):
            self._left = anyio.Event()
            await self._left.wait()

    async def _accept(self) -> None:
        with self._accepting:
            async with anyio.create_task_group() as accepting:
                for listening in self._sockets:
                    accepting.start_soon(accept_forever, listening, self._take)
        close_all(self._sockets)

    def _take(self, connection: socket.socket, client: Address | None) -> None:
        service = self._service
        if not service.lobby.has_room(self.connections):
            connection.close()
            return
        try:
            ours = address_of(connection.getsockname())
        except OSError:  # the peer has left already
            connection.close()
            return
        if ours != self._address:
            self._address = ours
        peers = Peers(client, self._address, service.ssl is not None)
        if self._poller is None:
            self._start(Visit(service, connection, peers))
            return
        decide = partial(self._decide, connection, peers)
        try:
            SocketEntrance(connection, service, self._poller, decide)
        except OSError:  # the peer has left already
            connection.close()

    def _start(self, visit: Visit) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(self._visit, visit)

    def _decide(self, connection: socket.socket, peers: Peers, verdict: Verdict) -> None:
        """Let a WebSocket go on at the poller, and anything else by a task of its own."""
        if isinstance(verdict, Plain):
            self._start(Visit(self._service, connection, peers, verdict.data))
            return
        assert self._poller is not None
        service = self._service
        if isinstance(verdict, Upgrade):
            handshake = examine(verdict.head, peers, service.state, service.proxies.adapt)
            carrier = SocketCarrier(connection, service, self._poller)
            carrier.open(service.app, handshake, verdict)
        else:
            SocketCarrier(connection, service, self._poller).refuse(verdict)

    async def _visit(self, visit: Visit) -> None:
        self._visits.add(visit)
        try:
            failure = await contained(visit.run)
            if failure is not None:
                logger.error(BUG, exc_info=failure, extra={"kind": "bug"})
        finally:
            self._visits.discard(visit)
            self._left.set()


@asynccontextmanager
async def listen(
    app: Served,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl: tls.SSLContext | None = None,
    sockets: Sequence[socket.socket] | None = None,
    grace: float = 10.0,
) -> AsyncGenerator[Listener, None]:
    """Bind, start the application, and serve it in the background of the block.

    `sockets` are listening ones, taken instead of `host` and `port`, and closed at the end.
    Leaving the block stops as `Listener.stop` does, within `grace` seconds, also when the block
    is cancelled.

    Raises:
        PortInUse: Somebody listens there already; the application has not been started.
    """
    bound = await bind(host, port) if sockets is None else list(sockets)
    try:
        tune_all(bound)
        async with app.running():
            clock = current_clock()
            proxies = await anyio.to_thread.run_sync(Proxies)  # it imports uvicorn
            service = Service(app, Ticker(clock), clock, proxies, ssl)
            listener = Listener(service, bound, grace)
            async with hosted(listener):
                yield listener
    finally:
        close_all(bound)


@asynccontextmanager
async def serve(
    app: Served,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl: tls.SSLContext | None = None,
    sockets: Sequence[socket.socket] | None = None,
) -> AsyncGenerator[str, None]:
    """Serve an application in the background of the block, and give its base URL.

    Works on asyncio and on trio; see `listen` for the arguments and the end.
    """
    async with listen(app, host=host, port=port, ssl=ssl, sockets=sockets) as listener:
        yield listener.url
