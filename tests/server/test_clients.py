"""Real clients against the server, over TCP and over TLS."""

import ssl
from pathlib import Path

import anyio
import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect, WebSocketUpgradeError, aconnect_ws
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from herdwick.server import listen, serve
from tests.server.apps import Conversation, FakeApp, accept
from tests.server.wire import connected


def reject(conversation: Conversation) -> None:
    conversation.transport.reject(403, [(b"x-why", b"no")], b"go away")


@pytest.fixture
def client_tls(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate / "cert.pem"))


@pytest.mark.asyncio_only
async def test_websockets_speaks_with_it() -> None:
    async with serve(FakeApp()) as url, connect(url.replace("http", "ws")) as client:
        for message in ("hello", b"\xff" * 200_000, "é" * 100_000):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["frag", "ments"])
        assert await client.recv() == "fragments"
        await (await client.ping(b"?"))


@pytest.mark.asyncio_only
async def test_websockets_is_told_code_and_reason() -> None:
    app = FakeApp(accept)
    async with serve(app) as url, connect(url.replace("http", "ws")) as client:
        (await app.conversation()).transport.close(4001, "bye")

        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()

        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "bye")
        await app.conversations[0].ended.wait()
    assert app.conversations[0].ends == [(4001, "bye")]


@pytest.mark.asyncio_only
async def test_websockets_speaks_with_it_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with listen(FakeApp(), ssl=server_tls) as listener:
        url = listener.url.replace("https", "wss")
        async with connect(url, ssl=client_tls) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        await anyio.wait_all_tasks_blocked()


async def test_httpx_ws_speaks_with_it() -> None:
    client: AsyncWebSocketSession
    async with serve(FakeApp()) as url, aconnect_ws(url) as client:
        await client.send_text("hello")
        assert await client.receive_text() == "hello"
        await client.send_bytes(b"\xff" * 100_000)
        assert await client.receive_bytes() == b"\xff" * 100_000


async def test_httpx_ws_is_told_code_and_reason() -> None:
    app = FakeApp(accept)
    client: AsyncWebSocketSession
    async with serve(app) as url, aconnect_ws(url) as client:
        (await app.conversation()).transport.close(4001, "bye")

        with pytest.raises(WebSocketDisconnect) as closed:
            await client.receive()

    assert (closed.value.code, closed.value.reason) == (4001, "bye")


async def test_httpx_ws_sees_a_rejection_as_an_http_answer() -> None:
    async with serve(FakeApp(reject)) as url:
        with pytest.raises(WebSocketUpgradeError) as refused:
            async with aconnect_ws(url):
                pass

    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["x-why"] == "no"


async def test_httpx_speaks_with_it_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        serve(FakeApp(), ssl=server_tls) as url,
        httpx.AsyncClient(verify=client_tls) as client,
    ):
        for _ in range(2):
            response = await client.post(url, content=b"hello")
            assert response.text == "POST hello"

    assert url.startswith("https://")


async def test_httpx_ws_speaks_with_it_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    app = FakeApp()
    client: AsyncWebSocketSession
    async with (
        serve(app, ssl=server_tls) as url,
        httpx.AsyncClient(verify=client_tls) as http,
        aconnect_ws(url, http) as client,
    ):
        await client.send_text("hello")

        assert await client.receive_text() == "hello"
    assert app.conversations[0].scope["scheme"] == "wss"


async def test_what_is_no_tls_does_not_disturb_those_that_are(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(FakeApp(), ssl=server_tls) as url:
        async with connected(url) as wire:
            await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not (await wire.rest()).startswith(b"HTTP")

        async with httpx.AsyncClient(verify=client_tls) as client:
            assert (await client.get(url)).status_code == 200

    assert [record for record in caplog.records if record.name == "herdwick.server"] == []
