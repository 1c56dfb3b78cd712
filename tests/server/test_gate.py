"""Tests of herdwick/server/gate.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.server.gate import Gate, Plain, Upgrade
from herdwick.server.handshake import Refusal
from herdwick.websocket import Limits

HANDSHAKE = (
    b"GET /chat?x=1 HTTP/1.1\r\nHost: fell\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: x\r\n\r\n"
)
REQUEST = b"GET /page HTTP/1.1\r\nHost: fell\r\n\r\n"


def let_in(*pieces: bytes, limits: Limits | None = None) -> object:
    gate = Gate(limits or Limits())
    for piece in pieces[:-1]:
        assert gate.receive(piece) is None
    return gate.receive(pieces[-1])


def test_a_handshake_comes_out_parsed_with_what_came_behind_it() -> None:
    verdict = let_in(HANDSHAKE + b"\x81\x80")

    assert isinstance(verdict, Upgrade)
    assert (verdict.head.method, verdict.head.target, verdict.head.version) == (
        "GET",
        b"/chat?x=1",
        "1.1",
    )
    assert verdict.head.all(b"upgrade") == [b"WebSocket"]
    assert verdict.rest == b"\x81\x80"


@given(st.lists(st.integers(1, len(HANDSHAKE) - 1), unique=True).map(sorted))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    ends = [*cuts, len(HANDSHAKE)]
    pieces = [HANDSHAKE[a:b] for a, b in zip([0, *cuts], ends, strict=True)]

    assert let_in(*pieces) == let_in(HANDSHAKE)


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        REQUEST + b"more",
        b"POST /page HTTP/1.1\r\nHost: fell\r\nX: Upgrade: websocket\r\n\r\nbody",
        b"GET / HTTP/1.1\r\nHost: fell\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: fell\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: fell\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_that_is_no_handshake_goes_to_the_parser_with_every_byte(data: bytes) -> None:
    assert let_in(data) == Plain(data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: fell\r\n Upgrade: websocket\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/2\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade : websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\nX: y\r\n\r\n",
        b"\x16\x03\x01 not http\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: fell\r\nHost: fell\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: fell\r\nContent-Length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: fell\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: fell\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_could_be_read_in_more_than_one_way_is_refused(data: bytes) -> None:
    verdict = let_in(data)

    assert isinstance(verdict, Refusal)
    assert verdict.status == 400


def test_a_head_over_its_limit_is_refused_before_it_is_complete() -> None:
    verdict = let_in(b"GET /" + b"x" * 1100, limits=Limits(head_bytes=1024))

    assert isinstance(verdict, Refusal)
    assert verdict.status == 431


@pytest.mark.parametrize("head", [HANDSHAKE, REQUEST])
def test_a_head_over_its_limit_is_refused_though_it_comes_at_once(head: bytes) -> None:
    padded = head.replace(b"Host: ", b"Host: " + b" " * 1100)

    verdict = let_in(padded, limits=Limits(head_bytes=1024))

    assert isinstance(verdict, Refusal)
    assert verdict.status == 431


def test_a_handshake_with_too_much_in_it_is_refused() -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(200))

    verdict = let_in(HANDSHAKE[:-2] + many + b"\r\n")

    assert isinstance(verdict, Refusal)
    assert verdict.status == 431
