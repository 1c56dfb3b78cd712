"""What real servers log of what clients do: one sound line each, no traceback, no secrets."""

import json
import logging
from typing import cast

import anyio
import guardpost
import pytest
from anyio.abc import SocketAttribute
from guardpost import AuthenticationHandler

from herdwick import Application, Limits, Rate, Request, Response, WebSocket, auth, text
from herdwick.runtime import FIELDS
from herdwick.server.logs import LogFormat, log_lines
from herdwick.server.sockets import forget_unsent
from tests.server.wire import KEY, close, connected, frame, upgrade
from tests.support.servers import OWN, RUN, UVICORN, Server

SECRET = "s3cret-and-long"
HOSTILE = "\n2026-01-01 00:00:00,000 INFO     all is well\x1b[2J\u2028"


class Nobody(AuthenticationHandler):
    """Believes no token."""

    async def authenticate(self, context: Request) -> guardpost.Identity | None:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        if "authorization" in context.headers:
            raise guardpost.InvalidCredentialsError(context.client_ip)
        return None


def build() -> Application:
    app = Application(limits=Limits(message_bytes=1000, head_timeout=0.2))
    app.use_authentication().add(Nobody())

    @app.ws("/json")
    async def read(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_json()

    @app.ws("/metered", message_rate=Rate(1, 1))
    async def metered(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()

    @app.ws("/names/{name}")
    async def named(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        await websocket.wait_closed()

    @auth()
    @app.ws("/members")
    async def members(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.post("/post")
    async def post(request: Request) -> Response:
        return text(await request.text())

    return app


def head(start: str, *lines: str) -> bytes:
    return "\r\n".join([start, *lines, "", ""]).encode("latin-1", "replace")


OPEN = upgrade("/json")

FAULTS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x1b[2J / HTTP/9.9\r\n\r\n",
    head("GET / HTTP/1.1", "Host: a", "no colon \x1b[2J"),
    head("GET / HTTP/1.1", "Host: a", f"X-Big: {'x' * 20_000}"),
    head(f"GET /json?token={SECRET} HTTP/1.1", "Host: a"),
    head(f"GET /gone%0a%1b[2J?%54oken={SECRET} HTTP/1.1", "Host: a"),
    head("GET /%zz%00 HTTP/1.1", "Host: a"),
    head(f"GET /?x=%22&key={SECRET} HTTP/1.1", "Host: a", "Upgrade: h2c", "Connection: Upgrade"),
    head("POST /post HTTP/1.1", "Host: a", "Content-Length: 5") + b"\xff\xff\xff\xff\xff",
    head("POST /post HTTP/1.1", "Host: a", "Content-Length: 500") + b"half",
    head("POST /post HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + b"zz\r\n",
    upgrade("/json").replace(b"Version: 13", b"Version: 7"),
    upgrade("/json").replace(KEY.encode(), b"short"),
    upgrade("/json", "Host: b"),
    upgrade(f"/json?access_token={SECRET}", "Origin: https://evil.example"),
    upgrade(f"/gone?code={SECRET}"),
    upgrade("/members", f"Authorization: Bearer {SECRET}"),
    upgrade("/members", f"Sec-WebSocket-Protocol: chat, bearer.{SECRET}"),
    upgrade(f"/names/%F0%9F%90%91%E2%80%A8?sig={SECRET}") + close(1000, "well"),
    upgrade("/json", "X-Hostile: \x7f\x01"),
    OPEN + frame(3),
    OPEN + frame(1, b"\xff"),
    OPEN + frame(2, b"x"),
    OPEN + frame(1, b"{"),
    OPEN + frame(1, b"x" * 2000),
    OPEN + b"\x81\x01x",
    OPEN + frame(9, b"x" * 126),
    OPEN + frame(9) * 100,
    OPEN + close(1005),
    OPEN + frame(1, json.dumps({"token": SECRET}).encode()) + frame(1, HOSTILE.encode()),
]


async def commit(url: str, fault: bytes) -> None:
    """Do what a bad client does, and wait a moment for what the server says."""
    async with connected(url) as wire:
        await wire.send(fault)
        with anyio.move_on_after(0.5):
            await wire.rest()


async def commit_and_reset(url: str, fault: bytes) -> None:
    """Do what a bad client does, and be gone before the server has looked at it."""
    async with connected(url) as wire:
        await wire.send(fault)
        connection = wire.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio
        forget_unsent(connection)
        await anyio.aclose_forcefully(wire.stream)


MISTAKES = [
    (1002, OPEN + frame(3)),
    (1003, OPEN + frame(2, b"x")),
    (1007, OPEN + frame(1, b"\xff")),
    (1007, OPEN + frame(1, b"{")),
    (1008, OPEN + frame(9) * 100),
    (1008, upgrade("/metered") + frame(1, b"1") * 5),
    (1009, OPEN + frame(1, b"x" * 2000)),
]
"""What a client is closed with after its handshake, and for what."""

ORDINARY = [OPEN + close(1000), OPEN + close(1002), OPEN, head("GET / HTTP/1.1", "Host: a"), b""]
"""What ends without a mistake, though the last two stay until their time for a head is over."""

LEVELS = ("INFO", "DEBUG")


ON_ASYNCIO = pytest.mark.asyncio_only
DRIVERS = [OWN, *(pytest.param(each, marks=ON_ASYNCIO) for each in (RUN, UVICORN))]


@pytest.fixture(params=DRIVERS, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Server:
    return cast("Server", request.param)


async def provoke(server: Server, form: LogFormat) -> None:
    with log_lines("debug", form, access_log=True):
        async with server.serve(build()) as url, anyio.create_task_group() as tasks:
            await commit(url, OPEN + close(3000, HOSTILE))
            for fault in FAULTS:
                tasks.start_soon(commit, url, fault)
                tasks.start_soon(commit_and_reset, url, fault)


async def test_what_clients_do_is_told_in_sound_lines_of_text(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    await provoke(server, "text")

    told = capsys.readouterr().err
    lines = told.split("\n")[:-1]
    assert [line for line in lines if line[:2] != "20" or line.split()[2] not in LEVELS] == []
    assert "Traceback" not in told
    assert SECRET not in told
    assert [char for char in told.replace("\n", "") if not char.isprintable()] == []
    if server is not UVICORN:  # whose own classes keep the reason to themselves
        assert r"is over: 3000 \n2026-01-01 00:00:00,000 INFO     all is well\x1b[2J\u2028" in told


async def test_what_clients_do_is_told_in_sound_lines_of_json(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    await provoke(server, "json")

    told = capsys.readouterr().err
    lines = [json.loads(line) for line in told.splitlines()]
    assert {line["level"] for line in lines} == {"info", "debug"}
    names = {name for line in lines for name in line}
    assert names - set(FIELDS) == {"time", "level", "logger", "message"}
    assert SECRET not in told
    assert [char for char in told.replace("\n", "") if not char.isprintable()] == []


def mistakes(records: list[logging.LogRecord]) -> list[dict[str, object]]:
    return [vars(each) for each in records if vars(each).get("kind") == "mistake"]


OWN_CLASSES = pytest.mark.parametrize("server", DRIVERS[:2], ids=["own", "run"], indirect=True)
"""With others' own classes the server only hears of an end."""


@OWN_CLASSES
@pytest.mark.parametrize(("code", "fault"), MISTAKES)
async def test_who_is_closed_for_what_it_did_has_one_line(
    server: Server, code: int, fault: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "herdwick"):
        async with server.serve(build()) as url:
            await commit(url, fault)

    [told] = mistakes(caplog.records)
    assert (told["code"], told["peer"], told["levelno"]) == (code, "127.0.0.1", logging.INFO)
    assert str(told["actor"]).startswith("root/connections/")


SLOW = [b"GET / HTTP/1.1\r\nHost:", head("GET / HTTP/1.1", "Host: a") + b"GET / HTTP"]


@OWN_CLASSES
@pytest.mark.parametrize("slow", SLOW, ids=["first", "later"])
async def test_who_is_slow_with_a_head_has_one_line(
    server: Server, slow: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "herdwick"):
        async with server.serve(build()) as url, connected(url) as wire:
            await wire.send(slow)
            await wire.rest()

    [told] = mistakes(caplog.records)
    assert (told["peer"], told["reason"]) == ("127.0.0.1", "slow head")


@OWN_CLASSES
@pytest.mark.parametrize("ordinary", ORDINARY, ids=["1000", "1002", "loss", "request", "nothing"])
async def test_who_leaves_or_is_idle_has_none(
    server: Server, ordinary: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "herdwick"):
        async with server.serve(build()) as url:
            await commit(url, ordinary)

    assert mistakes(caplog.records) == []


@OWN_CLASSES
async def test_a_refused_head_is_told_with_its_peer(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [
        head("GET / HTTP/1.1", "Host: a", f"X-Big: {'x' * 20_000}"),
        upgrade("/json").replace(b"Version: 13", b"Version: 7"),
        head("GET / HTTP/1.1", "no colon"),
        head(f"GET /{'x' * 9000} HTTP/1.1", "Host: a"),
    ]
    with caplog.at_level(logging.INFO, "herdwick"):
        async with server.serve(build()) as url:
            for fault in faults:
                await commit(url, fault)

    told = [vars(each) for each in caplog.records if vars(each).get("kind") == "refused"]
    assert [each["status"] for each in told] == [431, 426, 400, 414]
    assert {each["peer"] for each in told} == {"127.0.0.1"}
