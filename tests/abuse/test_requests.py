"""Plain HTTP requests that are meant to be read in two ways, or never to end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from herdwick import Application, Limits
from herdwick.server import requests
from tests.abuse.conftest import SERVERS
from tests.abuse.field import Field, open_field, reset, watched
from tests.abuse.test_handshakes import drip
from tests.conftest import ASYNCIO
from tests.server.wire import connected, upgrade
from tests.support.servers import RUN, Server


@asynccontextmanager
async def without_httptools(app: Application) -> AsyncGenerator[str]:
    """Serve as `herdwick run` does in a plain install, where uvicorn reads requests by h11."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "BoundedHTTP", requests.BoundedH11)
        async with RUN.serve(app) as url:
            yield url


PLAIN = pytest.param(
    (ASYNCIO, Server("plain", without_httptools)), id="plain-asyncio", marks=pytest.mark.heavy
)


@pytest.fixture(scope="module", params=[*SERVERS, PLAIN])
def under_attack(request: pytest.FixtureRequest) -> Any:
    """An event loop, and a server on it; one of them more than elsewhere."""
    return request.param


GET = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    start = b"POST /page HTTP/" + version
    return b"\r\n".join([start, b"Host: localhost", *lines, b"", body])


CHUNKED = b"Transfer-Encoding: chunked"

