"""A server that has as many TCP connections as descriptors are enough for: there is still room."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from herdwick import Application, Limits, Request, WebSocket
from tests.acceptance.stage import Stage
from tests.server.wire import Wire, connected, text, upgrade
from tests.support.raw_client import RawPeer
from tests.support.waiting import until

DESCRIPTORS = 40
"""So 36 TCP connections, and 32 WebSockets."""

GET = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def few_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process open few descriptors, as far as anybody asks."""
    resource = pytest.importorskip("resource")

    def told(kind: int) -> tuple[int, int]:
        return DESCRIPTORS, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", told)


async def say_nothing(wire: Wire) -> None:
    pass


async def begin(wire: Wire) -> None:
    await wire.send(GET[:20])


async def stall(wire: Wire) -> None:
    await wire.send(GET.replace(b"GET", b"POST")[:-2] + b"Content-Length: 10\r\n\r\n123")


async def ask_once(wire: Wire) -> None:
    await wire.send(GET)
    assert (await wire.answer()).status == 200


async def be_refused(wire: Wire) -> None:
    await wire.send(upgrade("/nowhere"))
    assert (await wire.answer()).status == 404


async def be_no_request(wire: Wire) -> None:
    await wire.send(b"baa\r\n\r\n")
    assert (await wire.answer()).status == 400


async def be_closed(wire: Wire) -> None:
    assert (await wire.upgrade("/")).status == 101
    await wire.send(b"\xff" * 16)
    assert (await wire.close_frame())[0] == 1002


@asynccontextmanager
async def idlers(
    url: str, count: int, act: Callable[[Wire], Awaitable[None]]
) -> AsyncGenerator[list[Wire]]:
    async with AsyncExitStack() as stack:
        wires: list[Wire] = []
        for _ in range(count):
            wires.append(await stack.enter_async_context(connected(url)))
            await act(wires[-1])
        yield wires


def echoing() -> Application:
    app = Application(limits=Limits(head_timeout=100.0, body_timeout=100.0, close_timeout=100.0))

    @app.ws("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    @app.get("/page")
    async def page() -> str:
        return "page"

    @app.post("/page")
    async def post(request: Request) -> bytes:
        return await request.read()

    return app


@pytest.mark.parametrize(
    "act",
    [say_nothing, begin, stall, ask_once, be_refused, be_no_request, be_closed],
    ids=lambda act: act.__name__,
)
async def test_whoever_lingers_without_a_whole_request_makes_room_for_who_comes(
    ours: Stage[RawPeer], act: Callable[[Wire], Awaitable[None]]
) -> None:
    async with ours.serve(echoing()) as url, connected(url) as early:
        assert (await early.upgrade()).status == 101
        async with idlers(url, 3 * DESCRIPTORS, act) as idle, connected(url) as late:
            assert (await late.upgrade()).status == 101
            for wire in (early, late):
                await wire.send(text("baa"))
                assert await wire.frame() == (1, b"baa")
            assert await idle[0].rest() == b""


async def test_no_websocket_is_ended_for_another_connection(ours: Stage[RawPeer]) -> None:
    async with ours.serve(echoing()) as url, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(ours.connect(url)) for _ in range(32)]
        async with idlers(url, DESCRIPTORS, say_nothing), connected(url) as late:
            assert (await late.upgrade()).status == 503
            for peer in peers:
                await peer.send("baa")
                assert await peer.receive() == "baa"


async def test_where_all_have_a_request_in_hand_the_newcomer_is_ended(
    ours: Stage[RawPeer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "herdwick.server")
    app, go_on = echoing(), anyio.Event()
    asked: list[None] = []

    @app.get("/slow")
    async def slow() -> str:
        asked.append(None)
        await go_on.wait()
        return "slow"

    async def ask(wire: Wire) -> None:
        await wire.send(GET.replace(b"/page", b"/slow"))

    async with ours.serve(app) as url, idlers(url, 36, ask) as busy:
        await until(lambda: len(asked) == 36)
        async with connected(url) as late:
            assert await late.rest() == b""
        go_on.set()
        for wire in busy:
            assert (await wire.answer()).body == b"slow"

    assert "the new one is ended" in caplog.text
