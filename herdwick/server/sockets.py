"""Listening sockets: binding them, naming them, accepting from them."""

import asyncio
import errno
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, cast

import anyio

logger = logging.getLogger("herdwick.server")

Address: TypeAlias = tuple[str, int]

_BACKLOG: Final = 2048
SEND_BACKSTOP: Final = 20.0
"""Seconds that the kernel waits for the acknowledgement of what it sent."""

ACCEPT_RETRY_DELAY: Final = 1.0
"""Seconds that asyncio rests where it can accept nobody."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


AT_ONCE: Final = 64
"""Connections that are accepted in one turn: to wait for each costs more than to accept it."""


class PortInUse(OSError):
    """Somebody listens there already."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            errno.EADDRINUSE,
            f"port {port} on {host} is in use: stop the program that listens there, "
            "or choose another port (0 picks a free one)",
        )
        self.host = host
        """Where it was to listen."""
        self.port = port
        """The port that is taken."""


class ListeningSocket(socket.socket):
    """A socket that says once that descriptors have run out, and then that nobody waits.

    asyncio goes on accepting in the same turn, up to the length of the backlog, and logs each
    failure with a traceback: a thousand of them before it rests.
    """

    def __init__(self, family: int, type: int = socket.SOCK_STREAM) -> None:
        super().__init__(family, type)
        self._exhausted = False

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection.

        Raises:
            OSError: None waits, it has left, or there is no descriptor for it.
        """
        if self._exhausted:
            self._exhausted = False
            raise BlockingIOError(errno.EAGAIN, "descriptors have just run out")
        try:
            return super().accept()
        except OSError as error:
            self._exhausted = error.errno in _EXHAUSTED
            raise


async def bind(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host; port 0 picks one free port for all of them.

    Raises:
        PortInUse: Somebody listens there already.
        OSError: The host has no address here, or the port needs rights.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in found):
            shared = port or (bound[0].getsockname()[1] if bound else 0)
            bound.append(_listen(family, (address[0], shared, *address[2:])))
    except OSError as error:
        for opened in bound:
            opened.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        raise
    return bound


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = ListeningSocket(family)
    try:
        if sys.platform == "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def base_url(listening: socket.socket, *, secure: bool) -> str:
    """Give the URL at which a listening socket is reached from this machine."""
    host, port = address_of(listening.getsockname()) or ("localhost", 0)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def address_of(name: object) -> Address | None:
    """Take host and port of a socket's name; None for what has none, as a UNIX socket."""
    if not isinstance(name, tuple):
        return None
    if len(cast("tuple[object, ...]", name)) == 2:
        return cast("Address", name)
    host, port, *_ = cast("tuple[str, int, int, int]", name)
    return host, port


def peer_of(connection: socket.socket) -> Address | None:
    """Tell who is at the other end of a connection; None where it has gone."""
    try:
        return address_of(connection.getpeername())
    except OSError:
        return None


async def accept_forever(
    listening: socket.socket,
    take: Callable[[socket.socket, Address | None], None],
    *,
    rest: float = 0.1,
) -> None:
    """Hand every connection that arrives to `take`, until cancelled.

    Where descriptors or memory run out, it rests for that many seconds and goes on: the others
    wait in the backlog meanwhile.
    """
    listening.setblocking(False)
    while True:
        await anyio.wait_readable(listening)
        for _ in range(AT_ONCE):
            try:
                connection, name = listening.accept()
            except OSError as error:
                await _overcome(error, rest)
                break
            take(connection, address_of(name))


async def _overcome(error: OSError, rest: float) -> None:
    if error.errno in _EXHAUSTED:
        _log_exhausted(error, rest)
        await anyio.sleep(rest)
    elif not isinstance(error, BlockingIOError):
        # The peer left between the handshake of TCP and our accept.
        told = {"kind": "gone_early"}
        logger.debug("a connection was gone before it was accepted: %s", error, extra=told)


def _log_exhausted(error: OSError, rest: float) -> None:
    reason = os.strerror(error.errno or 0)
    told = {"kind": "accept_failed", "reason": reason}
    text = "cannot accept connections: %s; trying again in %g s"
    logger.error(text, reason, rest, extra=told)


@contextmanager
def accept_failures_told() -> Generator[None]:
    """Have the running loop of asyncio's tell what it cannot accept as we do, inside of the block.

    It would log a traceback. uvloop tells nobody that it cannot accept.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "socket" in context and isinstance(error, OSError) and error.errno in _EXHAUSTED:
            _log_exhausted(error, ACCEPT_RETRY_DELAY)
        elif before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close sockets; a second time does nothing."""
    for opened in sockets:
        opened.close()


def tune(connection: socket.socket) -> None:
    """Send small messages at once, and give up a peer that acknowledges nothing."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        # The backstop against a peer that acknowledges nothing while the kernel still has data.
        milliseconds = int(SEND_BACKSTOP * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def tune_all(listening: Sequence[socket.socket]) -> None:
    """Tune what sockets will accept: connections inherit it from them."""
    for each in listening:
        tune(each)


def forget_unsent(connection: socket.socket) -> None:
    """Have the socket reset when it is closed, rather than linger in the kernel."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        return  # closed already
