"""Tests of examples/token_auth.py."""

import pytest

from examples.token_auth import app
from herdwick import serve
from tests.examples.client import refusal
from tests.support.clients import httpx_ws_client as connect
from tests.support.clients import receive_json


@pytest.mark.parametrize("query", ["", "?token=", "?token=forged"])
async def test_a_handshake_without_a_known_token_is_refused_with_403(query: str) -> None:
    async with serve(app) as url:
        assert await refusal(f"{url}/token-auth{query}") == 403


async def test_a_token_in_the_query_lets_its_user_in() -> None:
    async with serve(app) as url, connect(f"{url}/token-auth?token=wool") as peer:
        welcome = await receive_json(peer)
        await peer.send("hello")
        echo = await receive_json(peer)

    assert welcome == {"type": "authenticated", "user": "Ada"}
    assert echo == {"user": "Ada", "text": "hello"}


async def test_a_token_among_the_subprotocols_lets_its_user_in() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/token-auth", subprotocols=["chat", "bearer.fell"]) as peer,
    ):
        assert await receive_json(peer) == {"type": "authenticated", "user": "Bob"}
        assert peer.subprotocol == "chat"
