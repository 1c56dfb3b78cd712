"""Clients by the thousand in one thread: they do as they are told, and tell what they hear."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

Hear: TypeAlias = Callable[["Client", bytes], object]
Phase: TypeAlias = Literal["connecting", "open", "over"]

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE
TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
LOST: Final = 1006
AT_ONCE: Final = 100
"""Clients that come at the same time."""
PATIENCE: Final = 60.0
"""Seconds after which what was waited for is said not to come."""

# Each address of our own has its own 28,000 ports, which rest for a minute after each use.
HOSTS: Final = cycle(f"127.0.{net}.{host}" for net in range(1, 9) for host in range(1, 255))


class Missing(AssertionError):
    """What had to come has not come in time."""


@dataclass(frozen=True, slots=True)
class End:
    """How a connection has ended, as the client sees it."""

    code: int
    """That of the server's close frame; 1006 without one."""
    reason: str
    at: float
    """When, by `time.monotonic`."""


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Give a frame of a client; masked with zeros, it travels as it is."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, 0x80 | size, 0, 0, 0, 0)) + payload
    if size < 65536:
        return bytes((opcode, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((opcode, 0xFF)) + size.to_bytes(8, "big") + bytes(4) + payload


def handshake(path: str, *lines: str) -> bytes:
    """Give the request that asks for a WebSocket."""
    head = (
        f"GET {path} HTTP/1.1",
        "Host: here",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *lines,
    )
    return "\r\n".join((*head, "", "")).encode()


class Client:
    """One TCP connection, and the WebSocket over it."""

    def __init__(self, crowd: Crowd, request: bytes, hear: Hear | None) -> None:
        self.phase: Phase = "connecting"
        self.status: int | None = None
        """That of the answer to its handshake."""
        self.end: End | None = None
        """How it has ended; None until then, and where it has left by itself."""
        self.hear = hear
        """Who is told of each message."""
        self.began = time.monotonic()
        """When it has come."""
        self.reads = True
        """Whether it reads at all."""
        self.on_open: Callable[[Client], object] | None = None
        """Who is told that its handshake was accepted."""
        self._closed: tuple[int, str] | None = None
        """What the server's close frame has said."""
        self._crowd = crowd
        self._unsent = request
        self._received = b""
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if crowd.buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, crowd.buffer)
        self._socket.bind((next(HOSTS), 0))
        self._socket.connect_ex(crowd.address)
        self._watched = WRITE
        crowd.watch(self._socket, self, WRITE)

    # ------------------------------------------------------------------ what it does

    def send(self, text: str) -> None:
        """Send a message; what the server does not take now waits here."""
        self.write(frame(text.encode()))

    def write(self, data: bytes) -> None:
        """Send bytes, whatever they mean."""
        if self.phase == "over":
            return
        waited = bool(self._unsent)
        self._unsent += data
        if not waited:
            self._flush()

    def stop_reading(self) -> None:
        """Leave unread what comes from now on."""
        self.reads = False
        self._watch()

    def read_on(self) -> None:
        """Read again."""
        self.reads = True
        self._watch()

    def close(self, code: int = 1000) -> None:
        """Say goodbye in order; the server's answer ends it."""
        self.write(frame(code.to_bytes(2, "big"), CLOSE))

    def leave(self) -> None:
        """Be gone without a word: end the TCP connection in order."""
        if self.phase != "over":
            self.phase = "over"
            self._crowd.forget(self._socket, self)
            self._socket.close()

    def reset(self) -> None:
        """Be lost: reset the TCP connection."""
        if self.phase != "over":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.leave()

    # ------------------------------------------------------------------ what comes

    def ready(self, events: int) -> None:
        """Write what waits, and read once."""
        if events & WRITE:
            self._flush()
        if events & READ and self.phase != "over":
            self._read()

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # the reading side tells how it has ended
            self._ended()
            return
        self._watch()

    def _watch(self) -> None:
        if self.phase != "over":
            events = (WRITE if self._unsent else 0) | (READ if self.reads else 0)
            if events != self._watched:
                self._watched = events
                self._crowd.watch(self._socket, self, events)

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        self._received += data
        if self.phase == "connecting":
            self._take_head()
        if self.phase == "open":
            self._take_frames()

    def _take_head(self) -> None:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if found:
            self.status = int(head.split(b" ", 2)[1])
            self._received = rest
            if self.status == 101:
                self.phase = "open"
                if self.on_open is not None:
                    self.on_open(self)

    def _take_frames(self) -> None:
        data, at = self._received, 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if len(data) < start + size:
                break
            opcode, payload = data[at], data[start : start + size]
            at = start + size
            self._take(opcode, payload)
        self._received = data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.write(frame(payload, PONG))
        elif opcode == CLOSE:
            self._closed = int.from_bytes(payload[:2], "big"), payload[2:].decode()
            self.write(frame(payload, CLOSE))
        elif self.hear is not None and opcode != PONG:
            self.hear(self, payload)

    def _ended(self) -> None:
        code, reason = self._closed or (LOST, "")
        self.end = End(code, reason, time.monotonic())
        self.leave()


class Crowd:
    """Many clients of one server."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.connected = 0
        """How many there have been."""
        self.buffer = 0
        """Bytes that the kernel takes for each who comes from now on; 0: as many as it likes."""
        self._selector = selectors.DefaultSelector()
        self._present: dict[Client, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in list(self._present):
            client.leave()
        self._selector.close()

    def __len__(self) -> int:
        return len(self._present)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._present))

    def connect(self, path: str, *lines: str, hear: Hear | None = None) -> Client:
        """Let one more come; `lines` are more of its handshake's head."""
        return self.begin(handshake(path, *lines), hear=hear)

    def begin(self, data: bytes, *, hear: Hear | None = None) -> Client:
        """Let one more come, whatever it sends first."""
        self.connected += 1
        return Client(self, data, hear)

    def gather(self, paths: Sequence[str], *lines: str) -> list[Client]:
        """Let one come for each path, and wait until all are in."""
        clients: list[Client] = []
        for path in paths:
            clients.append(self.connect(path, *lines))
            self.turn()
            while sum(each.phase == "connecting" for each in clients[-AT_ONCE:]) == AT_ONCE:
                self.turn(0.01)
        self.until(lambda: all(each.phase != "connecting" for each in clients), "all are in")
        assert {each.status for each in clients} == {101}
        return clients

    # ------------------------------------------------------------------ time passes

    def turn(self, seconds: float = 0.0) -> None:
        """Let all read and write what they can, and wait so long for it."""
        for key, events in self._selector.select(seconds):
            key.data.ready(events)

    def until(self, condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Go on until a condition holds.

        Raises:
            Missing: It did not hold in time.
        """
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise Missing(f"after {patience:g} s: not {what}")
            self.turn(0.01)

    def during(self, seconds: float) -> Iterator[float]:
        """Go on for so long; give, turn by turn, the seconds that have passed."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            yield passed
            self.turn(0.001)

    # ------------------------------------------------------------------ the clients' side

    def watch(self, connection: socket.socket, client: Client, events: int) -> None:
        """Have a client called for these events of its socket."""
        if client not in self._present:
            self._present[client] = None
            self._selector.register(connection, events, client)
        elif events:
            with suppress(KeyError):
                self._selector.modify(connection, events, client)
                return
            self._selector.register(connection, events, client)
        else:
            with suppress(KeyError):
                self._selector.unregister(connection)

    def forget(self, connection: socket.socket, client: Client) -> None:
        """Call a client no more."""
        del self._present[client]
        with suppress(KeyError):
            self._selector.unregister(connection)


class Pace:
    """So many a second: tells how many are due."""

    def __init__(self, each_second: float) -> None:
        self._each_second = each_second
        self._began = time.monotonic()
        self._done = 0

    def due(self) -> range:
        """Give the numbers of those that are due, and have not been given."""
        ends = int((time.monotonic() - self._began) * self._each_second)
        # Who was held up does not catch up all at once.
        begins = max(self._done, ends - int(self._each_second))
        self._done = ends
        return range(begins, ends)


class Echoes:
    """Clients that are answered what they say, and count: nothing is lost, and all is in order."""

    def __init__(self) -> None:
        self._sent: dict[Client, count[int]] = {}
        self.asked = 0
        self.heard: dict[Client, int] = {}
        """How many answers each has."""

    def add(self, client: Client) -> None:
        """Have one more; its connection echoes."""
        client.hear = self._hear
        self._sent[client], self.heard[client] = count(), 0

    def say(self, client: Client) -> None:
        """Have one say its next number."""
        client.send(f"{next(self._sent[client])}")
        self.asked += 1

    @property
    def answered(self) -> int:
        """How many answers have come."""
        return sum(self.heard.values())

    def _hear(self, client: Client, payload: bytes) -> None:
        number = int(payload)
        assert number == self.heard[client], f"{number} is not what follows {self.heard[client]}"
        self.heard[client] = number + 1
