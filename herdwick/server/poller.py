"""WebSockets over bare sockets: one epoll for all of them, in one task, on asyncio and on trio.

What a stream spends on a socket that waits for its next bytes, a task, a cancel scope, two system
calls, is several times what a message costs. So one task waits until the epoll has something, and
each socket that is ready is read and parsed in its turn. A second task writes: two turns after the
first outbox got something, all of them at once.

Where there is no epoll, and for TLS, `streams` carries a WebSocket over anyio's streams.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable, Iterator, Set
from typing import Final, Protocol

import anyio

from herdwick.actors import Receiver
from herdwick.runtime import Waiter, checkpoint

from .carrier import Carrier, Site
from .connection import OVER
from .contain import BUG
from .gate import Gate, Plain, Verdict
from .handshake import log_slow_head
from .pace import Pace
from .sockets import Address, forget_unsent, peer_of
from .streams import RECEIVE_BYTES

logger: Final = logging.getLogger("herdwick.server")

BATCH: Final = 256
"""Sockets that are served before the others of the loop have their turn."""

IN: Final = getattr(select, "EPOLLIN", 0)
OUT: Final = getattr(select, "EPOLLOUT", 0)
FAILED: Final = getattr(select, "EPOLLERR", 0) | getattr(select, "EPOLLHUP", 0)


def can_poll() -> bool:
    """Tell whether sockets can be waited for by an epoll of our own: on Linux."""
    return hasattr(select, "epoll")


class Ready(Protocol):
    """What is called when its socket is ready."""

    def ready(self, events: int) -> None:
        """Read, or write, once."""
        ...

    def drop(self) -> None:
        """End at once."""
        ...


class Poller:
    """The epoll, and who waits at it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, Ready] = {}
        self.pace = Pace(time.monotonic)
        self._resumed: list[SocketCarrier] = []
        self._asked = Waiter()
        self._left = Waiter()
        self._open: set[Ready] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Ready]:
        return iter(list(self._open))

    def enter(self, item: Ready) -> None:
        """Take note of something that is open."""
        self._open.add(item)

    def leave(self, item: Ready) -> None:
        """Take note that it is closed."""
        self._open.discard(item)
        self._left.wake()

    def drop_entrances(self) -> None:
        """End those that have made no request yet."""
        for item in self:
            if isinstance(item, SocketEntrance):
                item.drop()

    async def gone(self, items: Set[object]) -> None:
        """Wait until none of these is open."""
        while not self._open.isdisjoint(items):
            await self._left.wait()

    # ------------------------------------------------------------------ waiting

    def watch(self, descriptor: int, item: Ready, events: int) -> None:
        """Have an item called for these events of its socket, and for its failure."""
        if descriptor in self._waiting:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._waiting[descriptor] = item

    def take_over(self, descriptor: int, item: Ready) -> None:
        """Have an item called for a socket that is waited for already, to read from it."""
        self._waiting[descriptor] = item

    def forget(self, descriptor: int) -> None:
        """Call it no more; before the socket is closed, for its number may be used again."""
        if self._waiting.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def flush_soon(self, carrier: SocketCarrier) -> None:
        """Have an outbox written, with all that comes until then."""
        if self.pace.add(carrier):
            self._asked.wake()

    def go_on_soon(self, carrier: SocketCarrier) -> None:
        """Have a carrier go on reading, in a turn of its own."""
        self._resumed.append(carrier)
        self._asked.wake()

    # ------------------------------------------------------------------ its tasks

    async def run(self) -> None:
        """Serve the sockets, until cancelled; then drop all of them."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                while True:
                    await anyio.wait_readable(self._epoll.fileno())
                    for descriptor, events in self._epoll.poll(0, BATCH):
                        self._serve(descriptor, events)
        finally:
            for item in self:
                item.drop()
            self._epoll.close()

    def _serve(self, descriptor: int, events: int) -> None:
        item = self._waiting.get(descriptor)
        if item is None:
            return  # closed by another one of this batch
        try:
            item.ready(events)
        except Exception:
            logger.exception(BUG, extra={"kind": "bug"})
            item.drop()

    async def _write(self) -> None:
        while True:
            while not (self.pace or self._resumed):
                await self._asked.wait()
            self._read_on()
            while self.pace and not self.pace.is_time():
                await checkpoint()
            if self.pace:
                self.pace.write()

    def _read_on(self) -> None:
        # In a call of its own: a local of the task would keep the last one that it has had.
        resumed, self._resumed = self._resumed, []
        for carrier in resumed:
            try:
                carrier.read_on()
            except Exception:
                logger.exception(BUG, extra={"kind": "bug"})
                carrier.drop()


class SocketEntrance:
    """One TCP connection until its first request is known."""

    __slots__ = ("_decide", "_gate", "_poller", "_site", "_socket")

    def __init__(
        self,
        connection: socket.socket,
        site: Site,
        poller: Poller,
        decide: Callable[[Verdict], None],
    ) -> None:
        self._socket = connection
        self._gate = Gate(site.limits)
        self._poller = poller
        self._site = site
        self._decide = decide
        connection.setblocking(False)
        poller.watch(connection.fileno(), self, IN)
        poller.enter(self)
        site.lobby.enter(self)
        site.ticker.watch(self, site.clock() + site.limits.head_timeout)

    def ready(self, events: int) -> None:
        """Collect the head, and hand the connection over."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        verdict = self._gate.receive(data) if data else None
        if verdict is not None:
            # The epoll waits on, for whoever takes over: two system calls less.
            self._poller.leave(self)
            self._site.lobby.leave(self)
            self._site.ticker.forget(self)
            if isinstance(verdict, Plain):
                self._poller.forget(self._socket.fileno())
            self._decide(verdict)
        elif not data:
            self.drop()

    def tick(self, now: float) -> None:
        """Drop it: its head took too long."""
        if self._gate.begun:
            log_slow_head(peer_of(self._socket))
        self.drop()

    def drop(self) -> None:
        """End."""
        self._poller.forget(self._socket.fileno())
        self._poller.leave(self)
        self._site.lobby.leave(self)
        self._site.ticker.forget(self)
        self._socket.close()


