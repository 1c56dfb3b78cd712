"""Applications in each other: ours in Starlette and FastAPI, Starlette in ours."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from logging import ERROR
from typing import Any, TypeAlias, cast

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from starlette.websockets import WebSocketDisconnect

from herdwick import Application, Limits, WebSocket
from herdwick.websocket import ASGIApp, ASGIReceive, ASGISend, Scope
from tests.acceptance.stage import PATIENCE, Stage
from tests.support.clients import Closed, Peer, Refused, closing, httpx_ws_client
from tests.support.raw_client import raw_client
from tests.support.servers import hypercorn_server, uvicorn_server

# Through whole servers, on each of them: run on the main interpreter only.
pytestmark = pytest.mark.heavy

Host: TypeAlias = Callable[[ASGIApp], AbstractAsyncContextManager[str]]
Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[None]]

HOSTS: list[Any] = [
    pytest.param(uvicorn_server, id="uvicorn", marks=pytest.mark.asyncio_only),
    pytest.param(hypercorn_server, id="hypercorn"),
]


def chat() -> Application:
    app = Application()

    @app.ws("/rooms/{room}")
    async def room(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.send_text(f"welcome to {room} at {websocket.path}")
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    @app.get("/health")
    async def health() -> str:
        return "well"

    return app


async def get(url: str) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(url)
    return response.status_code, response.text


def running(app: Application, seen: list[bool]) -> Lifespan:
    @asynccontextmanager
    async def lifespan(host: object) -> AsyncGenerator[None]:
        async with app.running():
            seen.append(app.ready)
            yield
        seen.append(app.ready)

    return lifespan


async def home(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse("host")


def in_starlette(app: Application, lifespan: Lifespan | None) -> ASGIApp:
    routes = [Route("/", home), Mount("/live", app)]
    return cast(ASGIApp, Starlette(routes=routes, lifespan=lifespan))


def in_fastapi(app: Application, lifespan: Lifespan | None) -> ASGIApp:
    host = FastAPI(lifespan=lifespan)
    host.get("/", response_class=PlainTextResponse)(lambda: "host")
    host.mount("/live", app)
    return cast(ASGIApp, host)


@pytest.mark.parametrize("serve", HOSTS)
@pytest.mark.parametrize("mount_in", [in_starlette, in_fastapi])
async def test_mounted_in_a_host_it_runs_as_long_as_the_host_does(
    serve: Host, mount_in: Callable[[Application, Lifespan | None], ASGIApp]
) -> None:
    app = chat()
    ready: list[bool] = []

    async with serve(mount_in(app, running(app, ready))) as url:
        async with httpx_ws_client(f"{url}/live/rooms/fold%20one") as peer:
            welcome = await peer.receive()
            await peer.send("hello")
            answer = await peer.receive()
        answers = [await get(f"{url}/live/health"), await get(f"{url}/")]
        with pytest.raises(Refused) as refused:
            async with httpx_ws_client(f"{url}/live/nowhere"):
                pass

    assert (welcome, answer) == ("welcome to fold one at /live/rooms/fold one", "hello")
    assert answers == [(200, "well"), (200, "host")]
    assert refused.value.status == 404
    assert ready == [True, False]


@pytest.mark.parametrize("serve", HOSTS)
@pytest.mark.parametrize("mount_in", [in_starlette, in_fastapi])
async def test_mounted_without_being_started_it_refuses_with_503_and_the_log_says_how(
    serve: Host,
    mount_in: Callable[[Application, Lifespan | None], ASGIApp],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve(mount_in(chat(), None)) as url:
        with pytest.raises(Refused) as refused:
            async with httpx_ws_client(f"{url}/live/rooms/fold"):
                pass

    errors = [record for record in caplog.records if record.levelno >= ERROR]
    assert refused.value.status == 503
    assert len(errors) == 1
    assert errors[0].exc_info is None
    assert "put `async with app.running():` into the lifespan of the host" in errors[0].getMessage()


# ---------------------------------------------------------------------- Starlette in ours


async def inner_socket(websocket: StarletteWebSocket) -> None:
    name = websocket.path_params["name"]
    if name == "wolf":
        await websocket.close()
        return
    await websocket.accept()
    await websocket.send_text(f"{name} at {websocket.url.path}")
    try:
        while True:
            event = await websocket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event["code"])
            if event.get("text") == "leave":
                await websocket.close(4000, "left")
            elif event.get("text") == "fail":
                raise LookupError("the secret")
            elif event.get("text") is not None:
                await websocket.send_text(event["text"])
            else:
                await websocket.send_bytes(event["bytes"])
    except WebSocketDisconnect as error:
        websocket.app.state.codes.append(error.code)


async def inner_page(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(f"{request.path_params['name']} at {request.url.path}")


class Outer:
    """An application of ours with one of Starlette's inside."""

    def __init__(self) -> None:
        routes = [WebSocketRoute("/ws/{name}", inner_socket), Route("/{name}", inner_page)]
        self.inner: Any = Starlette(routes=routes)
        self.codes: list[int] = []
        self.inner.state.codes = self.codes
        self.app = chat()
        self.app.mount("/old", self.inner)


