"""Requests and handshakes, as handlers see them."""

from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from herdwick.websocket.http import HTTPError
from herdwick.websocket.request import BodyConsumed, Query, Request
from tests.websocket.exchange import client, http_scope, post, websocket_scope


class Note(msgspec.Struct):
    text: str


def test_a_request_tells_what_was_asked() -> None:
    request = Request(
        http_scope(
            "/a b",
            method="POST",
            query="x=1&x=2&y=%C3%A9+b&z=",
            headers=[("Host", "example.com:80")],
            client=("10.0.0.1", 1),
            scheme="https",
        )
    )

    assert (request.method, request.path, request.scheme) == ("POST", "/a b", "https")
    assert (request.host, request.client_ip) == ("example.com:80", "10.0.0.1")
    assert request.query.get_all("x") == ["1", "2"]
    assert dict(request.query) == {"x": "1", "y": "é b", "z": ""}
    assert request.route_values == {}
    assert request.identity is None
    assert request.websocket is None


def test_a_handshake_is_a_get_over_ws() -> None:
    scope = websocket_scope()
    del scope["scheme"]

    assert (Request(scope).method, Request(scope).scheme) == ("GET", "ws")
    assert Request(http_scope()).scheme == "http"


@pytest.mark.parametrize("peer", [{}, {"client": None}, {"client": ("", 0)}])
def test_an_unknown_client_is_called_so(peer: dict[str, Any]) -> None:
    assert Request(http_scope(**peer)).client_ip == "unknown"


def test_what_is_no_utf_8_in_a_query_does_not_fail() -> None:
    assert Query(b"a=%ff&b=\xff")["a"] == "\ufffd"
    assert "c" not in Query(b"a=1")
    assert Query(b"a=1").get_all("c") == []
    assert len(Query(b"a=1&b=2")) == 2


def test_a_value_is_decoded_once() -> None:
    assert Query(b"a=%2525")["a"] == "%25"


def test_reprs_show_no_tokens() -> None:
    request = Request(http_scope("/x", query="token=secret"))

    assert "secret" not in repr(request) + repr(request.query)


@pytest.mark.parametrize(
    ("path", "raw_path", "expected"),
    [
        ("/a/b", b"/a%2Fb", "/a%2Fb"),
        ("/a b", b"/a%20b?x=1", "/a%20b"),
        ("/é", None, "/%C3%A9"),
        ("/100%", None, "/100%25"),
        # Something stripped a prefix off one of the two only.
        ("/b", b"/a/b", "/b"),
    ],
)
def test_the_raw_path_always_means_the_path(
    path: str, raw_path: bytes | None, expected: str
) -> None:
    assert Request(http_scope(path, raw_path=raw_path)).raw_path == expected


@pytest.mark.parametrize(
    ("sent", "cookies"),
    [
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; a=2"], {"a": "1"}),
        (['a="x y"; b=x=y'], {"a": "x y", "b": "x=y"}),
        (["", ";;=1; c"], {"c": ""}),
        ([], {}),
    ],
)
def test_cookies_are_read_as_sent(sent: list[str], cookies: dict[str, str]) -> None:
    request = Request(http_scope(headers=[("cookie", value) for value in sent]))

    assert request.cookies == cookies


async def test_a_body_is_read_once_and_kept() -> None:
    request = post(b"ab", b"c")

    assert await request.read() == b"abc"
    assert await request.read() == b"abc"
    assert [piece async for piece in request.stream()] == [b"abc"]
    assert await request.text() == "abc"


async def test_a_body_can_be_streamed_once() -> None:
    request = post(b"ab", b"c")

    assert [piece async for piece in request.stream()] == [b"ab", b"c"]
    with pytest.raises(BodyConsumed, match="streamed already"):
        await request.read()


async def test_a_body_at_the_limit_is_taken() -> None:
    assert await post(b"12345", b"67890", body_bytes=10).read() == b"1234567890"


async def test_a_body_over_the_limit_is_413() -> None:
    with pytest.raises(HTTPError, match="larger than 10 bytes") as caught:
        await post(b"12345", b"678901", body_bytes=10).read()

    assert caught.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize("length", ["11", "9" * 1000])
async def test_a_declared_size_over_the_limit_is_refused_before_reading(length: str) -> None:
    peer = client(b"never read")
    scope = http_scope(method="POST", headers=[("content-length", length)])

    with pytest.raises(HTTPError, match="413"):
        await Request(scope, peer.receive, body_bytes=10).read()

    assert len(peer.events) == 1


@pytest.mark.parametrize("length", ["x", "-1", "²"])
async def test_a_declared_size_that_is_none_does_not_count(length: str) -> None:
    scope = http_scope(method="POST", headers=[("content-length", length)])

    assert await Request(scope, client(b"ok").receive).read() == b"ok"


async def test_a_body_that_ends_too_early_is_400() -> None:
    with pytest.raises(HTTPError, match="400 Bad Request: the body ends too early"):
        await Request(http_scope(method="POST"), client(b"x", leaves=True).receive).read()


async def test_a_handshake_has_no_body() -> None:
    assert await Request(websocket_scope(), client(b"x").receive).read() == b""
    assert await Request(http_scope()).read() == b""


async def test_a_body_decodes_to_a_type() -> None:
    assert await post(b'{"text":"hi"}').decode(Note) == Note("hi")
    assert await post(b"[1]").json() == [1]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"text":1}', r"Expected `str`, got `int` - at `\$.text`"),
        (b"", "truncated"),
        (b"[" * 900, "Expected `object`"),
    ],
)
async def test_a_body_that_does_not_decode_is_400(body: bytes, detail: str) -> None:
    with pytest.raises(HTTPError, match=f"400 Bad Request: the body does not decode: .*{detail}"):
        await post(body).decode(Note)


async def test_text_that_is_no_utf_8_is_400() -> None:
    with pytest.raises(HTTPError, match="not valid UTF-8"):
        await post(b"\xff").text()
