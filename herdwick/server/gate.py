"""The first bytes of a TCP connection, without I/O: a WebSocket's handshake, or other HTTP.

It decides by the parsed head, never by searching the bytes. What it does not understand whole is
refused: the HTTP parsers behind it are more lenient, each in its own way.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from herdwick.websocket import Limits

from .handshake import Refusal, asks_upgrade, find_ambiguity, find_excess
from .head import Head, parse_head

END: Final = b"\r\n\r\n"
"""The end of a head."""

NO_REQUEST: Final = Refusal(400, "not a request of HTTP/1.1")
"""The answer to a head that is not sound."""


@dataclass(slots=True)  # frozen, it would take three times as long to make
class Upgrade:
    """A handshake for a WebSocket; whether it is sound is not said yet."""

    head: Head
    rest: bytes
    """What came behind it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Another request: for the HTTP parser, from its first byte."""

    data: bytes


Verdict: TypeAlias = Upgrade | Plain | Refusal


class Gate:
    """Collects the head of the first request."""

    __slots__ = ("_limits", "_torn")

    def __init__(self, limits: Limits) -> None:
        self._torn: bytearray | None = None
        """What has come of a head that did not come at once."""
        self._limits = limits

    @property
    def begun(self) -> bool:
        """Whether a part of the head has come."""
        return self._torn is not None

    def receive(self, data: bytes) -> Verdict | None:
        """Take bytes, and say what the connection is; None while that is open."""
        come: bytes | bytearray = data
        looked_at = 0
        if self._torn is not None:
            looked_at = len(self._torn) - 3
            self._torn += data
            come = self._torn
        end = come.find(END, max(0, looked_at))
        if (len(come) if end < 0 else end) > self._limits.head_bytes:
            return Refusal(431, f"head over {self._limits.head_bytes} bytes")
        if end < 0:
            self._torn = self._torn or bytearray(data)
            return None
        data = bytes(come)
        head = read_head(data[: end + 2], self._limits)
        if isinstance(head, Refusal):
            return head
        return Upgrade(head, data[end + 4 :]) if asks_upgrade(head) else Plain(data)


def read_head(data: bytes, limits: Limits) -> Head | Refusal:
    """Read a head up to its empty line, and judge what is to hold for each request."""
    head = parse_head(data)
    return NO_REQUEST if head is None else judge_head(head, limits) or head


def judge_head(head: Head, limits: Limits) -> Refusal | None:
    """Give the answer to a head that is too large, or may be read in two ways."""
    refusal = find_excess(head, limits)
    if refusal is None and not asks_upgrade(head):
        refusal = find_ambiguity(head)
    return refusal
