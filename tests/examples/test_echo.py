"""Tests of examples/echo.py."""

from examples.echo import app
from herdwick import serve
from tests.support.clients import httpx_ws_client as connect


async def test_every_text_comes_back() -> None:
    async with serve(app) as url, connect(f"{url}/echo") as peer:
        for text in ("hello", "wool", "grüß Gott"):
            await peer.send(text)

            assert await peer.receive() == text
