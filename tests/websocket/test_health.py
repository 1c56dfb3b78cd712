"""What load balancers and process managers are told."""

from typing import cast

import guardpost
import httpx
import pytest
from guardpost import AuthenticationHandler, Policy
from guardpost.common import AuthenticatedRequirement

from herdwick import Application, Request, Response, text
from herdwick.testing import TestClient
from tests.support.servers import HYPERCORN, OWN, RUN, UVICORN, Server

ON_ASYNCIO = pytest.mark.asyncio_only
SERVERS = [
    OWN,
    HYPERCORN,
    pytest.param(RUN, marks=ON_ASYNCIO),
    pytest.param(UVICORN, marks=ON_ASYNCIO),
]


class Broken(AuthenticationHandler):
    """Fails on whoever asks."""

    async def authenticate(self, context: Request) -> guardpost.Identity | None:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        raise OSError("no database")


def healthy() -> Application:
    app = Application()
    app.serve_health()
    return app


async def statuses(client: TestClient, base: str = "/health") -> tuple[int, int]:
    return (
        (await client.get(f"{base}/live")).status,
        (await client.get(f"{base}/ready")).status,
    )


@pytest.fixture(params=SERVERS, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Server:
    return cast("Server", request.param)


async def test_it_is_live_and_ready_under_every_server(server: Server) -> None:
    async with server.serve(healthy()) as url, httpx.AsyncClient(trust_env=False) as client:
        live = await client.get(f"{url}/health/live")
        ready = await client.get(f"{url}/health/ready")

    assert (live.status_code, live.text) == (200, "ok\n")
    assert (ready.status_code, ready.headers["cache-control"]) == (200, "no-store")


async def test_one_that_has_drained_is_live_and_not_ready() -> None:
    app = healthy()
    async with TestClient(app) as client:
        before = await statuses(client)
        await app.drain()
        after = await statuses(client)
        answer = await client.get("/health/ready")

    assert (before, after) == ((200, 200), (200, 503))
    assert (answer.text(), answer.headers["cache-control"]) == ("not ready\n", "no-store")


async def test_one_that_was_not_started_is_live_and_not_ready() -> None:
    transport = httpx.ASGITransport(healthy())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        live, ready = await client.get("/health/live"), await client.get("/health/ready")

    assert (live.status_code, ready.status_code) == (200, 503)


async def test_no_auth_stands_before_it() -> None:
    app = healthy()
    app.use_authentication().add(Broken())
    app.use_authorization().default_policy = Policy("all", AuthenticatedRequirement())

    async with TestClient(app) as client:
        assert await statuses(client) == (200, 200)


async def test_it_can_be_elsewhere_and_a_route_of_the_users_comes_first() -> None:
    app = Application()
    app.serve_health("/internal/is")

    @app.get("/internal/is/ready")
    async def ready() -> Response:
        return text("mine", 207)

    async with TestClient(app) as client:
        assert await statuses(client, "/internal/is") == (200, 207)


async def test_it_answers_nothing_else() -> None:
    async with TestClient(healthy()) as client:
        others = [await client.get(f"/health{path}") for path in ("", "/", "/else", "/live/")]
        posted = await client.post("/health/live")
        head = await client.request("HEAD", "/health/live")
        async with client.websocket_connect("/health/live") as socket:
            refusal = socket.rejection

    assert [each.status for each in others] == [404] * 4
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")
    assert (head.status, head.body) == (200, b"")
    assert refusal is not None
    assert refusal.status == 403


def test_a_path_that_is_taken_is_refused() -> None:
    app = healthy()

    with pytest.raises(ValueError, match="something is mounted at '/health' already"):
        app.serve_health()
