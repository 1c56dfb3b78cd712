"""The same over TLS, for a few cases of each kind; and peers that do not speak it."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.streams.tls import TLSStream

from herdwick import Application, Limits
from herdwick.server import listen
from herdwick.server.sockets import bind
from herdwick.server.uvicorn import serve_by_uvicorn
from tests.abuse.field import PATIENCE, make_app, open_descriptors
from tests.abuse.test_handshakes import REFUSED
from tests.server.wire import Wire, close, frame, text, upgrade
from tests.support.servers import RUN, Server

LIMITS = Limits(head_timeout=0.5, close_timeout=0.3)


@pytest.fixture
async def secure(server: Server, certificate: Path) -> AsyncGenerator[tuple[str, Application]]:
    """A server that speaks TLS, its URL, and its application."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    app = make_app([], LIMITS)
    if server is RUN:
        async with serve_by_uvicorn(app, await bind("127.0.0.1", 0), ssl=context) as url:
            yield url, app
    else:
        async with listen(app, ssl=context) as listener:
            yield listener.url, app


@asynccontextmanager
async def over_tls(url: str, certificate: Path) -> AsyncGenerator[Wire]:
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    parts = urlsplit(url)
    with anyio.fail_after(PATIENCE):
        async with await anyio.connect_tcp(parts.hostname or "", parts.port or 0) as stream:
            encrypted: Any = await TLSStream.wrap(
                stream, hostname="localhost", ssl_context=context, standard_compatible=False
            )
            yield Wire(encrypted)


NAMES = ["folded upgrade", "two hosts", "version 8", "101 headers", "nul, encoded", "origin null"]


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_no_handshake_is_refused(
    secure: tuple[str, Application], certificate: Path, name: str
) -> None:
    data, status = REFUSED[name]
    async with over_tls(secure[0], certificate) as wire:
        await wire.send(data)

        assert (await wire.answer()).status == status
        assert await wire.rest() == b""


@pytest.mark.parametrize(
    ("data", "code"), [(b"\x83\x80", 1002), (frame(1, b"\xff"), 1007), (frame(9) * 60, 1008)]
)
async def test_a_broken_rule_is_a_close_frame_with_its_code(
    secure: tuple[str, Application], certificate: Path, data: bytes, code: int
) -> None:
    async with over_tls(secure[0], certificate) as wire:
        await wire.send(upgrade() + text("hello"))
        assert (await wire.answer()).status == 101
        assert await wire.frame() == (1, b"hello")
        await wire.send(data)

        assert (await wire.close_frame())[0] == code
        assert await wire.rest() == b""


async def test_who_speaks_no_tls_or_half_of_it_is_let_go(
    secure: tuple[str, Application], certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, app = secure
    before = open_descriptors()
    parts = urlsplit(url)
    for come in (upgrade(), b"\x16\x03\x01\x02", b"", b"\x16\x03\x01\x00\x05hello"):
        with anyio.fail_after(PATIENCE * 8):
            async with await anyio.connect_tcp(parts.hostname or "", parts.port or 0) as stream:
                if come:
                    await stream.send(come)
                if server_ends_by_itself(come):
                    await Wire(stream).rest()
    async with over_tls(url, certificate) as wire:
        await wire.send(upgrade() + close(1000))
        assert (await wire.answer()).status == 101
    with anyio.fail_after(PATIENCE):
        while open_descriptors() > before or app.connections:
            await anyio.lowlevel.checkpoint()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def server_ends_by_itself(come: bytes) -> bool:
    """Tell whether it is not asyncio's own deadline for a TLS handshake, of a minute."""
    return len(come) > 4
