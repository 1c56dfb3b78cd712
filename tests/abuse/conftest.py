"""Each case runs against our own listener on both backends, and under uvicorn as `herdwick run`.

One server stands many cases. None of them may cost it anything that stays, or log a warning.
"""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.abuse.field import Field, open_field, watched
from tests.conftest import ASYNCIO, TRIO
from tests.support.servers import OWN, RUN, Server

SERVERS: list[Any] = [
    pytest.param((ASYNCIO, RUN), id="run-asyncio", marks=pytest.mark.heavy),
    pytest.param((ASYNCIO, OWN), id="own-asyncio", marks=pytest.mark.heavy),
    pytest.param((TRIO, OWN), id="own-trio", marks=pytest.mark.heavy),
]


@pytest.fixture(scope="module", params=SERVERS)
def under_attack(request: pytest.FixtureRequest) -> Any:
    """An event loop, and a server on it."""
    return request.param


@pytest.fixture(scope="module")
def anyio_backend(under_attack: Any) -> Any:
    return under_attack[0]


@pytest.fixture(scope="module")
def server(under_attack: Any) -> Server:
    found: Server = under_attack[1]
    return found


@pytest.fixture(scope="module")
async def open_server(server: Server) -> AsyncGenerator[Field]:
    """A server with the limits that are on by default."""
    async with open_field(server) as field:
        yield field


@pytest.fixture
async def field(open_server: Field, caplog: pytest.LogCaptureFixture) -> AsyncGenerator[Field]:
    """The same, watched: what the test cost is given back, and nothing was logged as a fault."""
    async with watched(open_server, caplog) as field:
        yield field
