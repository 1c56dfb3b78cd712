"""How many WebSockets are taken: in all, from one address, of one user, and in a second."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import anyio
import pytest
from guardpost import AuthenticationHandler

from herdwick import Application, Identity, Limits, Rate, Request, WebSocket, auth
from herdwick.testing import TestClient, TestWebSocket
from herdwick.websocket.admission import UNREADABLE, most_connections, network_of
from tests.support.waiting import until
from tests.websocket.exchange import websocket_scope


def taking(limits: Limits) -> Application:
    """Make an application that takes whom it may."""
    app = Application(limits=limits)

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()

    return app


def put_off(socket: TestWebSocket, status: int) -> bool:
    """Tell whether a handshake is refused with this status, and when to come back."""
    rejection = socket.rejection
    if rejection is None or rejection.status != status:
        return False
    return 5 <= int(rejection.headers["retry-after"]) <= 15


# ------------------------------------------------------------------ in all


async def test_one_more_than_the_process_carries_is_put_off_with_503() -> None:
    app = taking(Limits(connections=2))

    async with TestClient(app) as client, client.websocket_connect("/") as first:
        async with client.websocket_connect("/"), client.websocket_connect("/") as third:
            assert put_off(third, 503)
        async with client.websocket_connect("/") as fourth:
            assert fourth.rejection is None
        assert first.rejection is None
        assert app.connections == 1


async def test_who_is_put_off_gets_neither_a_handler_nor_an_actor() -> None:
    app = taking(Limits(connections=1))
    seen: list[Request] = []

    @app.ws("/seen")
    async def handler(websocket: WebSocket) -> None:
        seen.append(websocket.request)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/"),
        client.websocket_connect("/seen") as late,
    ):
        assert put_off(late, 503)
        assert app.connections == 1

    assert seen == []


async def test_those_who_are_put_off_are_not_told_to_come_back_at_once() -> None:
    app = taking(Limits(connections=1))
    told: set[str] = set()

    async with TestClient(app) as client, client.websocket_connect("/"):
        for _ in range(100):
            async with client.websocket_connect("/") as late:
                assert late.rejection is not None
                told.add(late.rejection.headers["retry-after"])

    assert len(told) > 5


class Descriptors(Protocol):
    """Lets the process open as many descriptors as it says, as far as anybody asks."""

    def __call__(self, soft: int, /) -> None: ...


@pytest.fixture
def descriptors(monkeypatch: pytest.MonkeyPatch) -> Descriptors:
    resource = pytest.importorskip("resource")

    def let_open(soft: int) -> None:
        def told(kind: int) -> tuple[int, int]:
            assert kind == resource.RLIMIT_NOFILE
            return soft, resource.RLIM_INFINITY

        monkeypatch.setattr(resource, "getrlimit", told)

    return let_open


@pytest.mark.parametrize(
    ("soft", "connections"),
    [(1, 1), (256, 204), (1024, 819), (12_499, 9_999), (1_000_000, 10_000), (-1, 10_000)],
)
def test_by_default_a_process_carries_what_its_descriptors_are_enough_for(
    descriptors: Descriptors, soft: int, connections: int
) -> None:
    descriptors(soft)

    assert most_connections() == connections


async def test_the_default_goes_by_the_descriptors_when_the_application_starts(
    descriptors: Descriptors,
) -> None:
    app = taking(Limits())
    descriptors(2)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/"),
        client.websocket_connect("/") as second,
    ):
        assert put_off(second, 503)


# ------------------------------------------------------------------ in a second


async def test_more_handshakes_than_may_come_in_a_second_are_put_off_with_503() -> None:
    app = taking(Limits(handshakes=Rate(1, per=3600, burst=3)))
    refused: list[bool] = []

    async with TestClient(app) as client:
        for _ in range(5):
            async with client.websocket_connect("/") as socket:
                refused.append(put_off(socket, 503))

    assert refused == [False, False, False, True, True]


# ------------------------------------------------------------------ from one address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", network_of("2001:db8:1:2::")),
        ("2001:db8:1:3::", network_of("2001:0db8:0001:0003:ffff:ffff:ffff:ffff")),
        ("192.0.2.7:5678", "192.0.2.7"),
        ("[2001:db8:1:2::1]:443", network_of("2001:db8:1:2::")),
        ("[2001:db8:1:2::1]", network_of("2001:db8:1:2::")),
        ("fe80::1%eth0", network_of("fe80::")),
        ("unknown", None),
    ],
)
def test_a_client_has_one_address_of_ipv4_and_64_bits_of_ipv6(
    address: str, network: str | None
) -> None:
    assert network_of(address) == network


def test_two_networks_of_ipv6_are_two() -> None:
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")


@pytest.mark.parametrize("address", ["_hidden", "localhost:80", "1.2.3", ":80", "[", "a:b:c"])
def test_all_addresses_that_cannot_be_read_are_one(address: str) -> None:
    assert network_of(address) == UNREADABLE


async def test_one_more_from_an_address_is_put_off_with_429_and_others_are_taken() -> None:
    app = taking(Limits(connections_per_address=2))

    async with TestClient(app) as client:
        assert addresses(app) == 0
        async with (
            client.websocket_connect("/"),
            client.websocket_connect("/"),
            client.websocket_connect("/") as third,
        ):
            assert put_off(third, 429)
        async with client.websocket_connect("/"), client.websocket_connect("/") as again:
            assert again.rejection is None


# ------------------------------------------------------------------ of one user


class ByHeader(AuthenticationHandler):
    """Believe what a header says."""

    def authenticate(self, context: Request) -> Identity | None:
        name = context.headers.get("x-user")
        if name is not None:
            claims = {"role": "guest"} if name == "nameless" else {"id": name}
            context.identity = Identity(claims, "test")
        return context.identity


def knowing(limits: Limits) -> Application:
    """Make an application that takes users only."""
    app = Application(limits=limits)
    app.use_authentication().add(ByHeader())

    @auth()
    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()

    return app


def of(user: str) -> dict[str, str]:
    return {"x-user": user}


async def test_one_more_of_a_user_is_put_off_with_429_and_others_are_taken() -> None:
    app = knowing(Limits(connections_per_user=1))

    async with TestClient(app) as client:
        async with client.websocket_connect("/", of("ada")):
            async with client.websocket_connect("/", of("ada")) as second:
                assert put_off(second, 429)
            async with client.websocket_connect("/", of("bob")) as bob:
                assert bob.rejection is None
        async with client.websocket_connect("/", of("ada")) as again:
            assert again.rejection is None
        await until(lambda: len(app.users) == 0)


async def test_users_without_an_id_are_not_counted() -> None:
    app = knowing(Limits(connections_per_user=1))

    async with (
        TestClient(app) as client,
        client.websocket_connect("/", of("nameless")),
        client.websocket_connect("/", of("nameless")) as second,
    ):
        assert second.rejection is None


# ------------------------------------------------------------------ back to nothing


def addresses(app: Application) -> int:
    """Tell how many addresses are kept in mind."""
    return len(app._sessions._admission)  # pyright: ignore[reportPrivateUsage]


Serve: TypeAlias = Callable[[WebSocket], Awaitable[None]]


class Crash(Exception):
    pass


async def returns(websocket: WebSocket) -> None:
    await websocket.accept()


async def refuses(websocket: WebSocket) -> None:
    await websocket.reject(418)


async def crashes(websocket: WebSocket) -> None:
    await websocket.accept()
    raise Crash


async def crashes_before(websocket: WebSocket) -> None:
    raise Crash


async def fails_on_the_client(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_bytes()


async def waits(websocket: WebSocket) -> None:
    await websocket.accept()
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    "handler",
    [returns, refuses, crashes, crashes_before, fails_on_the_client, waits],
    ids=lambda handler: handler.__name__,
)
async def test_however_a_connection_ends_its_place_is_free_again(handler: Serve) -> None:
    app = Application(
        limits=Limits(connections=1, connections_per_address=1, connections_per_user=1)
    )
    app.use_authentication().add(ByHeader())
    app.ws("/", cancel_on_disconnect=True)(handler)

    async with TestClient(app, raise_errors=False) as client:
        for _ in range(3):
            async with client.websocket_connect("/", of("ada")) as socket:
                refused = socket.rejection
                assert refused is None or refused.status in (418, 500)
                if handler is fails_on_the_client:
                    await socket.send_text("no bytes")
            await until(lambda: app.connections == 0 and len(app.users) == 0)
            assert addresses(app) == 0


async def test_a_run_begins_with_no_connection_counted() -> None:
    app = taking(Limits(connections_per_address=1))

    for _ in range(2):
        async with TestClient(app) as client, client.websocket_connect("/") as socket:
            assert socket.rejection is None


def test_a_scope_without_a_client_has_no_address() -> None:
    assert network_of(Request(websocket_scope()).client_ip) is None
