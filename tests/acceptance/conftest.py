"""A test that takes a `stage` or a `raw` one runs on each server, before each client."""

from typing import Any

import pytest

from tests.acceptance.stage import Stage
from tests.support.clients import Connect, Peer, aiohttp_client, httpx_ws_client, websockets_client
from tests.support.raw_client import RawPeer, raw_client
from tests.support.servers import HYPERCORN, OWN, RUN, UVICORN, Server


def on_stage(
    server: Server, connect: Connect[Peer], name: str, *, asyncio_only: bool = True
) -> Any:
    marks = [pytest.mark.asyncio_only] if asyncio_only else []
    return pytest.param(Stage(server, connect), id=f"{server.name}-{name}", marks=marks)


STAGES = [
    on_stage(OWN, httpx_ws_client, "httpx_ws", asyncio_only=False),
    on_stage(OWN, websockets_client, "websockets"),
    on_stage(OWN, aiohttp_client, "aiohttp"),
    on_stage(UVICORN, websockets_client, "websockets"),
    on_stage(RUN, httpx_ws_client, "httpx_ws"),
    on_stage(HYPERCORN, httpx_ws_client, "httpx_ws", asyncio_only=False),
]
RAW_STAGES = [
    on_stage(OWN, raw_client, "raw", asyncio_only=False),
    on_stage(RUN, raw_client, "raw"),
    on_stage(UVICORN, raw_client, "raw"),
    on_stage(HYPERCORN, raw_client, "raw", asyncio_only=False),
]
OURS = RAW_STAGES[:2]


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Stage[Peer]:
    """A server with a client that others wrote."""
    found: Stage[Peer] = request.param
    return found


@pytest.fixture(params=RAW_STAGES)
def raw(request: pytest.FixtureRequest) -> Stage[RawPeer]:
    """A server with a client that misbehaves."""
    found: Stage[RawPeer] = request.param
    return found


@pytest.fixture(params=OURS)
def ours(request: pytest.FixtureRequest) -> Stage[RawPeer]:
    """A server that carries WebSockets by our own frames, with a client that misbehaves."""
    found: Stage[RawPeer] = request.param
    return found