class SocketCarrier(Carrier):
    """A WebSocket over a socket that the poller waits for."""

    __slots__ = (
        "_descriptor",
        "_dirty",
        "_ended",
        "_half_closed",
        "_held",
        "_poller",
        "_socket",
        "_unsent",
    )

    def __init__(self, connection: socket.socket, site: Site, poller: Poller) -> None:
        super().__init__(site)
        self._socket = connection
        self._descriptor = connection.fileno()
        self._poller = poller
        self._unsent = b""
        """What the kernel did not take of the last write."""
        self._dirty = False
        self._held = False
        self._ended = False
        """Whether the peer has sent its last byte."""
        self._half_closed = False
        poller.enter(self)
        poller.take_over(self._descriptor, self)

    def begin(self, receiver: Receiver, early: bytes) -> None:
        """Carry the connection; `early` came together with the handshake."""
        if self._descriptor < 0:
            self.connection.receiver = receiver
            self.connection.lost()  # refused and gone already
            return
        super().begin(receiver, early)

    @property
    def peer(self) -> Address | None:
        """Who is at the other end, where that is known."""
        return peer_of(self._socket)

    # ------------------------------------------------------------------ the poller's side

    def ready(self, events: int) -> None:
        """Write what waits, and read once."""
        if events & OUT:
            self.flush()
        if events & (IN | FAILED) and self._descriptor >= 0:
            self._read()

    def drop(self) -> None:
        """End at once: what was not sent is forgotten."""
        self.connection.lost()
        self._close()

    def _read(self) -> None:
        connection = self.connection
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            connection.lost()
            self.changed()
            return
        if data:
            self.receive(data)
        else:
            self._ended = True
            self.hold()  # or its end would be told again and again
            connection.lingering = False
            connection.ended()
            self.changed()

    # ------------------------------------------------------------------ writing

    def flush_soon(self) -> None:
        """Write what the outbox holds, two turns from now."""
        if self._dirty:
            self._poller.pace.more()
        elif not self._unsent:
            self._dirty = True
            self._poller.flush_soon(self)

    def flush(self) -> None:
        """Write what the outbox holds, as far as the kernel takes it."""
        self._dirty = False
        outbox = self.connection.outbox
        waited = bool(self._unsent)
        while self._descriptor >= 0 and (data := self._unsent or outbox.take()):
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.connection.lost()
                break
            self._unsent = data[sent:]
            if self._unsent:
                break
            outbox.written()
        if waited is not bool(self._unsent):
            self._watch()
        self.taken()
        if self.connection.finished:
            self.finish()

    def finish(self) -> None:
        """Close the socket, or half of it while the peer may still be sending."""
        if self._descriptor < 0:
            return
        connection = self.connection
        if connection.phase is OVER:
            if not self._ended:  # who has said all reads what he was sent
                forget_unsent(self._socket)
            self._close()
        elif not connection.lingering:
            self._close()
        elif not self._half_closed:
            self._half_closed = True
            self._site.lobby.enter(self)
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            self._poller.forget(self._descriptor)
            self._descriptor = -1
            self._socket.close()
            self._site.lobby.leave(self)
            self._site.ticker.forget(self)
            self._poller.leave(self)
            self.connection.lost()
            self.free()

    # ------------------------------------------------------------------ reading

    def hold(self) -> None:
        """Take no more bytes from the peer.

        Its socket is not waited for at all, unless there is something to write: an epoll tells of
        a peer that has hung up whatever it was asked for.
        """
        if not self._held:
            self._held = True
            self._watch()

    def go_on(self) -> None:
        """Take bytes again; those that wait are parsed in a turn of their own."""
        if self._held and not self._ended and self._descriptor >= 0:
            self._poller.go_on_soon(self)

    def read_on(self) -> None:
        """Read again, if nothing holds it any more."""
        if self._held and self._descriptor >= 0 and not self.connection.held:
            self._held = False
            self._watch()
            self.receive(b"")

    def _watch(self) -> None:
        events = (0 if self._held else IN) | (OUT if self._unsent else 0)
        if self._descriptor < 0:
            return
        if events:
            self._poller.watch(self._descriptor, self, events)
        else:
            self._poller.forget(self._descriptor)
