"""Tests of herdwick/server/uvicorn.py: under a uvicorn that somebody else has started."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from herdwick import Application, Limits, Response, WebSocket, text
from herdwick.server import requests
from herdwick.server.protocols import WebSocketProtocol
from herdwick.server.uvicorn import entrance, websocket
from tests.server.wire import connected
from tests.support.clients import receive_json
from tests.support.raw_client import raw_client

pytestmark = pytest.mark.asyncio_only


class Hosted(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = anyio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def hosted(app: Any, **options: Any) -> AsyncGenerator[tuple[str, Hosted]]:
    ours: dict[str, Any] = {"http": entrance, "ws": websocket} | options
    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, **ours)
    server = Hosted(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        await server.up.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", server
        server.should_exit = True


def protocols(server: Hosted) -> list[type[object]]:
    """Tell by what the open connections are carried."""
    return [type(each) for each in server.server_state.connections]


def telling() -> Application:
    app = Application()

    @app.ws("/ws")
    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        scope = websocket.scope
        await websocket.send_json([websocket.client_ip, scope["scheme"], scope["root_path"]])
        await websocket.wait_closed()

    @app.get("/page")
    async def page() -> Response:
        return text("hello")

    return app


async def test_the_application_is_found_by_its_lifespan_and_past_the_asgi_side() -> None:
    async with hosted(telling()) as (url, server), raw_client(f"{url}/ws") as peer:
        assert await receive_json(peer) == ["127.0.0.1", "ws", ""]

        assert protocols(server) == [WebSocketProtocol]
        assert not server.server_state.tasks


async def test_other_requests_are_answered_by_the_parser_as_ever() -> None:
    async with hosted(telling()) as (url, _), httpx.AsyncClient(trust_env=False) as http:
        for _ in range(2):  # on one connection
            assert (await http.get(f"{url}/page")).text == "hello"
        assert (await http.get(f"{url}/nowhere")).status_code == 404


async def test_what_a_trusted_proxy_says_is_believed() -> None:
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    async with hosted(telling()) as (url, _), raw_client(f"{url}/ws", headers=headers) as peer:
        assert await receive_json(peer) == ["203.0.113.7", "wss", ""]


async def test_what_another_one_says_is_not() -> None:
    headers = {"X-Forwarded-For": "203.0.113.7"}
    async with (
        hosted(telling(), forwarded_allow_ips="192.0.2.1") as (url, _),
        raw_client(f"{url}/ws", headers=headers) as peer,
    ):
        assert await receive_json(peer) == ["127.0.0.1", "ws", ""]


async def test_the_root_path_and_the_servers_headers_are_kept() -> None:
    options: dict[str, Any] = {"root_path": "/api", "headers": [("x-fold", "seven")]}
    async with hosted(telling(), **options) as (url, _), raw_client(f"{url}/ws") as peer:
        assert await receive_json(peer) == ["127.0.0.1", "ws", "/api"]
        assert peer.headers["x-fold"] == "seven"
        assert peer.headers["server"] == "uvicorn"


async def test_with_ws_alone_the_handshake_comes_by_way_of_the_parser() -> None:
    async with hosted(telling(), http="auto") as (url, server), raw_client(f"{url}/ws") as peer:
        assert await receive_json(peer) == ["127.0.0.1", "ws", ""]
        assert protocols(server) == [WebSocketProtocol]


async def test_an_application_that_is_not_ours_gets_uvicorns_own_protocols() -> None:
    async def hello(socket: StarletteWebSocket) -> None:
        await socket.accept()
        await socket.send_json("hello")
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/ws", hello)])
    async with hosted(app) as (url, _), raw_client(f"{url}/ws") as peer:
        assert await receive_json(peer) == "hello"


async def test_a_head_that_dribbles_has_its_time_and_no_more() -> None:
    app = Application(limits=Limits(head_timeout=0.2))
    async with hosted(app) as (url, server):
        host, _, port = url.removeprefix("http://").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nHo")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        assert not server.server_state.connections


@pytest.mark.parametrize("parser", [requests.BoundedHTTP, requests.BoundedH11])
async def test_a_body_that_ends_after_its_answer_leaves_its_connection_as_it_was(
    monkeypatch: pytest.MonkeyPatch, parser: type[requests.Bounded]
) -> None:
    monkeypatch.setattr(requests, "BoundedHTTP", parser)
    app = Application(limits=Limits(close_timeout=0.2))
    page = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with hosted(app) as (url, _), connected(url) as wire:
        await wire.send(b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nab")
        assert (await wire.answer()).status == 404
        await wire.send(b"c")
        for _ in range(5):
            await wire.send(page)
            assert (await wire.answer()).status == 404
            await anyio.sleep(0.1)  # what the case is: a connection that outlives the deadline
