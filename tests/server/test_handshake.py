"""The opening handshake: what is refused, and the bytes of the answers."""

import pytest

from herdwick.server.handshake import (
    Refusal,
    accept_key,
    asks_upgrade,
    build_acceptance,
    build_rejection,
    find_refusal,
)
from herdwick.server.head import Head
from herdwick.websocket import InvalidHeader
from tests.server.wire import KEY

SOUND = (
    (b"host", b"localhost"),
    (b"upgrade", b"websocket"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"sec-websocket-key", KEY.encode()),
    (b"sec-websocket-version", b"13"),
)


def head(*, without: bytes = b"", and_: tuple[tuple[bytes, bytes], ...] = ()) -> Head:
    """Build a sound handshake, without one header and with others."""
    kept = [field for field in SOUND if field[0] != without]
    return Head("GET", b"/", "1.1", [*kept, *and_])


def test_a_sound_handshake_is_not_refused() -> None:
    assert asks_upgrade(head())
    assert find_refusal(head()) is None


@pytest.mark.parametrize("upgrades", [(), (b"h2c",), (b"websockets",), (b"", b",")])
def test_who_does_not_name_websocket_asks_for_no_upgrade(upgrades: tuple[bytes, ...]) -> None:
    fields = tuple((b"upgrade", upgrade) for upgrade in upgrades)

    assert not asks_upgrade(head(without=b"upgrade", and_=fields))


def test_the_words_of_upgrade_and_connection_have_no_case() -> None:
    odd = ((b"upgrade", b"h2c, WebSocket"), (b"connection", b"UPGRADE"))
    kept = [field for field in SOUND if field[0] not in (b"upgrade", b"connection")]

    assert find_refusal(Head("GET", b"/", "1.1", [*kept, *odd])) is None


@pytest.mark.parametrize(
    ("request_head", "reason"),
    [
        (Head("POST", b"/", "1.1", SOUND), "GET"),
        (Head("GET", b"/", "1.0", SOUND), "HTTP/1.1"),
        (head(without=b"host"), "Host"),
        (head(and_=((b"host", b"other"),)), "Host"),
        (head(and_=((b"content-length", b"0"),)), "body"),
        (head(and_=((b"transfer-encoding", b"chunked"),)), "body"),
        (head(without=b"connection"), "Connection"),
        (head(without=b"sec-websocket-key"), "Sec-WebSocket-Key"),
        (head(and_=((b"sec-websocket-key", KEY.encode()),)), "Sec-WebSocket-Key"),
    ],
)
def test_an_unsound_handshake_is_400_and_says_why(request_head: Head, reason: str) -> None:
    refusal = find_refusal(request_head)

    assert refusal is not None
    assert refusal.status == 400
    assert reason in refusal.detail


@pytest.mark.parametrize(
    "key",
    [b"", b"short", b"dGhlIHNhbXBsZSBub25jZQ", b"!" * 24, b"dGhlIHNhbXBsZSBub25jZTEy"],
)
def test_a_key_that_is_not_16_bytes_of_base64_is_400(key: bytes) -> None:
    fields = ((b"sec-websocket-key", key),)

    refusal = find_refusal(head(without=b"sec-websocket-key", and_=fields))

    assert refusal is not None
    assert refusal.status == 400


@pytest.mark.parametrize("versions", [(), (b"8",), (b"13", b"13"), (b"13, 8",)])
def test_another_version_is_426_with_ours(versions: tuple[bytes, ...]) -> None:
    fields = tuple((b"sec-websocket-version", version) for version in versions)

    refusal = find_refusal(head(without=b"sec-websocket-version", and_=fields))

    assert refusal is not None
    assert refusal.status == 426
    assert b"\r\nsec-websocket-version: 13\r\n" in refusal.response()


def test_the_accept_key_is_that_of_the_rfc() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_101_carries_the_subprotocol_and_headers() -> None:
    response = build_acceptance(head(), "chat", [(b"x-room", b"7")])

    assert response == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"upgrade: websocket\r\n"
        b"connection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"sec-websocket-protocol: chat\r\n"
        b"x-room: 7\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"b\r\nx-c: d"),
        (b"x-a", b"b\nc"),
        (b"x-a", b"\x00"),
        (b"x-a\r\nx-b", b"c"),
        (b"x a", b"b"),
        (b"", b"b"),
        (b"x:a", b"b"),
    ],
)
def test_a_header_that_would_break_the_answer_is_refused(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(InvalidHeader):
        build_acceptance(head(), None, [field])
    with pytest.raises(InvalidHeader):
        build_rejection(403, [field], b"")


@pytest.mark.parametrize("name", [b"Upgrade", b"connection", b"Sec-WebSocket-Accept"])
def test_headers_of_the_handshake_itself_are_refused(name: bytes) -> None:
    with pytest.raises(InvalidHeader, match="belongs to the handshake"):
        build_acceptance(head(), None, [(name, b"x")])


@pytest.mark.parametrize("subprotocol", ["", "a b", "a\r\nb", "a,b", "é"])
def test_a_subprotocol_that_is_no_token_is_refused(subprotocol: str) -> None:
    with pytest.raises(InvalidHeader):
        build_acceptance(head(), subprotocol, [])


def test_a_rejection_says_its_length_and_closes() -> None:
    headers = [(b"x-why", b"no"), (b"Content-Length", b"99"), (b"Connection", b"keep-alive")]

    response = build_rejection(403, headers, b"go away")

    assert response == (
        b"HTTP/1.1 403 Forbidden\r\n"
        b"x-why: no\r\ncontent-length: 7\r\nconnection: close\r\n\r\ngo away"
    )


def test_an_unknown_status_has_no_words() -> None:
    assert build_rejection(499, [], b"").startswith(b"HTTP/1.1 499 \r\n")


@pytest.mark.parametrize("status", [0, 101, 199, 600])
def test_a_status_that_is_no_final_answer_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match="no final answer"):
        build_rejection(status, [], b"")


def test_a_refusal_is_plain_text() -> None:
    response = Refusal(400, "because").response()

    assert b"\r\ncontent-type: text/plain; charset=utf-8\r\n" in response
    assert response.endswith(b"\r\n\r\nbecause\n")
