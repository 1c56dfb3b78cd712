"""Limits that a server and the application keep together: on each server, with raw clients."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import pytest

from herdwick import Application, Limits, Rate, Request, WebSocket
from tests.acceptance.stage import Stage
from tests.server.wire import Wire, connected, frame, upgrade
from tests.support.clients import Peer, Refused, closing
from tests.support.raw_client import RawPeer
from tests.support.waiting import until


async def waits(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.wait_closed()


async def echoes(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


async def refused(stage: Stage[Peer] | Stage[RawPeer], url: str, path: str = "/") -> Refused:
    with pytest.raises(Refused) as caught:
        async with stage.connect(f"{url}{path}"):
            pass
    return caught.value


# ------------------------------------------------------------------ connections


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (Limits(connections=1), 503),
        (Limits(handshakes=Rate(1, per=3600)), 503),
        (Limits(connections_per_address=1), 429),
    ],
    ids=["connections", "handshakes", "connections_per_address"],
)
async def test_one_too_many_is_told_when_to_come_back_by_a_status_of_http(
    raw: Stage[RawPeer], limits: Limits, status: int
) -> None:
    app = Application(limits=limits)
    app.ws("/")(waits)

    async with raw.serve(app) as url, raw.connect(url) as first:
        refusal = await refused(raw, url)
        await first.send("still there")
        assert app.connections == 1

    assert refusal.status == status
    assert 5 <= int(refusal.headers["retry-after"]) <= 15


async def test_of_a_crowd_that_comes_at_once_as_many_are_taken_as_may_be(
    raw: Stage[RawPeer],
) -> None:
    app = Application(limits=Limits(connections=10))
    app.ws("/")(waits)
    statuses: list[int] = []
    decided = anyio.Event()

    async def visit(url: str) -> None:
        try:
            async with raw.connect(url):
                statuses.append(101)
                await decided.wait()
        except Refused as refusal:
            statuses.append(refusal.status)

    async with raw.serve(app) as url, anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(visit, url)
        await until(lambda: len(statuses) == 50)
        decided.set()

    assert sorted(statuses) == [101] * 10 + [503] * 40


async def close(peer: RawPeer) -> None:
    await peer.close()


async def leave(peer: RawPeer) -> None:
    await peer.leave()


async def drop(peer: RawPeer) -> None:
    await peer.drop()


async def tear(peer: RawPeer) -> None:
    """Be lost in the middle of a message."""
    await peer.stream.send(peer.frame("x" * 1000)[:500])
    await peer.drop()


async def break_the_protocol(peer: RawPeer) -> None:
    await peer.stream.send(b"\xff" * 16)
    await closing(peer)


async def send_too_much(peer: RawPeer) -> None:
    await peer.send(bytes(2000))
    await closing(peer)


async def be_crashed(peer: RawPeer) -> None:
    await peer.send("crash")
    await closing(peer)


ENDS = [close, leave, drop, tear, break_the_protocol, send_too_much, be_crashed]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_however_a_connection_ends_another_one_gets_its_place(
    raw: Stage[RawPeer], end: Callable[[RawPeer], Awaitable[None]]
) -> None:
    app = Application(
        limits=Limits(connections=1, connections_per_address=1, message_bytes=1000),
    )

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            if message == "crash":
                raise ValueError

    async with raw.serve(app) as url:
        for _ in range(3):
            async with raw.connect(url) as peer:
                await end(peer)
            await until(lambda: app.connections == 0)


async def raises(websocket: WebSocket) -> None:
    raise ValueError


async def rejects(websocket: WebSocket) -> None:
    await websocket.reject(418)


async def returns(websocket: WebSocket) -> None:
    return


@pytest.mark.parametrize("handler", [raises, rejects, returns], ids=lambda each: each.__name__)
async def test_a_handshake_that_is_refused_takes_nobodys_place(
    raw: Stage[RawPeer], handler: Callable[[WebSocket], Awaitable[None]]
) -> None:
    app = Application(limits=Limits(connections=1, connections_per_address=1))
    app.ws("/")(handler)

    async with raw.serve(app) as url:
        for _ in range(3):
            assert (await refused(raw, url)).status in (403, 418, 500)
            await until(lambda: app.connections == 0)


def reached(asked: list[WebSocket], number: int) -> bool:
    return len(asked) == number


async def test_a_client_that_leaves_before_it_is_answered_takes_nobodys_place(
    raw: Stage[RawPeer],
) -> None:
    app = Application(limits=Limits(connections=1, connections_per_address=1))
    asked: list[WebSocket] = []

    @app.ws("/", cancel_on_disconnect=True)
    async def handler(websocket: WebSocket) -> None:
        asked.append(websocket)
        await anyio.sleep_forever()

    async with raw.serve(app) as url:
        for number in range(1, 4):
            async with connected(url) as wire:
                await wire.send(upgrade())
                await until(partial(reached, asked, number))
            await until(lambda: app.connections == 0)


@pytest.mark.parametrize(
    ("first", "second"), [("192.0.2.1", "192.0.2.2"), ("192.0.2.1:5678", "[2001:db8::1]:5678")]
)
async def test_behind_a_proxy_that_is_trusted_the_address_is_the_clients(
    ours: Stage[RawPeer], first: str, second: str
) -> None:
    app = Application(limits=Limits(connections_per_address=1))
    app.ws("/")(waits)

    async with ours.serve(app) as url:
        ada, bob = {"X-Forwarded-For": first}, {"X-Forwarded-For": second}
        async with ours.connect(url, headers=ada), ours.connect(url, headers=bob):
            with pytest.raises(Refused) as caught:
                async with ours.connect(url, headers=ada):
                    pass

    assert caught.value.status == 429


# ------------------------------------------------------------------ messages


async def test_more_messages_than_may_come_in_a_second_close_with_1008(raw: Stage[RawPeer]) -> None:
    app = Application(limits=Limits(message_rate=Rate(1, per=3600, burst=5)))
    received: list[object] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            received.append(message)

    app.ws("/free", message_rate=None)(echoes)
    async with raw.serve(app) as url, raw.connect(url) as ada, raw.connect(f"{url}/free") as bob:
        for number in range(10):
            await ada.send(f"{number}")
            await bob.send(b"baa")
            assert await bob.receive() == b"baa"
        assert (await closing(ada)).code == 1008

    assert received == ["0", "1", "2", "3", "4"]


async def test_a_route_may_take_smaller_and_larger_messages_than_the_others(
    raw: Stage[RawPeer],
) -> None:
    app = Application(limits=Limits(message_bytes=1000))
    app.ws("/")(echoes)
    app.ws("/small", message_bytes=10)(echoes)
    app.ws("/large", message_bytes=100_000)(echoes)

    async with raw.serve(app) as url:
        for path, size in (("/", 1000), ("/small", 10), ("/large", 100_000)):
            async with raw.connect(f"{url}{path}") as peer:
                await peer.send(bytes(size))
                assert await peer.receive() == bytes(size)
                await peer.send(bytes(size + 1))
                assert (await closing(peer)).code == 1009


FIRST = pytest.mark.parametrize("first", ["handshake", "page"])
"""What a TCP connection asks for first: behind a page, our own server carries it by streams."""


async def shake_hands(wire: Wire, first: str, path: str) -> None:
    if first == "page":
        await wire.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await wire.answer()).status == 200
    assert (await wire.upgrade(path)).status == 101


def two_sizes() -> Application:
    app = Application(limits=Limits(message_bytes=1 << 20, message_fragments=1000))
    app.ws("/small", message_bytes=10, message_fragments=2, ping_interval=0.05)(echoes)

    @app.get("/page")
    async def page() -> str:
        return "page"

    return app


@FIRST
async def test_a_message_too_big_for_its_route_is_refused_at_its_header(
    ours: Stage[RawPeer], first: str
) -> None:
    async with ours.serve(two_sizes()) as url, connected(url) as wire:
        await shake_hands(wire, first, "/small")
        await wire.send(frame(2, bytes(11))[:6])
        code, _ = await wire.close_frame()

    assert code == 1009


@FIRST
async def test_a_route_may_have_its_own_fragments_and_pings(
    ours: Stage[RawPeer], first: str
) -> None:
    async with ours.serve(two_sizes()) as url, connected(url) as wire:
        await shake_hands(wire, first, "/small")
        assert await wire.frame() == (9, b"")
        for opcode in (2, 0, 0):
            await wire.send(frame(opcode, b"x", fin=False))
        code, _ = await wire.close_frame()

    assert code == 1008


@FIRST
async def test_a_place_that_was_taken_by_way_of_a_page_is_free_again(
    ours: Stage[RawPeer], first: str
) -> None:
    app = Application(limits=Limits(connections=1, connections_per_address=1))
    app.ws("/")(waits)

    @app.get("/page")
    async def page() -> str:
        return "page"

    async with ours.serve(app) as url:
        for _ in range(3):
            async with connected(url) as wire, connected(url) as late:
                await shake_hands(wire, first, "/")
                assert (await late.upgrade()).status == 503
            await until(lambda: app.connections == 0)


# ------------------------------------------------------------------ bodies


def stalled(path: str) -> bytes:
    """Begin a request whose body never ends."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
    return head.encode() + b"123"


def reading(limits: Limits) -> Application:
    app = Application(limits=limits)

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.read())

    @app.post("/ignore")
    async def ignore() -> str:
        return "thanks"

    return app


async def test_a_body_that_stalls_is_answered_with_408(raw: Stage[RawPeer]) -> None:
    app = reading(Limits(body_timeout=0.1, close_timeout=0.1))

    async with raw.serve(app) as url, connected(url) as wire:
        await wire.send(stalled("/read"))
        assert (await wire.answer()).status == 408


@pytest.mark.parametrize(("path", "status"), [("/read", 408), ("/ignore", 200)])
async def test_who_does_not_end_a_body_that_nobody_reads_any_more_is_dropped(
    ours: Stage[RawPeer], path: str, status: int
) -> None:
    app = reading(Limits(body_timeout=0.1, close_timeout=0.1))

    async with ours.serve(app) as url, connected(url) as wire:
        await wire.send(stalled(path))
        assert (await wire.answer()).status == status
        with suppress(anyio.BrokenResourceError):  # dropped already
            await wire.send(b"4")  # no sign of life that counts
        assert await wire.rest() == b""