REFUSED = {
    # Where the body ends.
    "two lengths": post(b"Content-Length: 3", b"Content-Length: 30", body=b"abc" + GET),
    "two lengths that agree": post(*[b"Content-Length: 3"] * 2, body=b"abc" + GET),
    "lengths in one line": post(b"Content-Length: 3, 30", body=b"abc" + GET),
    "length with a sign": post(b"Content-Length: +3", body=b"abc" + GET),
    "length below 0": post(b"Content-Length: -3", body=b"abc" + GET),
    "length in hexadecimal": post(b"Content-Length: 0x3", body=b"abc" + GET),
    "length with an underscore": post(b"Content-Length: 1_0", body=b"abc" + GET),
    "length of other digits": post("Content-Length: ٣".encode(), body=b"abc" + GET),
    "length that is empty": post(b"Content-Length:", body=b"abc" + GET),
    "length and chunks": post(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n" + GET),
    "chunks and length": post(CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n" + GET),
    "chunks of http 1.0": post(CHUNKED, body=b"0\r\n\r\n" + GET, version=b"1.0"),
    "chunked by another name": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked is not the last": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked in two lines": post(CHUNKED, b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "chunked behind a vertical tab": post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"),
    "space before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "folded": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "hidden by a bare line feed": post(b"X: y\nContent-Length: 3", body=b"abc"),
    "hidden by a bare carriage return": post(b"X: y\rContent-Length: 3", body=b"abc"),
    # Whom it is for.
    "nul in a header": b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
    "http 0.9": b"GET /page\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a socks proxy": b"\x05\x01\x00\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    field: Field, name: str
) -> None:
    async with field.attacker() as wire:
        await wire.send(REFUSED[name])

        assert (await wire.answer()).status in (400, 501)
        assert await wire.rest() == b""


TOO_BIG = {
    "first line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "header": (post(b"X: " + b"a" * 9000), 431),
    "101 headers": (post(*[b"X: y"] * 100), 431),
    "head": (post(*[b"X: " + b"a" * 4000] * 5), 431),
    "head without an end": (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
    "body": (post(b"Content-Length: 2000000", body=bytes(100_000)), 413),
    "body in chunks": (
        post(CHUNKED, body=b"100000\r\n" + bytes(0x100000) + b"\r\n1\r\na\r\n"),
        413,
    ),
}


@pytest.mark.parametrize("name", TOO_BIG)
async def test_what_is_too_big_is_refused(field: Field, name: str) -> None:
    data, status = TOO_BIG[name]
    async with field.attacker() as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(wire.send, data)

        assert (await wire.answer()).status == status
        tasks.cancel_scope.cancel()


async def test_a_length_of_40_digits_is_refused(field: Field) -> None:
    async with field.attacker() as wire:
        await wire.send(post(b"Content-Length: " + b"9" * 40))

        assert (await wire.answer()).status in (400, 413)  # llhttp counts in 64 bits


BAD_CHUNKS = {
    "size that is no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "size below 0": b"-1\r\nabc\r\n0\r\n\r\n",
    "size of 40 digits": b"f" * 40 + b"\r\nabc",
    "size in hexadecimal by its name": b"0x3\r\nabc\r\n0\r\n\r\n",
    "no line break behind the chunk": b"3\r\nabcX\r\n0\r\n\r\n",
    "bare line feeds": b"3\nabc\n0\n\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
async def test_bad_chunks_are_never_a_second_request(field: Field, name: str) -> None:
    async with field.attacker() as wire:
        await wire.send(post(CHUNKED, body=BAD_CHUNKS[name] + GET))
        await wire.stream.send_eof()

        assert b" 200 " not in await wire.rest()


async def test_pipelined_requests_are_answered_in_order(field: Field) -> None:
    async with field.attacker() as wire:
        await wire.send((GET + post(b"Content-Length: 3", body=b"abc")) * 20)

        for _ in range(20):
            assert (await wire.answer()).body == b"a page"
            assert (await wire.answer()).body == b"3 bytes"


@pytest.mark.parametrize("come", [GET[:-2], post(b"Content-Length: 1000", body=b"a")])
async def test_a_peer_that_resets_in_its_request_costs_nothing(field: Field, come: bytes) -> None:
    for _ in range(10):
        async with connected(field.url) as wire:
            await wire.send(come)
            reset(wire)
    await field.echo()


# A later request of a connection meets another parser.


LATER = {
    "head without an end": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "headers without an end": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 40_000,
    "first line without an end": b"GET /" + b"a" * 200_000,
    "no host": b"GET /page HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /page HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n",
    "a large header": b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
    "many headers": b"GET /page HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    "a large head": b"GET /page HTTP/1.1\r\nHost: localhost\r\n"
    + (b"X: " + b"a" * 5000 + b"\r\n") * 4
    + b"\r\n",
    "nul in a header": b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
    "length and chunks": post(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"),
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "handshake in folds": upgrade("/", "X: y", " z"),
    "handshake of version 8": upgrade().replace(b": 13", b": 8"),
    "handshake with two keys": upgrade("/", "Sec-WebSocket-Key: x"),
    "handshake with a body": upgrade("/", "Content-Length: 3") + b"abc",
}


@pytest.mark.parametrize("name", LATER)
async def test_a_later_request_is_judged_like_the_first(field: Field, name: str) -> None:
    async with field.attacker() as wire, anyio.create_task_group() as tasks:
        await wire.send(GET)
        assert (await wire.answer()).body == b"a page"

        tasks.start_soon(wire.send, LATER[name])

        assert (await wire.answer()).status in (400, 414, 426, 431)
        tasks.cancel_scope.cancel()


async def test_a_handshake_may_follow_a_request(field: Field) -> None:
    async with field.attacker() as wire:
        await wire.send(GET)
        assert (await wire.answer()).body == b"a page"

        assert (await wire.upgrade()).status == 101


async def test_a_later_head_has_its_deadline_however_it_dribbles(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(head_timeout=0.3, close_timeout=0.3)
    async with (
        open_field(server, limits) as open_server,
        watched(open_server, caplog) as field,
        field.attacker() as wire,
        anyio.create_task_group() as tasks,
    ):
        await wire.send(GET + b"GET / HTTP/1.1\r\nX: ")
        assert (await wire.answer()).body == b"a page"

        tasks.start_soon(drip, wire.stream)
        assert await wire.rest() == b""
        tasks.cancel_scope.cancel()


ANSWERS = {"/page": 408, "/nowhere": 404}


@pytest.mark.parametrize("path", ANSWERS)
async def test_a_body_has_its_deadline_however_it_dribbles(
    server: Server, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    limits = Limits(body_timeout=0.3, close_timeout=1.0)  # time to read the answer
    async with (
        open_field(server, limits) as open_server,
        watched(open_server, caplog) as field,
        field.attacker() as wire,
        anyio.create_task_group() as tasks,
    ):
        await wire.send(post(b"Content-Length: 1000000").replace(b"/page", path.encode()))
        tasks.start_soon(drip, wire.stream)

        assert (await wire.answer()).status == ANSWERS[path]
        assert await wire.rest() == b""
        tasks.cancel_scope.cancel()
