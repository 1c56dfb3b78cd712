"""Handshakes that are none: each is answered, or cut at its deadline, and costs nothing."""

from collections.abc import Sequence

import anyio
import pytest

from herdwick import Limits
from tests.abuse.field import Field, open_field, reset, watched
from tests.server.wire import KEY, close, connected, text, upgrade
from tests.support.servers import Server

FIELDS = {
    "host": b"Host: localhost",
    "upgrade": b"Upgrade: websocket",
    "connection": b"Connection: Upgrade",
    "key": b"Sec-WebSocket-Key: " + KEY.encode(),
    "version": b"Sec-WebSocket-Version: 13",
}


def ask(
    start: bytes = b"GET / HTTP/1.1",
    *lines: bytes,
    without: Sequence[str] = (),
    end: bytes = b"\r\n",
) -> bytes:
    """Build a handshake with another first line, more lines, and some that are missing."""
    kept = [line for name, line in FIELDS.items() if name not in without]
    return end.join([start, *kept, *lines, b"", b""])


def instead(name: str, *lines: bytes) -> bytes:
    """Build a handshake with other lines for one of its headers."""
    return ask(b"GET / HTTP/1.1", *lines, without=[name])


def to(target: bytes) -> bytes:
    return ask(b"GET " + target + b" HTTP/1.1")


