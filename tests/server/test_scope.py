"""ASGI scopes from the parsed head of a request."""

import pytest

from herdwick.server.scope import (
    Head,
    InvalidTarget,
    Peers,
    http_scope,
    split_target,
    websocket_scope,
)

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

    scope = websocket_scope(Head("GET", b"/a?b", "1.1", headers), PEERS, state={"x": 1})

    assert scope == {
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


def test_an_http_scope_says_its_method() -> None:
    scope = http_scope(Head("PUT", b"/", "1.0", []), Peers(None, None, secure=True), state={})

    assert (scope["type"], scope["method"], scope["scheme"]) == ("http", "PUT", "https")
    assert scope["http_version"] == "1.0"


def test_a_root_path_stands_before_the_path() -> None:
    scope = http_scope(Head("GET", b"/a", "1.1", []), PEERS, root_path="/api", state={})

    assert (scope["path"], scope["raw_path"], scope["root_path"]) == ("/api/a", b"/api/a", "/api")
