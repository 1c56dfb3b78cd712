"""Tests of examples/mounted.py: FastAPI and uvicorn run on asyncio only."""

import pytest

from examples.mounted import app
from tests.examples.client import post
from tests.support.clients import httpx_ws_client as connect
from tests.support.servers import uvicorn_server


@pytest.mark.asyncio_only
async def test_a_route_of_fastapi_reaches_the_peers_below_the_mount() -> None:
    async with uvicorn_server(app) as url, connect(f"{url}/live/hello") as peer:
        assert await peer.receive() == "listening"

        answer = await post(f"{url}/greet/Ada")

        assert answer == {"reached": 1}
        assert await peer.receive() == "hello, Ada"
