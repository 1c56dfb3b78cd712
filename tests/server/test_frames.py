"""Frames as bytes: headers, masks, close payloads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import apply_mask as slow_mask

from herdwick.actors import IllegalCloseCode, clip_reason, is_legal_close_code
from herdwick.server.frames import (
    FrameError,
    Header,
    apply_mask,
    build,
    build_close,
    build_data,
    parse_close,
    parse_header,
)
from tests.server.wire import frame


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65535, b"\x82\x7e\xff\xff"),
        (65536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_frame_has_the_shortest_header_for_its_length(length: int, header: bytes) -> None:
    assert build(2, bytes(length)) == header + bytes(length)


def test_text_travels_in_a_text_frame_and_bytes_in_a_binary_one() -> None:
    assert build_data("hé") == b"\x81\x03h\xc3\xa9"
    assert build_data(b"h\xe9") == b"\x82\x02h\xe9"


@pytest.mark.parametrize(
    ("length", "size"), [(0, 6), (125, 6), (126, 8), (65535, 8), (65536, 14), (1 << 20, 14)]
)
def test_a_client_s_header_is_read(length: int, size: int) -> None:
    data = b"xx" + frame(1, bytes(length), fin=False)

    assert parse_header(data, 2) == Header(fin=False, opcode=1, payload=length, size=size)


@pytest.mark.parametrize("length", [5, 200, 70_000])
def test_a_header_is_known_before_the_mask_and_not_before_the_length(length: int) -> None:
    data = frame(2, bytes(length))
    known_at = len(data) - length - 4

    assert parse_header(data[:known_at]) is not None
    assert all(parse_header(data[:count]) is None for count in range(known_at))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc1\x80", "reserved bit set"),
        (b"\xa1\x80", "reserved bit set"),
        (b"\x91\x80", "reserved bit set"),
        (b"\x83\x80", "unknown opcode"),
        (b"\x8b\x80", "unknown opcode"),
        (b"\x81\x05", "frame not masked"),
        (b"\x89\xfe", "control frame too long"),
        (b"\x09\x80", "fragmented control frame"),
        (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", "length over 63 bits"),
    ],
)
def test_what_the_protocol_forbids_is_1002(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason) as caught:
        parse_header(data)

    assert caught.value.code == 1002


@given(data=st.binary(max_size=200), mask=st.binary(min_size=4, max_size=4))
def test_the_fast_mask_is_the_slow_one(data: bytes, mask: bytes) -> None:
    assert apply_mask(data, mask) == slow_mask(data, mask)


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_a_legal_close_code_travels(code: int) -> None:
    payload = build_close(code, "bye")[2:]

    assert parse_close(payload) == (code, "bye")


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536])
def test_an_illegal_close_code_is_not_sent(code: int) -> None:
    assert not is_legal_close_code(code)
    with pytest.raises(IllegalCloseCode, match=f"close code {code} must not be sent"):
        build_close(code)


def test_1005_stands_for_a_close_frame_without_a_code() -> None:
    assert build_close(1005) == b"\x88\x00"
    assert parse_close(b"") == (1005, "")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        (b"\x03\xed", 1002),  # 1005
        (b"\x03\xe7", 1002),  # 999
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_a_bad_close_frame_is_refused(payload: bytes, code: int) -> None:
    with pytest.raises(FrameError) as caught:
        parse_close(payload)

    assert caught.value.code == code


@given(reason=st.text(max_size=300))
def test_a_long_reason_is_cut_between_two_characters(reason: str) -> None:
    clipped = clip_reason(reason)

    assert len(clipped) <= 123
    assert reason.encode(errors="replace").decode().startswith(clipped.decode())
    assert len(clipped) > 119 or clipped.decode() == reason.encode(errors="replace").decode()


def test_a_reason_with_a_lone_surrogate_does_not_break_the_close() -> None:
    assert clip_reason("a\ud800b") == b"a?b"


@pytest.mark.parametrize("buffer", [bytearray(b"hi"), memoryview(b"hi")])
def test_any_buffer_is_a_binary_message(buffer: Any) -> None:
    assert build_data(buffer) == build_data(b"hi") == b"\x82\x02hi"
