"""The two ends of a connection: what carries it, and what its messages go to."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Data: TypeAlias = str | bytes
"""One whole message: `str` for a text message, `bytes` for a binary one."""

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Header fields as they travel: name and value, in order."""


def size_of(data: Data) -> int:
    """Give the bytes that a message has on the wire."""
    # The type itself: half of what `isinstance` takes, twice a message.
    return len(data.encode()) if type(data) is str and not data.isascii() else len(data)


class Shared:
    """A message for many connections: framed once, by the first transport that it is offered to."""

    __slots__ = ("data", "frame", "size")

    def __init__(self, data: Data) -> None:
        self.data = data
        self.size = size_of(data)
        self.frame: bytes | None = None
        """Whatever a transport makes of it, equal for all of its kind."""


class Bounds(Protocol):
    """What one connection may hold, and how long it may wait: bytes and seconds.

    The first four are kept by its actor, the others by what carries it, as far as it can.
    """

    @property
    def inbox_messages(self) -> int:
        """Messages that wait unread before reading pauses."""
        ...

    @property
    def inbox_bytes(self) -> int:
        """Bytes of messages that wait unread before reading pauses."""
        ...

    @property
    def pause_timeout(self) -> float:
        """How long reading may stay paused; then it is closed with 1008."""
        ...

    @property
    def send_timeout(self) -> float:
        """How long a `send` may wait for a peer that does not read; then it is closed with 1013."""
        ...

    @property
    def message_bytes(self) -> int:
        """Size of one message; more is closed with 1009."""
        ...

    @property
    def message_fragments(self) -> int:
        """Fragments of one message; more is closed with 1008."""
        ...

    @property
    def outbox_bytes(self) -> int:
        """Bytes that wait to be sent before `send` waits too."""
        ...

    @property
    def ping_interval(self) -> float | None:
        """How long it may be silent before a ping goes out; None sends none."""
        ...

    @property
    def ping_timeout(self) -> float | None:
        """How long it has to answer a ping; then it is closed with 1011. None waits for ever."""
        ...

    @property
    def close_timeout(self) -> float:
        """How long the closing handshake may take; then it is aborted."""
        ...


class Transport(Protocol):
    """What carries one WebSocket connection, as its actor sees it.

    The synchronous methods act in the caller's turn. They may be called from any task of the
    loop at any time, and do nothing once the peer is gone: none raises for that.
    """

    @property
    def longest_pause(self) -> float:
        """Seconds that reading may pause before the carrier takes the peer for dead."""
        ...

    def limit(self, bounds: Bounds) -> None:
        """Go by other bounds from here on, such as those of a route, which is known by now."""
        ...

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake with 101."""
        ...

    def reject(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Answer the handshake with an HTTP response instead."""
        ...

    def offer(self, data: Data) -> bool:
        """Append a message to the outbox, and tell whether the outbox is now over its bound."""
        ...

    def share(self, message: Shared) -> bool:
        """Append a message that others get too, and tell the same."""
        ...

    async def drained(self) -> None:
        """Wait until the outbox is under its bound, or the transport is over.

        Cancelling it loses nothing.
        """
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Close after what the outbox holds, within the close timeout; then abort.

        A second call does nothing.
        """
        ...

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        ...

    def pause_reading(self) -> None:
        """Take no more bytes from the peer, so that TCP slows it down."""
        ...

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""
        ...


class Receiver(Protocol):
    """What a driver hands the peer's messages to: the connection's actor."""

    def deliver(self, data: Data) -> None:
        """Take one whole message; text has passed its UTF-8 check."""
        ...

    def disconnected(self, code: int, reason: str) -> None:
        """Take the end, exactly once and after every message.

        `code` is the peer's, or 1005 where its close frame has none, or 1006 where the
        connection was lost without a close frame (RFC 6455 section 7.1.5).
        """
        ...

    def failed(self, code: int, reason: str) -> None:
        """Take the end in the same way, where the driver closes it with `code`."""
        ...
