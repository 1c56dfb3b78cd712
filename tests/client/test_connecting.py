"""How a client comes, and how it leaves."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from herdwick.client import (
    Client,
    HandshakeRefused,
    NotRunning,
    Options,
    ProtocolMismatch,
    Unreachable,
)
from herdwick.testing import settle
from tests.client.server import Answer, Server, connected, in_room, serving

FAILED: Answer = (500, {})


def full() -> float:
    return 1.0


def waits(server: Server) -> list[float]:
    """Give the seconds between one try and the next."""
    return [
        round(after - before, 1)
        for before, after in zip(server.tried_at, server.tried_at[1:], strict=False)
    ]


# Coming.


async def test_it_offers_the_subprotocol_and_sends_its_headers() -> None:
    async with serving() as server:
        async with Client(server.url, headers={"X-Tenant": "7", "Host": "chat.example"}):
            peer = await server.accepted()

        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1"
        assert peer.headers["x-tenant"] == "7"
        assert peer.headers["host"] == "chat.example"


async def test_a_token_is_offered_as_a_subprotocol() -> None:
    async with serving() as server, connected(server, token="abc.def") as (_, peer):
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1, bearer.abc.def"


async def test_it_tries_again_with_full_jitter_until_there_is_a_connection() -> None:
    async with serving() as server:
        server.answers.extend([FAILED] * 7)

        async with Client(server.url, random=full) as client:
            assert client.connected

        assert waits(server) == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("chance", "expected"), [(0.0, [0, 0, 0]), (0.5, [0.5, 1, 2])])
async def test_the_jitter_is_between_nothing_and_all(chance: float, expected: list[float]) -> None:
    async with serving() as server:
        server.answers.extend([FAILED] * 3)

        async with Client(server.url, random=lambda: chance):
            pass

        assert waits(server) == expected


async def test_a_server_that_is_not_there_yet_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/live"
        client = Client(url, random=full, options=Options(patience=20))

        before = anyio.current_time()
        with pytest.raises(Unreachable, match="was not reached for 20 s") as unreached:
            await client.__aenter__()

    assert anyio.current_time() - before == pytest.approx(1 + 2 + 4 + 8, abs=0.5)
    assert isinstance(unreached.value.__cause__, OSError)


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncGenerator[str]:
    """Run a server that says this to all who come, and closes; None to say nothing, for ever."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            if answer is None:
                await anyio.sleep_forever()
            else:
                await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield f"ws://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


async def test_a_server_that_does_not_answer_the_handshake_is_tried_again() -> None:
    async with answering(None) as url:
        client = Client(url, options=Options(connect_timeout=3, patience=10), random=full)

        before = anyio.current_time()
        with pytest.raises(Unreachable) as unreached:
            await client.__aenter__()

        assert isinstance(unreached.value.__cause__, TimeoutError)
        assert anyio.current_time() - before == pytest.approx(3 + 1 + 3 + 2 + 3, abs=0.5)


async def test_a_connection_that_is_lost_during_the_handshake_is_tried_again() -> None:
    async with answering(b"HTTP/1.1 101 Switch") as url:
        client = Client(url, options=Options(patience=2), random=full)

        with pytest.raises(Unreachable):
            await client.__aenter__()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_a_server_of_another_kind_is_not_tried_again(answer: bytes) -> None:
    async with answering(answer) as url:
        with pytest.raises(ProtocolMismatch, match=r"does not speak herdwick\.v1"):
            await Client(url).__aenter__()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 426])
async def test_a_handshake_that_would_be_refused_again_is_not_tried_again(status: int) -> None:
    async with serving() as server:
        server.answers.append((status, {}))

        with pytest.raises(HandshakeRefused, match=f"with {status}") as refused:
            async with Client(server.url):
                pass

        assert (refused.value.status, refused.value.body) == (status, b"no")
        assert len(server.tried_at) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_waited_for(status: int) -> None:
    async with serving() as server:
        server.answers.append((status, {"Retry-After": "20"}))

        async with Client(server.url, random=full):
            pass

        assert waits(server) == [21]


