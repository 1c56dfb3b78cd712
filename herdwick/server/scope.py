"""ASGI scopes from the parsed head of a request."""

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from herdwick.actors import RawHeaders
from herdwick.websocket import Scope

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


class InvalidTarget(ValueError):
    """The target of a request is no path that could be decoded in one way only."""

    def __init__(self, target: bytes) -> None:
        super().__init__(f"invalid request target {target[:80]!r}")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request: names of headers in lower case, values without outer spaces."""

    method: str
    target: bytes
    version: str
    headers: RawHeaders

    def all(self, name: bytes) -> list[bytes]:
        """Give the value of each field of this name, in order."""
        return [value for field, value in self.headers if field == name]

    def tokens(self, name: bytes) -> list[bytes]:
        """Give the elements of a comma-separated header (RFC 9110 section 5.6.1)."""
        elements = b",".join(self.all(name)).split(b",")
        return [stripped for element in elements if (stripped := element.strip(b" \t"))]


@dataclass(frozen=True, slots=True)
class Peers:
    """The two ends of a TCP connection, as ASGI names them."""

    client: tuple[str, int] | None
    server: tuple[str, int] | None
    secure: bool = False


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Split a target into decoded path, raw path and query string.

    Raises:
        InvalidTarget: Broken percent-encoding, control characters, no UTF-8, no path.
    """
    raw_path, _, query = target.partition(b"?")
    if not raw_path.startswith(b"/"):
        raw_path = _strip_origin(raw_path, target)
    decoded = unquote_to_bytes(raw_path)
    if _BAD_ESCAPE.search(raw_path) or _CONTROL.search(decoded):
        raise InvalidTarget(target)
    try:
        return decoded.decode(), raw_path, query
    except UnicodeDecodeError:
        raise InvalidTarget(target) from None


def _strip_origin(raw_path: bytes, target: bytes) -> bytes:
    """Take the path of an absolute form (RFC 9112 section 3.2.2); `*` stays itself."""
    if raw_path == b"*":
        return raw_path
    scheme, separator, rest = raw_path.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https", b"ws", b"wss"):
        raise InvalidTarget(target)
    return b"/" + rest.partition(b"/")[2]


def http_scope(
    head: Head, peers: Peers, *, root_path: str = "", state: MutableMapping[str, object]
) -> Scope:
    """Build the "http" scope of a request (ASGI HTTP specification 2.4).

    Raises:
        InvalidTarget: See `split_target`.
    """
    scope = _scope(head, peers, root_path, state)
    scope.update(type="http", method=head.method, scheme="https" if peers.secure else "http")
    return scope


def websocket_scope(
    head: Head, peers: Peers, *, root_path: str = "", state: MutableMapping[str, object]
) -> Scope:
    """Build the "websocket" scope of a handshake (ASGI WebSocket specification 2.4).

    Raises:
        InvalidTarget: See `split_target`.
    """
    scope = _scope(head, peers, root_path, state)
    scope.update(
        type="websocket",
        scheme="wss" if peers.secure else "ws",
        subprotocols=[token.decode("latin-1") for token in head.tokens(b"sec-websocket-protocol")],
        extensions={"websocket.http.response": {}},
    )
    return scope


def _scope(head: Head, peers: Peers, root_path: str, state: MutableMapping[str, object]) -> Scope:
    path, raw_path, query = split_target(head.target)
    return {
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": head.version,
        "path": root_path + path,
        "raw_path": root_path.encode() + raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": list(head.headers),
        "client": peers.client,
        "server": peers.server,
        "state": state,
    }
