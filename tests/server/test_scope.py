"""Requests and ASGI scopes from the parsed head of a request."""

import pytest

from herdwick.server.head import Head
from herdwick.server.scope import Handshake, InvalidTarget, Peers, http_scope, split_target
from herdwick.websocket import Request

PEERS = Peers(("10.0.0.1", 5000), ("127.0.0.1", 80))


@pytest.mark.parametrize(
    ("target", "split"),
    [
        (b"/", ("/", b"/", b"")),
        (b"/a%20b?c=d%20?e", ("/a b", b"/a%20b", b"c=d%20?e")),
        (b"/%C3%A9", ("/é", b"/%C3%A9", b"")),
        (b"/a%2Fb", ("/a/b", b"/a%2Fb", b"")),
        (b"/a%252Fb", ("/a%2Fb", b"/a%252Fb", b"")),
        (b"http://host:80/a?b", ("/a", b"/a", b"b")),
        (b"http://host", ("/", b"/", b"")),
        (b"*", ("*", b"*", b"")),
        (b"/a//b;c?x=1", ("/a//b;c", b"/a//b;c", b"x=1")),
        (b"/a?", ("/a", b"/a", b"")),
        (b"/\xc3\xa9", ("/é", b"/\xc3\xa9", b"")),
    ],
)
def test_a_target_is_decoded_once(target: bytes, split: tuple[str, bytes, bytes]) -> None:
    assert split_target(target) == split


@pytest.mark.parametrize(
    "target",
    [b"/%", b"/%a", b"/%zz", b"/%00", b"/%0a", b"/%7f", b"/%ff", b"host:80", b"", b"ftp://h/a"],
)
def test_a_target_that_says_no_one_thing_is_refused(target: bytes) -> None:
    with pytest.raises(InvalidTarget):
        split_target(target)


def test_a_websocket_scope_says_all_that_asgi_wants() -> None:
    headers = [
        (b"host", b"h"),
        (b"sec-websocket-protocol", b"chat, v2"),
        (b"sec-websocket-protocol", b"v3"),
    ]

    handshake = Handshake(Head("GET", b"/a?b", "1.1", headers), PEERS, state={"x": 1})

    assert handshake.scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"b",
        "root_path": "",
        "headers": headers,
        "client": ("10.0.0.1", 5000),
        "server": ("127.0.0.1", 80),
        "subprotocols": ["chat", "v2", "v3"],
        "state": {"x": 1},
        "extensions": {"websocket.http.response": {}},
    }


@pytest.mark.parametrize(
    "target", [b"/a?b=c", b"/a%20b", b"/%C3%A9", b"/\xc3\xa9", b"ws://h/a", b"*"]
)
@pytest.mark.parametrize("root_path", ["", "/api", "/%41pi"])
def test_a_handshake_says_without_a_scope_what_it_says_with_one(
    target: bytes, root_path: str
) -> None:
    fields = [(b"host", b"h"), (b"sec-websocket-protocol", b"chat, v2"), (b"cookie", b"a=b")]
    handshake = Handshake(Head("GET", target, "1.1", fields), PEERS, root_path=root_path, state={})

    said = all_of(handshake)

    assert said == all_of(Request(handshake.scope)) == all_of(handshake)


def test_a_scope_that_was_changed_counts() -> None:
    handshake = Handshake(Head("GET", b"/a?b=c", "1.1", [(b"host", b"h")]), PEERS, state={})

    handshake.scope.update(
        client=("1.2.3.4", 5), scheme="wss", headers=[(b"host", b"other")], query_string=b"d=e"
    )

    assert (handshake.client_ip, handshake.scheme) == ("1.2.3.4", "wss")
    assert (handshake.host, dict(handshake.query)) == ("other", {"d": "e"})


def all_of(request: Request) -> tuple[object, ...]:
    """Give what a request says of itself."""
    return (
        request.method,
        request.path,
        request.raw_path,
        request.root_path,
        request.raw_headers,
        request.scheme,
        request.query_string,
        request.client_ip,
        request.subprotocols,
        dict(request.cookies),
    )


def test_an_http_scope_says_its_method() -> None:
    scope = http_scope(Head("PUT", b"/", "1.0", []), Peers(None, None, secure=True), state={})

    assert (scope["type"], scope["method"], scope["scheme"]) == ("http", "PUT", "https")
    assert scope["http_version"] == "1.0"


def test_a_root_path_stands_before_the_path() -> None:
    scope = http_scope(Head("GET", b"/a", "1.1", []), PEERS, root_path="/api", state={})

    assert (scope["path"], scope["raw_path"], scope["root_path"]) == ("/api/a", b"/api/a", "/api")