async def test_a_websocket_of_a_mounted_starlette_works_as_under_any_server(
    stage: Stage[Peer],
) -> None:
    outer = Outer()

    async with stage.serve(outer.app) as url, stage.connect(f"{url}/old/ws/dolly") as peer:
        assert await peer.receive() == "dolly at /old/ws/dolly"
        await peer.send("hello")
        assert await peer.receive() == "hello"
        await peer.send(b"\x00")
        assert await peer.receive() == b"\x00"
        await peer.send("leave")
        closed = await closing(peer)

    assert (closed.code, closed.reason) == (4000, "left")


async def test_a_mounted_starlette_is_told_that_its_client_has_left(stage: Stage[Peer]) -> None:
    outer = Outer()

    async with stage.serve(outer.app) as url, stage.connect(f"{url}/old/ws/dolly") as peer:
        await peer.receive()
        await peer.close(4001)

    assert outer.codes == [4001 if stage.server.tells_codes else 1006]


async def test_a_mounted_starlette_may_refuse_or_crash(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    outer = Outer()

    async with stage.serve(outer.app) as url:
        refusals = [
            await refused_status(stage, f"{url}{path}")
            for path in ["/old/ws/wolf", "/old/nowhere/at/all"]
        ]
        async with stage.connect(f"{url}/old/ws/dolly") as peer:
            await peer.send("fail")
            closed = await closing(peer)

    assert refusals == [403, 403]
    assert (closed.code, closed.reason) == (1011, "")
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def refused_status(stage: Stage[Peer], url: str) -> int:
    try:
        async with stage.connect(url):
            raise Closed(1000)
    except Refused as refused:
        return refused.status


async def test_pages_of_a_mounted_starlette_stand_beside_ours(stage: Stage[Peer]) -> None:
    async with stage.serve(Outer().app) as url:
        assert await get(f"{url}/old/polly") == (200, "polly at /old/polly")
        assert await get(f"{url}/old/a/b/c") == (404, "Not Found")
        assert await get(f"{url}/health") == (200, "well")
        async with stage.connect(f"{url}/rooms/fold") as peer:
            assert await peer.receive() == "welcome to fold at /rooms/fold"


# ---------------------------------------------------------------------- under a foreign server


@pytest.mark.parametrize("serve", HOSTS)
async def test_it_is_a_plain_asgi_application(serve: Host) -> None:
    app = chat()
    events: list[str] = []

    @app.lifespan
    async def around() -> AsyncGenerator[None]:
        events.append("before")
        yield
        events.append("after")

    async with serve(app) as url:
        async with httpx_ws_client(f"{url}/rooms/fold") as peer:
            events.append(str(await peer.receive()))
        events.append((await get(f"{url}/health"))[1])

    assert events == ["before", "welcome to fold at /rooms/fold", "well", "after"]


@pytest.mark.parametrize("serve", HOSTS)
@pytest.mark.parametrize("path", ["nowhere/at/all", "wait", "return", "close", "raise", "refuse"])
async def test_it_gives_the_connection_back_to_its_server_as_soon_as_it_has_ended(
    serve: Host, path: str
) -> None:
    app = Application(limits=Limits(close_timeout=1000))
    returned = anyio.Event()

    @app.ws("/{end}")
    async def handler(websocket: WebSocket, end: str) -> None:
        if end == "refuse":
            await websocket.reject(429)
            return
        await websocket.accept()
        if end == "close":
            await websocket.close(4000)
        elif end == "raise":
            raise LookupError
        elif end == "wait":
            await websocket.wait_closed()

    async def watched(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await app(scope, receive, send)
        if scope["type"] == "websocket":
            returned.set()

    with anyio.fail_after(PATIENCE):
        async with serve(watched) as url:
            with contextlib.suppress(Refused):
                async with raw_client(f"{url}/{path}") as peer:
                    await (peer.close() if path == "wait" else closing(peer))
                    await returned.wait()
            await returned.wait()