async def test_retry_after_may_be_a_date() -> None:
    async with serving() as server:
        later = datetime.now(UTC) + timedelta(seconds=100)
        server.answers.append((503, {"Retry-After": format_datetime(later, usegmt=True)}))

        async with Client(server.url, random=lambda: 0.0):
            pass

        assert waits(server) == [pytest.approx(99, abs=3)]


async def test_a_server_that_takes_no_subprotocol_does_not_speak_it() -> None:
    async with serving() as server:
        server.subprotocols = []

        with pytest.raises(ProtocolMismatch, match=r"does not speak herdwick\.v1"):
            async with Client(server.url):
                pass


# Leaving.


async def test_leaving_the_block_closes_with_1000() -> None:
    async with serving() as server:
        async with connected(server) as (_, peer):
            pass

        assert await peer.wait_closed() == 1000


async def test_leaving_by_an_error_closes_with_1000_and_raises_that_error() -> None:
    async with serving() as server:
        with pytest.raises(LookupError):
            async with connected(server):
                raise LookupError

        assert await server.all[0].wait_closed() == 1000


async def test_leaving_by_a_cancellation_closes_with_1000() -> None:
    async with serving() as server:
        with anyio.CancelScope() as scope:
            async with in_room(server):
                scope.cancel()
                await anyio.sleep_forever()

        assert await server.all[0].wait_closed() == 1000
        assert scope.cancelled_caught


async def test_leaving_waits_two_seconds_for_a_server_that_does_not_answer() -> None:
    async with serving() as server:
        async with connected(server) as (_, peer):
            peer.deaf = True
            before = anyio.current_time()

        assert anyio.current_time() - before == pytest.approx(2, abs=0.1)


async def test_leaving_while_it_waits_for_the_next_try_does_not_wait() -> None:
    async with serving() as server:
        async with connected(server) as (client, peer):
            server.answers.append((503, {"Retry-After": "100"}))
            await peer.drop()
            await settle()
            await anyio.sleep(1)
            assert not client.connected
            before = anyio.current_time()

        assert anyio.current_time() - before < 0.1


async def test_cancelling_the_entry_leaves_nothing_behind() -> None:
    async with serving() as server:
        server.answers.extend([FAILED] * 100)

        with anyio.move_on_after(60) as scope:
            async with Client(server.url):
                raise AssertionError("there is no connection")

        assert scope.cancelled_caught
        tries = len(server.tried_at)
        await anyio.sleep(100)
        assert len(server.tried_at) == tries


async def test_outside_of_its_block_a_client_does_nothing() -> None:
    client = Client("ws://127.0.0.1:1/live")

    with pytest.raises(NotRunning):
        async with client.join("chat"):
            pass


# Mistakes.


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Client("http://127.0.0.1/"), "is no address of a WebSocket"),
        (lambda: Client("ws://127.0.0.1/", token="a b"), "send it in a header"),
        (lambda: Client("ws://127.0.0.1/", headers={"X": "a\r\nB: c"}), "the header 'X'"),
        (lambda: Client("ws://127.0.0.1/", headers={"X Y": "a"}), "the header 'X Y'"),
        (lambda: Options(quiet=0), "quiet is 0"),
        (lambda: Options(patience=-1), "patience is -1"),
        (lambda: Options(max_message_bytes=0), "must be positive"),
    ],
)
def test_a_mistake_is_told_at_once(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_client_can_be_made_outside_of_any_loop() -> None:
    assert not Client("ws://127.0.0.1:1/live").connected


async def test_a_client_is_entered_once() -> None:
    async with serving() as server, connected(server) as (client, _):
        with pytest.raises(RuntimeError, match="make another one"):
            await client.__aenter__()


async def test_leaving_the_block_leaves_no_task_behind() -> None:
    async with serving() as server:
        async with connected(server) as (client, peer), client.join("chat"):
            await peer.drop()
            await server.accepted()

        await settle()
        names = [str(task.name) for task in anyio.get_running_tasks()]
        assert [name for name in names if "herdwick.client" in name] == []
