"""Tests of herdwick/server/head.py."""

import h11
from hypothesis import given
from hypothesis import strategies as st

from herdwick.server.head import Head, parse_head

NAMES = st.sampled_from([b"Host", b"upgrade", b"X-Y", b"Connection"])
VALUES = st.binary(max_size=12).map(lambda data: bytes(0x20 + byte % 0x5F for byte in data))


@given(st.lists(st.tuples(NAMES, VALUES.map(bytes.strip)), max_size=6))
def test_it_reads_a_head_as_h11_does(fields: list[tuple[bytes, bytes]]) -> None:
    fields = [(b"Host", b"fell"), *((n, v) for n, v in fields if n != b"Host")]
    head = b"GET /x HTTP/1.1\r\n" + b"".join(b"%b:  %b \r\n" % field for field in fields)
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(head + b"\r\n")
    event = oracle.next_event()

    parsed = parse_head(head)

    assert isinstance(event, h11.Request)
    assert parsed is not None
    assert (parsed.method.encode(), parsed.target) == (event.method, event.target)
    assert list(parsed.headers) == list(event.headers)


def test_what_was_folded_is_parsed_again() -> None:
    head = parse_head(b"GET / HTTP/1.1\r\nHost: fell\r\nCookie: a\r\ncookie: b \r\n")
    assert head is not None
    before = head.headers, head.all(b"cookie")

    head.fold()

    assert (head.headers, head.all(b"cookie")) == before
    assert before[1] == [b"a", b"b"]
    assert head.all(b"upgrade") == []


def test_fields_that_somebody_else_has_parsed_stay_as_they_are() -> None:
    head = Head("GET", b"/", "1.1", [(b"host", b"fell")])

    head.fold()

    assert head.headers == [(b"host", b"fell")]
    assert head.all(b"host") == [b"fell"]
