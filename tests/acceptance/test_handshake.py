"""What a WebSocket does until it is accepted or refused, on every server."""

import anyio
import pytest

from herdwick import (
    Application,
    HTTPError,
    InvalidWebSocketStateError,
    WebSocket,
    WebSocketDisconnectError,
    WebSocketState,
)
from herdwick.websocket import ASGIReceive, ASGISend, Scope
from tests.acceptance.stage import P, Stage
from tests.support.clients import Peer, Refused, websockets_client
from tests.support.raw_client import RawPeer
from tests.support.servers import uvicorn_server
from tests.support.waiting import until


async def send_text(websocket: WebSocket) -> None:
    await websocket.send_text("too early")


async def send_bytes(websocket: WebSocket) -> None:
    await websocket.send_bytes(b"too early")


async def send_json(websocket: WebSocket) -> None:
    await websocket.send_json("too early")


async def receive(websocket: WebSocket) -> None:
    await websocket.receive()


async def receive_text(websocket: WebSocket) -> None:
    await websocket.receive_text()


async def receive_bytes(websocket: WebSocket) -> None:
    await websocket.receive_bytes()


async def receive_json(websocket: WebSocket) -> None:
    await websocket.receive_json()


async def iterate(websocket: WebSocket) -> None:
    async for _ in websocket:
        pass


async def wait_closed(websocket: WebSocket) -> None:
    await websocket.wait_closed()


USES = [
    send_text,
    send_bytes,
    send_json,
    receive,
    receive_text,
    receive_bytes,
    receive_json,
    iterate,
    wait_closed,
]


async def test_use_before_accept_is_refused_and_the_connection_survives(stage: Stage[Peer]) -> None:
    refused: list[InvalidWebSocketStateError] = []

    async def handler(websocket: WebSocket) -> None:
        for use in USES:
            with pytest.raises(InvalidWebSocketStateError) as caught:
                await use(websocket)
            refused.append(caught.value)
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    async with stage.visit(handler) as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello"

    assert {error.current_state for error in refused} == {WebSocketState.CONNECTING}
    assert {error.expected_state for error in refused} == {WebSocketState.CONNECTED}
    assert {error.party for error in refused} == {"server"}


async def test_a_second_accept_is_refused_and_the_connection_survives(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(InvalidWebSocketStateError, match="accepted already"):
            await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    async with stage.visit(handler) as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello"


async def test_accept_takes_effect_before_its_first_suspension(stage: Stage[Peer]) -> None:
    states: list[WebSocketState] = []

    async def handler(websocket: WebSocket) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await websocket.accept()
        states.append(websocket.state)
        await websocket.send_text("accepted")

    async with stage.visit(handler) as peer:
        assert await peer.receive() == "accepted"

    assert states == [WebSocketState.CONNECTED]


async def test_subprotocol_and_headers_of_accept_reach_the_client(raw: Stage[RawPeer]) -> None:
    offered: list[list[str]] = []

    async def handler(websocket: WebSocket) -> None:
        offered.append(websocket.subprotocols)
        await websocket.accept(headers={"x-fold": "north"}, subprotocol="wool")

    async with raw.visit(handler, subprotocols=["milk", "wool"]) as peer:
        assert peer.subprotocol == "wool"
        assert peer.headers["x-fold"] == "north"

    assert offered == [["milk", "wool"]]


# ---------------------------------------------------------------------- refusals


async def refusal(stage: Stage[P], app: Application, path: str = "/") -> Refused:
    """Knock, and tell how one is refused."""
    async with stage.serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with stage.connect(f"{url}{path}"):
                pass
        await until(lambda: app.connections == 0)
    return refused.value


async def test_close_before_accept_refuses_with_403(stage: Stage[Peer]) -> None:
    app = Application()
    states: list[WebSocketState] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.close(1008)
        states.append(websocket.state)

    assert (await refusal(stage, app)).status == 403
    assert states == [WebSocketState.DISCONNECTED]


async def test_a_handler_that_never_accepts_refuses_with_403(stage: Stage[Peer]) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        assert websocket.state is WebSocketState.CONNECTING

    assert (await refusal(stage, app)).status == 403


async def test_reject_answers_with_status_headers_and_body(raw: Stage[RawPeer]) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.reject(429, {"retry-after": "7"}, "slow down")

    refused = await refusal(raw, app)

    assert (refused.status, refused.headers["retry-after"]) == (429, "7")
    assert refused.body == b"slow down"


@pytest.mark.asyncio_only
async def test_a_server_that_lacks_the_extension_refuses_with_403() -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.reject(429, body="slow down")

    async def without_extension(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    async with uvicorn_server(without_extension) as url:
        with pytest.raises(Refused) as refused:
            async with websockets_client(url):
                pass

    assert refused.value.status == 403


async def test_an_error_before_accept_refuses_with_500_and_is_logged_once(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        raise LookupError("the secret")

    refused = await refusal(stage, app)

    assert refused.status == 500
    assert b"secret" not in (refused.body or b"")
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_an_http_error_before_accept_refuses_with_its_status(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        raise HTTPError(409, "there is one already", {"x-fold": "north"})

    refused = await refusal(raw, app)

    assert (refused.status, refused.headers["x-fold"]) == (409, "north")
    assert b"there is one already" in (refused.body or b"")
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_path_without_a_route_is_refused_with_404(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    assert (await refusal(stage, Application(), "/nowhere")).status == 404
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_client_that_leaves_before_accept_is_told_by_accept(raw: Stage[RawPeer]) -> None:
    app = Application()
    knocked, told = anyio.Event(), anyio.Event()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        knocked.set()
        await until(lambda: websocket.closed)
        with pytest.raises(WebSocketDisconnectError):
            await websocket.accept()
        told.set()

    async def knock(url: str) -> None:
        async with raw.connect(url):
            pytest.fail("it was let in")

    async with raw.serve(app) as url:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(knock, url)
            await knocked.wait()
            tasks.cancel_scope.cancel()
        await told.wait()
