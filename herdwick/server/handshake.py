"""The opening handshake of a WebSocket: what is accepted, and the bytes of the answer.

RFC 6455 section 4.2. Everything in here is pure, but for the log.
"""

import logging
import re
from base64 import b64encode
from binascii import Error, a2b_base64
from dataclasses import dataclass
from hashlib import sha1
from http import HTTPStatus
from typing import Final

from herdwick.actors import RawHeaders
from herdwick.websocket import InvalidHeader, Limits

from .head import Fields, Head, elements
from .sockets import Address

logger: Final = logging.getLogger("herdwick.server")

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")

_ACCEPTANCE: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
)

# Headers of an answer that say how its bytes travel, which is the server's to say.
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_OF_THE_101: Final = frozenset(
    {b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-extensions"}
)


LINE_BYTES: Final = 8 * 1024
"""The longest request line, and the longest header."""

HEADERS: Final = 100
"""The most headers of one request."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP answer to a request that goes no further."""

    status: int
    detail: str
    headers: RawHeaders = ()

    def response(self) -> bytes:
        """Build the bytes of the answer, after which the connection is closed."""
        headers = (*self.headers, (b"content-type", b"text/plain; charset=utf-8"))
        return build_rejection(self.status, headers, self.detail.encode() + b"\n")

    def log(self, peer: Address | None) -> None:
        """Log what a peer did; the access log has no line for what reached no application."""
        status, reason = self.status, self.detail
        told = {"kind": "refused", "peer": peer and peer[0], "status": status, "reason": reason}
        logger.info("refused with %d: %s", status, reason, extra=told)


def log_slow_head(peer: Address | None) -> None:
    """Log that a peer began a head and was dropped before its end."""
    told = {"kind": "mistake", "peer": peer and peer[0], "reason": "slow head"}
    logger.info("dropped: the head of its request took too long", extra=told)


def asks_upgrade(head: Head) -> bool:
    """Tell whether a request wants a WebSocket, however badly it asks."""
    return _names(head.values, b"upgrade", b"websocket")


def find_excess(head: Head, limits: Limits) -> Refusal | None:
    """Check a head that arrived at once against the limits of its parts."""
    if isinstance(head.lines, bytes):  # one look, as mostly
        few = head.lines.count(b"\n") <= HEADERS
        size = len(head.lines) + len(head.target) + len(head.method) + 16
        if few and size < min(LINE_BYTES, limits.head_bytes):
            return None
    lines = [len(name) + len(value) + 4 for name, value in head.headers]
    first = len(head.method) + len(head.target) + 12
    if first > LINE_BYTES:
        return Refusal(414, f"request line over {LINE_BYTES} bytes")
    if len(lines) > HEADERS or max(lines, default=0) > LINE_BYTES:
        return Refusal(431, f"over {HEADERS} headers, or one over {LINE_BYTES} bytes")
    if first + sum(lines) > limits.head_bytes:
        return Refusal(431, f"head over {limits.head_bytes} bytes")
    return None


def find_ambiguity(head: Head) -> Refusal | None:
    """Check a plain request for what a proxy before us may read in another way than we do.

    Whom it is for (RFC 9112 section 3.2), and where its body ends (section 6.1).
    """
    fields = head.values
    if len(fields.get(b"host", ())) > 1 or (b"host" not in fields and head.version == "1.1"):
        return Refusal(400, "there has to be one Host header")
    lengths = fields.get(b"content-length", [])
    if b"transfer-encoding" in fields:
        if lengths or head.version == "1.0":
            return Refusal(400, "Transfer-Encoding does not go with HTTP/1.0 or a Content-Length")
    elif len(lengths) > 1 or not b"".join(lengths or [b"0"]).isdigit():
        return Refusal(400, "there has to be one Content-Length, a number")
    return None


def find_refusal(head: Head) -> Refusal | None:
    """Check the handshake of who `asks_upgrade`; give the answer where it is refused.

    RFC 6455 section 4.2.1.
    """
    fields = head.values
    problem = _find_problem(head, fields)
    if problem is not None:
        return Refusal(400, f"not a WebSocket handshake: {problem}")
    if fields.get(b"sec-websocket-version") != [b"13"]:
        return Refusal(
            426,
            "this server speaks version 13 of the WebSocket protocol",
            [(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")],
        )
    return None


def _find_problem(head: Head, fields: Fields) -> str | None:
    if head.method != "GET":
        return "the method has to be GET"
    if head.version != "1.1":
        return "the version has to be HTTP/1.1"
    if len(fields.get(b"host", ())) != 1:
        return "there has to be one Host header"
    if b"content-length" in fields or b"transfer-encoding" in fields:
        return "there must be no body"
    if not _names(fields, b"connection", b"upgrade"):
        return "the Connection header has to name Upgrade"
    if not _is_key(fields.get(b"sec-websocket-key", [])):
        return "there has to be one Sec-WebSocket-Key of 16 bytes in base64"
    return None


def _names(fields: Fields, name: bytes, token: bytes) -> bool:
    """Tell whether a comma-separated header has a token, in whatever case."""
    values = fields.get(name)
    if values is None:
        return False
    alone = len(values) == 1 and values[0].lower() == token  # as mostly
    return alone or token in map(bytes.lower, elements(values))


def _is_key(keys: list[bytes]) -> bool:
    try:
        return len(keys) == 1 and len(a2b_base64(keys[0], strict_mode=True)) == 16
    except Error:
        return False


def accept_key(key: bytes) -> bytes:
    """Compute Sec-WebSocket-Accept from Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def build_acceptance(
    head: Head, subprotocol: str | None, headers: RawHeaders, own: bytes = b""
) -> bytes:
    """Build the 101 that opens the connection; `own` are the lines that each answer has.

    Raises:
        InvalidHeader: A header or the subprotocol would break the response.
    """
    lines: list[tuple[bytes, bytes]] = []
    if subprotocol is not None:
        lines.append((b"sec-websocket-protocol", _checked_subprotocol(subprotocol)))
    for name, value in headers:
        if name.lower() in _OF_THE_101:
            raise InvalidHeader(name.decode(), "belongs to the handshake itself")
        lines.append((name, value))
    key = accept_key(head.all(b"sec-websocket-key")[0])
    return b"%b%b\r\n%b%b\r\n" % (_ACCEPTANCE, key, own, build_lines(lines))


def build_rejection(status: int, headers: RawHeaders, body: bytes, own: bytes = b"") -> bytes:
    """Build a whole response after which the connection is closed; `own` as above.

    Raises:
        ValueError: The status is not that of a final answer.
        InvalidHeader: A header would break the response.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"status {status} is no final answer; use 200 to 599")
    lines = [field for field in headers if field[0].lower() not in _FRAMING]
    lines.append((b"content-length", str(len(body)).encode()))
    lines.append((b"connection", b"close"))
    start = f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode()
    return b"".join((start, own, build_lines(lines), b"\r\n", body))


def reason_phrase(status: int) -> str:
    """Give the words of a status, "" for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _checked_subprotocol(subprotocol: str) -> bytes:
    encoded = subprotocol.encode()
    if not _TOKEN.fullmatch(encoded):
        raise InvalidHeader("sec-websocket-protocol", "has to be a token")
    return encoded


def build_lines(headers: RawHeaders) -> bytes:
    """Build the lines of header fields.

    Raises:
        InvalidHeader: One would break out of its line.
    """
    lines: list[bytes] = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise InvalidHeader(name.decode("latin-1"), "has a name that is not a token")
        if not _VALUE.fullmatch(value):
            raise InvalidHeader(name.decode(), "holds control characters in its value")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)
