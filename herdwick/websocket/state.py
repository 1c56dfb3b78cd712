"""The states of a WebSocket, and the modes of its messages."""

from enum import Enum


class WebSocketState(Enum):
    """Where a WebSocket stands, as its handler sees it."""

    CONNECTING = 0
    """The handshake waits for `accept`, `reject` or `close`."""

    CONNECTED = 1
    """`accept` was called, and neither side has ended it."""

    DISCONNECTED = 2
    """The peer is gone, or we have closed."""


class MessageMode(Enum):
    """Which kind of frame carries a JSON message."""

    TEXT = "text"
    """A text frame."""

    BYTES = "bytes"
    """A binary frame."""
