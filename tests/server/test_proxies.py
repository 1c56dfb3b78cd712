"""What proxies say of the client, before our own listener: the same as under uvicorn."""

import httpx
import pytest

from herdwick import Application, Request, WebSocket, serve
from tests.support.clients import receive_json
from tests.support.raw_client import raw_client

SAID = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


def telling() -> Application:
    app = Application()

    @app.ws("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.request.client_ip, websocket.request.scheme])

    @app.get("/page")
    async def page(request: Request) -> list[str]:
        return [request.client_ip, request.scheme]

    return app


async def told(*, headers: dict[str, str]) -> list[object]:
    """Give what a handshake and a request are taken to come from."""
    async with serve(telling()) as url:
        async with raw_client(f"{url}/ws", headers=headers) as peer:
            socket = await receive_json(peer)
        async with httpx.AsyncClient(trust_env=False) as http:
            page = (await http.get(f"{url}/page", headers=headers)).json()
    return [socket, page]


async def test_what_a_proxy_of_this_machine_says_is_believed() -> None:
    assert await told(headers=SAID) == [["203.0.113.7", "wss"], ["203.0.113.7", "https"]]


async def test_what_another_one_says_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1, 198.51.100.0/24")

    assert await told(headers=SAID) == [["127.0.0.1", "ws"], ["127.0.0.1", "http"]]


async def test_one_that_is_named_is_believed_and_no_one_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.0/8")
    headers = {"X-Forwarded-For": "192.0.2.66, 203.0.113.7"}  # the first is the client's own word

    assert await told(headers=headers) == [["203.0.113.7", "ws"], ["203.0.113.7", "http"]]


async def test_who_says_nothing_is_who_is_connected() -> None:
    assert await told(headers={}) == [["127.0.0.1", "ws"], ["127.0.0.1", "http"]]
