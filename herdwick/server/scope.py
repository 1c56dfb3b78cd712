"""Requests and ASGI scopes from the parsed head of a request."""

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from herdwick.actors import RawHeaders
from herdwick.websocket import Request, Scope

from .head import Head

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_PLAIN: Final = re.compile(rb"(/[\x21-\x24\x26-\x3e\x40-\x7e]*+)(?:\?([\x21-\x7e]*+))?")
"""A target without escapes, in one look: as mostly, and four times faster than what follows."""


class InvalidTarget(ValueError):
    """The target of a request is no path that could be decoded in one way only."""

    def __init__(self, target: bytes) -> None:
        super().__init__(f"invalid request target {target[:80]!r}")


@dataclass(slots=True)  # frozen, it would take three times as long to make
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
    plain = _PLAIN.fullmatch(target)
    if plain is not None:
        return plain[1].decode(), plain[1], plain[2] or b""
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


class Handshake(Request):
    """The handshake of a WebSocket, from its head; the ASGI scope is made when somebody asks.

    Once it is made it counts, for whoever asked may have changed it.

    Raises:
        InvalidTarget: See `split_target`.
    """

    __slots__ = ("_client", "_plain", "_root_path", "_secure", "_server", "_state", "head")

    def __init__(
        self, head: Head, peers: Peers, *, root_path: str = "", state: MutableMapping[str, object]
    ) -> None:
        super().__init__(None)
        self.head = head
        """What it was read from."""
        # Not the peers themselves: one object more for each connection.
        self._client, self._server, self._secure = peers.client, peers.server, peers.secure
        self._root_path = root_path
        self._state = state
        path, raw_path, _ = split_target(head.target)
        # Nothing is escaped: then the target itself is all that there is to know of the path.
        self._plain = not root_path and len(path) == len(raw_path) and head.target[:1] == b"/"

    @property
    def scope(self) -> Scope:
        """The ASGI scope (WebSocket specification 2.4)."""
        if self._scope is None:
            peers = Peers(self._client, self._server, self._secure)
            scope = _scope(self.head, peers, self._root_path, self._state)
            scope.update(
                type="websocket",
                scheme=self.scheme,
                subprotocols=self.subprotocols,
                extensions={"websocket.http.response": {}},
            )
            self._scope = scope
        return self._scope

    @property
    def method(self) -> str:
        """GET."""
        return "GET"

    @property
    def path(self) -> str:
        """The path, decoded once: compare `raw_path` where a `%2F` matters."""
        return self.raw_path if self._plain and self._scope is None else super().path

    @property
    def raw_path(self) -> str:
        """The path as it was sent, percent-encoded and without the query."""
        if self._plain and self._scope is None:
            return self.head.target.partition(b"?")[0].decode()
        return super().raw_path

    @property
    def root_path(self) -> str:
        """The part of the path that the application stands below."""
        return self._root_path if self._scope is None else super().root_path

    @property
    def raw_headers(self) -> RawHeaders:
        """The header fields as they travel, with names in lower case."""
        return self.head.headers if self._scope is None else super().raw_headers

    @property
    def scheme(self) -> str:
        """How it came: ws or wss."""
        if self._scope is None:
            return "wss" if self._secure else "ws"
        return super().scheme

    @property
    def query_string(self) -> bytes:
        """The part of the URL behind the `?`, percent-encoded."""
        if self._scope is None:
            return self.head.target.partition(b"?")[2]
        return super().query_string

    @property
    def client_ip(self) -> str:
        """The address of the peer, or "unknown"."""
        known = self._client if self._scope is None else None
        return known[0] if known else super().client_ip

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, the one it likes best first."""
        if self._scope is None:
            offered = self.head.tokens(b"sec-websocket-protocol")
            return [token.decode("latin-1") for token in offered]
        return super().subprotocols


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
