"""What a client sees when a handler comes to its end, on every server."""

import anyio
import pytest

from herdwick import Application, HTTPError, Response, WebSocket
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, Refused, closing
from tests.support.raw_client import RawPeer
from tests.support.waiting import until


async def test_a_handler_that_returns_closes_with_1000(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    async with stage.visit(handler) as peer:
        closed = await closing(peer)

    assert (closed.code, closed.reason) == (1000, "")


async def test_what_was_sent_before_the_return_arrives(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(50):
            await websocket.send_text(str(number))

    async with stage.visit(handler) as peer:
        received = [await peer.receive() for _ in range(50)]
        closed = await closing(peer)

    assert received == [str(number) for number in range(50)]
    assert closed.code == 1000


async def test_unread_messages_do_not_disturb_the_close(raw: Stage[RawPeer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    async with raw.visit(handler) as peer:
        await peer.stream.send(b"".join(peer.frame(str(number)) for number in range(50)))
        closed = await closing(peer)

    assert closed.code == 1000


@pytest.mark.parametrize("debug", [False, True])
async def test_a_handler_that_raises_closes_with_1011_and_tells_the_text_in_debug_mode_only(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("the secret")

    async with stage.visit(handler, debug=debug) as peer:
        closed = await closing(peer)

    assert (closed.code, closed.reason) == (1011, "LookupError: the secret" if debug else "")
    errors = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info[0] for record in errors if record.exc_info] == [LookupError]


async def test_a_long_error_text_fits_into_the_close_frame(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("ü" * 1000)

    async with stage.visit(handler, debug=True) as peer:
        closed = await closing(peer)

    assert closed.code == 1011
    assert closed.reason.startswith("LookupError: üüü")
    assert len(closed.reason.encode()) <= 123


async def test_an_http_error_after_accept_is_a_crash_like_any_other(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise HTTPError(404)

    async with stage.visit(handler) as peer:
        assert (await closing(peer)).code == 1011


async def test_a_helper_task_that_raises_ends_the_connection_with_1011(stage: Stage[Peer]) -> None:
    async def stumble() -> None:
        raise LookupError("the secret")

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(stumble)
        await websocket.wait_closed()

    async with stage.visit(handler) as peer:
        closed = await closing(peer)

    assert (closed.code, closed.reason) == (1011, "")


async def test_a_helper_task_ends_with_the_handler(stage: Stage[Peer]) -> None:
    ended = anyio.Event()

    async def tick() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(tick)
        await websocket.receive()

    async with stage.visit(handler) as peer:
        await peer.send("go")
        assert (await closing(peer)).code == 1000
        await ended.wait()


async def test_a_handler_that_raises_after_its_client_has_left_is_logged_once(
    raw: Stage[RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()
        raise LookupError("too late")

    async with raw.serve(app) as url, raw.connect(url) as peer:
        await peer.drop()
        await until(lambda: app.connections == 0)

    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


async def test_a_server_goes_on_after_connections_have_ended_in_every_way(
    raw: Stage[RawPeer],
) -> None:
    app = Application()

    @app.ws("/{end}")
    async def handler(websocket: WebSocket, end: str) -> None:
        if end == "never":
            return
        await websocket.accept()
        if end == "close":
            await websocket.close(4000)
        if end == "raise":
            raise LookupError
        if end == "wait":
            await websocket.wait_closed()

    async with raw.serve(app) as url:
        for _ in range(3):
            for end in ["close", "raise", "return"]:
                async with raw.connect(f"{url}/{end}") as peer:
                    await closing(peer)
                async with raw.connect(f"{url}/{end}") as peer:
                    await peer.drop()
            for leave in [RawPeer.leave, RawPeer.drop, RawPeer.close]:
                async with raw.connect(f"{url}/wait") as peer:
                    await leave(peer)
            await until(lambda: app.connections == 0)
        async with raw.connect(f"{url}/close") as peer:
            assert (await closing(peer)).code == 4000


@pytest.mark.parametrize("refusal", [Response(199), Response(403, {"x-fell": "ok"})])
async def test_a_refusal_that_cannot_be_sent_is_a_crash_that_the_client_sees(
    ours: Stage[RawPeer], refusal: Response, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(websocket: WebSocket) -> Response:
        return refusal

    app = Application()
    app.ws("/")(handler)
    async with ours.serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with ours.connect(url):
                pass

    impossible = refusal.status == 199
    assert refused.value.status == (500 if impossible else 403)
    assert bool(caplog.records) is impossible
