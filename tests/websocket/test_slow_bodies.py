"""Bodies that take their time; in virtual time, so that half a minute is over at once."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import anyio
import pytest

from herdwick import HTTPError, Request
from herdwick.testing import VIRTUAL_BACKENDS, Backend, virtual_backend
from herdwick.websocket.asgi_types import ASGIEvent
from tests.websocket.exchange import http_scope

PARTS = 4


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return virtual_backend(request.param)


def dribble(seconds: float) -> Request:
    """Return a request whose body takes that long for each of its four parts."""
    sent: list[bytes] = []

    async def receive() -> ASGIEvent:
        await anyio.sleep(seconds)
        sent.append(b"x")
        return {"type": "http.request", "body": b"x", "more_body": len(sent) < PARTS}

    return Request(http_scope(method="POST"), receive)


async def test_a_body_has_its_time_for_all_its_parts_together() -> None:
    assert await dribble(7.0).read() == b"xxxx"

    with pytest.raises(HTTPError, match="the body took longer than 30 seconds") as caught:
        await dribble(8.0).read()
    assert caught.value.status == HTTPStatus.REQUEST_TIMEOUT


async def test_a_body_that_stalls_is_408() -> None:
    since = anyio.current_time()

    with pytest.raises(HTTPError, match="408"):
        await dribble(float("inf")).read()

    assert anyio.current_time() - since == pytest.approx(30.0)


async def slowly(parts: AsyncIterator[bytes]) -> bytes:
    """Take a minute over each part."""
    taken = b""
    async for part in parts:
        await anyio.sleep(60.0)
        taken += part
    return taken


async def test_what_the_reader_does_between_two_parts_does_not_count() -> None:
    assert await slowly(dribble(7.0).stream()) == b"xxxx"


async def test_the_time_can_be_without_end() -> None:
    request = dribble(1000.0)
    request.body_timeout = float("inf")

    assert await request.read() == b"xxxx"