REFUSED = {
    # The first line.
    "method post": (ask(b"POST / HTTP/1.1"), 400),
    "method connect": (ask(b"CONNECT localhost:80 HTTP/1.1"), 400),
    "method that is no token": (ask(b"G(T / HTTP/1.1"), 400),
    "method in lower case": (ask(b"get / HTTP/1.1"), 400),
    "method of 9000 bytes": (ask(b"G" * 9000 + b" / HTTP/1.1"), 414),
    "http 1.0": (ask(b"GET / HTTP/1.0"), 400),
    "http 0.9": (b"GET /\r\n\r\n", 400),
    "http 0.9 with fields": (ask(b"GET /"), 400),
    "http 1.2": (ask(b"GET / HTTP/1.2"), 400),
    "http 2": (ask(b"GET / HTTP/2.0"), 400),
    "http 2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "another protocol": (ask(b"GET / ICAP/1.1"), 400),
    "no target": (ask(b"GET  HTTP/1.1"), 400),
    "two targets": (ask(b"GET / / HTTP/1.1"), 400),
    "tab for a space": (ask(b"GET\t/\tHTTP/1.1"), 400),
    "space before the first line": (ask(b" GET / HTTP/1.1"), 400),
    "space behind the first line": (ask(b"GET / HTTP/1.1 "), 400),
    "empty line first": (b"\r\n" + ask(), 400),
    "tls on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "frames without a handshake": (text("hello") * 20 + b"\r\n\r\n", 400),
    # The target.
    "percent without digits": (to(b"/%zz"), 400),
    "percent cut short": (to(b"/%4"), 400),
    "percent alone": (to(b"/%"), 400),
    "nul, encoded": (to(b"/%00"), 400),
    "nul": (to(b"/\x00"), 400),
    "line break, encoded": (to(b"/%0d%0aX-Evil:%201"), 400),
    "delete, encoded": (to(b"/%7f"), 400),
    "utf-8 that is overlong": (to(b"/%c0%ae%c0%ae/"), 400),
    "utf-8 cut short": (to(b"/%e2%82"), 400),
    "surrogate": (to(b"/%ed%a0%80"), 400),
    "no slash": (to(b"page"), 400),
    "asterisk": (to(b"*"), 404),
    "authority": (to(b"localhost:80"), 400),
    "another scheme": (to(b"file:///etc/passwd"), 400),
    "absolute form of another host": (to(b"http://evil.example/nowhere"), 404),
    "two slashes": (to(b"//"), 404),
    "two slashes and a host": (to(b"//evil.example/"), 404),
    "dots": (to(b"/../../etc/passwd"), 404),
    "dots, encoded": (to(b"/%2e%2e/%2e%2e/etc/passwd"), 404),
    "encoded twice": (to(b"/%252e%252e/"), 404),
    "slash, encoded": (to(b"/%2f"), 404),
    "backslashes": (to(b"/..\\..\\"), 404),
    "fragment": (to(b"/#/deaf"), 404),
    "semicolon": (to(b"/;x=1"), 404),
    "path of 8 KiB and more": (to(b"/" + b"a" * 9000), 414),
    "query of 8 KiB and more": (to(b"/?" + b"a" * 9000), 414),
    "8000 slashes": (to(b"/" * 8000), 404),
    "8000 bytes of escapes": (to(b"/" + b"%61" * 2600), 404),
    # Header lines.
    "name that is no token": (ask(b"GET / HTTP/1.1", b"X(Y: z"), 400),
    "name with a space": (ask(b"GET / HTTP/1.1", b"X Y: z"), 400),
    "name beyond ascii": (ask(b"GET / HTTP/1.1", b"X-\xe9: z"), 400),
    "name that is empty": (ask(b"GET / HTTP/1.1", b": z"), 400),
    "line without a colon": (ask(b"GET / HTTP/1.1", b"nonsense"), 400),
    "space before the colon": (instead("host", b"Host : localhost"), 400),
    "tab before the colon": (instead("host", b"Host\t: localhost"), 400),
    "nul in a value": (ask(b"GET / HTTP/1.1", b"X: a\x00b"), 400),
    "escape in a value": (ask(b"GET / HTTP/1.1", b"X: \x1b[31m"), 400),
    "delete in a value": (ask(b"GET / HTTP/1.1", b"X: \x7f"), 400),
    "bare line feed in a value": (ask(b"GET / HTTP/1.1", b"X: a\nY: b"), 400),
    "bare carriage return in a value": (ask(b"GET / HTTP/1.1", b"X: a\rY: b"), 400),
    "folded line": (ask(b"GET / HTTP/1.1", b"X: a", b" b"), 400),
    "folded upgrade": (instead("upgrade", b"Upgrade:", b" websocket"), 400),
    "folded first field": (b"GET / HTTP/1.1\r\n X: a\r\n" + ask().partition(b"\r\n")[2], 400),
    "value of 8 KiB and more": (ask(b"GET / HTTP/1.1", b"X: " + b"a" * 9000), 431),
    "name of 8 KiB and more": (ask(b"GET / HTTP/1.1", b"X" * 9000 + b": a"), 431),
    "101 headers": (ask(b"GET / HTTP/1.1", *[b"X: y"] * 96), 431),
    "16 KiB and one byte": (
        ask(b"GET / HTTP/1.1", *[b"X: " + b"a" * 4000] * 4, b"Y: " + b"b" * 230),
        431,
    ),
    "16 KiB that never end": (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
    "a megabyte of head": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 170_000, 431),
    # The fields of a handshake.
    "no host": (ask(without=["host"]), 400),
    "two hosts": (ask(b"GET / HTTP/1.1", b"Host: evil.example"), 400),
    "two hosts that agree": (ask(b"GET / HTTP/1.1", FIELDS["host"]), 400),
    "content-length": (ask(b"GET / HTTP/1.1", b"Content-Length: 5") + b"hello", 400),
    "content-length of 0": (ask(b"GET / HTTP/1.1", b"Content-Length: 0"), 400),
    "content-length below 0": (ask(b"GET / HTTP/1.1", b"Content-Length: -1"), 400),
    "content-length of 40 digits": (ask(b"GET / HTTP/1.1", b"Content-Length: " + b"9" * 40), 400),
    "two content-lengths": (ask(b"GET / HTTP/1.1", *[b"Content-Length: 5"] * 2) + b"hello", 400),
    "chunked": (ask(b"GET / HTTP/1.1", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "chunked and content-length": (
        ask(b"GET / HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
        400,
    ),
    "no connection": (ask(without=["connection"]), 400),
    "connection close": (instead("connection", b"Connection: close"), 400),
    "connection of 2000 tokens": (instead("connection", b"Connection: " + b"a," * 2000), 400),
    "no key": (ask(without=["key"]), 400),
    "two keys": (ask(b"GET / HTTP/1.1", FIELDS["key"]), 400),
    "key that is empty": (instead("key", b"Sec-WebSocket-Key:"), 400),
    "key of 15 bytes": (instead("key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), 400),
    "key of 17 bytes": (instead("key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE="), 400),
    "key that is no base64": (instead("key", b"Sec-WebSocket-Key: " + b"!" * 24), 400),
    "key beyond ascii": (instead("key", b"Sec-WebSocket-Key: " + b"\xff" * 24), 400),
    "key without padding": (instead("key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), 400),
    "no version": (ask(without=["version"]), 426),
    "version 8": (instead("version", b"Sec-WebSocket-Version: 8"), 426),
    "version 14": (instead("version", b"Sec-WebSocket-Version: 14"), 426),
    "version that is no number": (instead("version", b"Sec-WebSocket-Version: latest"), 426),
    "version of 4000 digits": (instead("version", b"Sec-WebSocket-Version: " + b"1" * 4000), 426),
    "two versions": (ask(b"GET / HTTP/1.1", b"Sec-WebSocket-Version: 8"), 426),
    "version twice": (ask(b"GET / HTTP/1.1", FIELDS["version"]), 426),
    # Whom it comes from.
    "origin of another site": (ask(b"GET / HTTP/1.1", b"Origin: http://evil.example"), 403),
    "origin of another scheme": (ask(b"GET / HTTP/1.1", b"Origin: https://localhost"), 403),
    "origin of another port": (ask(b"GET / HTTP/1.1", b"Origin: http://localhost:81"), 403),
    "origin null": (ask(b"GET / HTTP/1.1", b"Origin: null"), 403),
    "origin that is empty": (ask(b"GET / HTTP/1.1", b"Origin:"), 403),
    "origin with a path": (ask(b"GET / HTTP/1.1", b"Origin: http://localhost/"), 403),
    "origin with a user": (ask(b"GET / HTTP/1.1", b"Origin: http://localhost@evil.example"), 403),
    "origin below ours": (ask(b"GET / HTTP/1.1", b"Origin: http://localhost.evil.example"), 403),
    "origin beyond ascii": (ask(b"GET / HTTP/1.1", b"Origin: http://loc\xe4lhost"), 403),
    "origin of a bad port": (ask(b"GET / HTTP/1.1", b"Origin: http://localhost:99999"), 403),
    "two origins": (
        ask(b"GET / HTTP/1.1", b"Origin: http://localhost", b"Origin: http://localhost"),
        403,
    ),
    "two origins in one": (
        ask(b"GET / HTTP/1.1", b"Origin: http://localhost http://evil.example"),
        403,
    ),
    "origin of a wild host": (
        instead("host", b"Host: evil.example/", b"Origin: http://evil.example/"),
        403,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_handshake_is_refused(field: Field, name: str) -> None:
    data, status = REFUSED[name]
    async with field.attacker() as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(wire.send, data)
        answer = await wire.answer()

        assert answer.status == status
        assert await wire.rest() == b""
        assert status != 426 or answer.headers["sec-websocket-version"] == "13"
        tasks.cancel_scope.cancel()


OPENED = {
    "friend": ask(b"GET / HTTP/1.1", b"Origin: https://friend.example"),
    "own origin": ask(b"GET / HTTP/1.1", b"Origin: http://LOCALHOST:80"),
    "absolute form": to(b"http://localhost/"),
    "absolute form of another host": to(b"http://evil.example/"),
    "names in upper case": ask().upper().replace(KEY.upper().encode(), KEY.encode()),
    "100 headers": ask(b"GET / HTTP/1.1", *[b"X: y"] * 95),
    "latin-1 in a value": ask(b"GET / HTTP/1.1", b"X: \xe4\xff"),
    "deflate": ask(b"GET / HTTP/1.1", b"Sec-WebSocket-Extensions: permessage-deflate"),
    "deflate with parameters": ask(
        b"GET / HTTP/1.1",
        b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99; x="\\',
    ),
    "2000 extensions": ask(b"GET / HTTP/1.1", b"Sec-WebSocket-Extensions: " + b"x," * 2000),
    "2000 subprotocols": ask(b"GET / HTTP/1.1", b"Sec-WebSocket-Protocol: " + b"x," * 2000),
    "subprotocols that are no tokens": ask(b"GET / HTTP/1.1", b"Sec-WebSocket-Protocol: ,\x80 ;,,"),
    "2000 cookies": ask(b"GET / HTTP/1.1", b"Cookie: " + b"a=b; " * 1500),
}


@pytest.mark.parametrize("name", OPENED)
async def test_what_is_odd_and_sound_is_opened_and_never_compressed(
    field: Field, name: str
) -> None:
    async with field.attacker() as wire:
        await wire.send(OPENED[name] + text("hello"))
        answer = await wire.answer()

        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers
        assert "sec-websocket-protocol" not in answer.headers
        assert await wire.frame() == (1, b"hello")
        await wire.send(close(1000))
        assert await wire.close_frame() == (1000, "")


async def test_frames_behind_a_refused_handshake_are_never_read(field: Field) -> None:
    async with field.attacker() as wire:
        await wire.send(to(b"/nowhere") + text("hello") * 100)

        assert (await wire.answer()).status == 404
        assert await wire.rest() == b""


async def test_a_request_behind_a_handshake_is_a_bad_frame(field: Field) -> None:
    async with field.attacker() as wire:
        await wire.send(upgrade() + upgrade())

        assert (await wire.answer()).status == 101
        assert (await wire.close_frame())[0] == 1002
        assert await wire.rest() == b""


@pytest.mark.parametrize("pieces", [1, 7, 64])
async def test_a_handshake_in_pieces_is_a_handshake(field: Field, pieces: int) -> None:
    async with field.attacker() as wire:
        data = upgrade("/?" + "x" * 500)
        for at in range(0, len(data), pieces):
            await wire.send(data[at : at + pieces])

        assert (await wire.answer()).status == 101


@pytest.mark.parametrize("come", [b"", b"G", upgrade()[:-2], upgrade()])
async def test_a_peer_that_resets_in_its_handshake_costs_nothing(field: Field, come: bytes) -> None:
    for _ in range(20):
        async with connected(field.url) as wire:
            if come:
                await wire.send(come)
            reset(wire)
    await field.echo()


@pytest.mark.parametrize("come", [b"", b"G", upgrade()[:-2]])
async def test_a_peer_that_ends_in_its_handshake_is_let_go(field: Field, come: bytes) -> None:
    async with field.attacker() as wire:
        if come:
            await wire.send(come)
        await wire.stream.send_eof()

        assert await wire.rest() == b""


# Deadlines.


async def dribble(url: str) -> None:
    """Send a handshake byte by byte, without end, until the server has enough."""
    async with connected(url) as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(drip, wire.stream)
        assert await wire.rest() == b""
        tasks.cancel_scope.cancel()


async def drip(stream: anyio.abc.SocketStream) -> None:
    try:
        await stream.send(b"GET / HTTP/1.1\r\nX: ")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.02)  # what the case is: a peer that takes its time
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def test_a_head_has_its_deadline_however_it_comes(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(head_timeout=0.3, close_timeout=0.3)
    async with open_field(server, limits) as open_server, watched(open_server, caplog) as field:
        for come in (b"", b"G", upgrade()[:-2], b"GET / HTTP/1.1\nHost: localhost\n\n"):
            async with field.attacker() as wire:
                if come:
                    await wire.send(come)
                assert await wire.rest() == b""
        with anyio.fail_after(10):
            await dribble(field.url)
        await field.echo()


async def test_a_hundred_half_open_handshakes_end_together(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(head_timeout=0.3)
    async with (
        open_field(server, limits) as open_server,
        watched(open_server, caplog) as field,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(100):
            tasks.start_soon(dribble, field.url)
        await field.echo()
