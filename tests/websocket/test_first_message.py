"""Clients that show who they are by their first message."""

from typing import Any

import anyio
import guardpost
import pytest
from guardpost import AuthenticationHandler, Policy
from guardpost.common import ClaimsRequirement

from herdwick import (
    Application,
    HTTPError,
    Identity,
    Limits,
    Request,
    Response,
    WebSocket,
    auth,
    everyone,
    json,
)
from herdwick.protocol import SUBPROTOCOL, Join, Joined, Refresh, Reply
from herdwick.testing import (
    VIRTUAL_BACKENDS,
    Backend,
    TestClient,
    TestWebSocket,
    settle,
    virtual_backend,
)
from herdwick.websocket.first_message import MOST_BYTES, Shown
from tests.runtime.samples import Door
from tests.websocket.rooms.stage import Peer


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that an async test runs on, with a clock that jumps."""
    return virtual_backend(request.param)


class ByName(AuthenticationHandler):
    """Takes a name as the token; `ada:gold` has a plan and a role, and `slow` waits for a door."""

    def __init__(self) -> None:
        self.door = Door()
        self.waits = False

    async def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, context: Request
    ) -> guardpost.Identity | None:
        scheme, _, token = context.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token or token == "forged":
            return None
        if token == "broken":
            raise LookupError("a secret")
        if self.waits:
            await self.door.passed()
        name, _, plan = token.partition(":")
        return guardpost.Identity({"sub": name, "plan": plan, "roles": plan}, "token")


def greeter(
    policy: str | None = None,
    *,
    roles: list[str] | None = None,
    by: AuthenticationHandler | None = None,
    limits: Limits | None = None,
) -> Application:
    """Give an application that greets whom it knows, and then echoes."""
    app = Application(limits=limits)
    app.use_authentication().add(by or ByName())
    app.use_authorization().add(Policy("paying", ClaimsRequirement({"plan": "gold"})))

    @app.ws("/")
    @auth(policy, roles=roles, first_message=True)
    async def greet(websocket: WebSocket, identity: Identity) -> None:
        await websocket.accept(subprotocol="chat" if "chat" in websocket.subprotocols else None)
        await websocket.send_text(f"hello {identity.id}")
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


async def ending(socket: TestWebSocket) -> tuple[int | None, str]:
    await socket.wait_handler()
    return socket.close_code, socket.close_reason


# ------------------------------------------------------------------ who is let in


@pytest.mark.parametrize(
    "message", ["ada", " ada\n", '{"token": "ada"}', '{"type": "auth", "token": "ada", "x": [{}]}']
)
async def test_the_first_message_may_be_the_token_or_hold_it(message: str) -> None:
    async with TestClient(greeter()) as client, client.websocket_connect("/") as socket:
        await socket.send_text(message)
        await socket.send_text("not a token")

        assert await socket.receive() == "hello ada"
        assert await socket.receive() == "not a token"


async def test_who_shows_a_token_in_the_handshake_need_not_send_another() -> None:
    headers = {"authorization": "Bearer ada"}
    async with (
        TestClient(greeter()) as client,
        client.websocket_connect("/", headers, ["chat"]) as socket,
    ):
        await socket.send_text("ada")

        assert socket.subprotocol == "chat"
        assert await socket.receive() == "hello ada"
        assert await socket.receive() == "ada"


async def test_who_comes_with_a_token_that_is_not_valid_may_send_another() -> None:
    async with (
        TestClient(greeter()) as client,
        client.websocket_connect("/", {"authorization": "Bearer forged"}) as socket,
    ):
        await socket.send_text("ada")

        assert await socket.receive() == "hello ada"


async def test_without_the_option_a_handshake_without_a_token_is_refused() -> None:
    app = greeter()

    @app.ws("/strict")
    @auth()
    async def strict(websocket: WebSocket) -> None:
        await websocket.accept()

    async with TestClient(app) as client, client.websocket_connect("/strict") as socket:
        assert socket.rejection is not None
        assert socket.rejection.status == 401


async def test_an_origin_that_is_refused_gets_no_chance_to_send_a_token() -> None:
    async with (
        TestClient(greeter()) as client,
        client.websocket_connect("/", {"origin": "https://evil.example"}) as socket,
    ):
        assert socket.rejection is not None
        assert socket.rejection.status == 403


async def test_who_is_known_by_a_first_message_is_a_user() -> None:
    app = greeter()
    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        assert len(app.users) == 0
        await socket.send_text("ada")
        await socket.receive()

        assert app.users.connections("ada") == 1
        assert app.users.disconnect("ada") == 1
        assert await ending(socket) == (4401, "disconnected")


# ------------------------------------------------------------------ who is not


@pytest.mark.parametrize(
    "message",
    [
        "forged",
        "",
        "{",
        '{"token": 5}',
        '{"token": ""}',
        '{"name": "ada"}',
        '{"x": ' + "[" * 9000,
        '{"a":' * 1800,
        "\N{SHEEP}",
        "ada\r\nx-role: admin",
        b"ada",
    ],
)
async def test_what_is_no_valid_token_is_closed_with_4401_at_once(message: str | bytes) -> None:
    async with TestClient(greeter()) as client, client.websocket_connect("/") as socket:
        sent = socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
        await sent
        await settle()

        assert socket.close_code == 4401


async def test_a_longer_message_than_any_token_is_closed_with_1009() -> None:
    async with TestClient(greeter()) as client, client.websocket_connect("/") as socket:
        await socket.send_text("a" * (MOST_BYTES + 1))

        assert (await ending(socket))[0] == 1009


async def test_who_sends_no_token_in_time_is_closed_with_4401_and_not_before() -> None:
    async with (
        TestClient(greeter(limits=Limits(auth_timeout=7.0))) as client,
        client.websocket_connect("/") as socket,
    ):
        await anyio.sleep(6.9)
        assert socket.close_code is None
        await anyio.sleep(0.2)

        assert await ending(socket) == (4401, "there was no token in time")


async def test_a_token_that_is_not_judged_in_time_is_worth_another_try() -> None:
    by = ByName()
    by.waits = True
    async with (
        TestClient(greeter(by=by, limits=Limits(auth_timeout=7.0))) as client,
        client.websocket_connect("/") as socket,
    ):
        await socket.send_text("ada")
        await anyio.sleep(7.1)

        assert (await ending(socket))[0] == 1013


async def test_an_authentication_that_breaks_closes_with_1011_and_without_the_text() -> None:
    async with TestClient(greeter()) as client, client.websocket_connect("/") as socket:
        await socket.send_text("broken")

        assert await ending(socket) == (1011, "Internal Server Error")


@pytest.mark.parametrize(("policy", "roles"), [("paying", None), (None, ["gold"])])
async def test_a_token_that_is_not_enough_is_closed_with_4403(
    policy: str | None, roles: list[str] | None
) -> None:
    async with TestClient(greeter(policy, roles=roles)) as client:
        async with client.websocket_connect("/") as socket:
            await socket.send_text("ada")
            assert (await ending(socket))[0] == 4403
        async with client.websocket_connect("/") as socket:
            await socket.send_text("ada:gold")
            assert await socket.receive() == "hello ada"


async def test_too_many_failures_close_with_4429() -> None:
    class Weary(AuthenticationHandler):
        def authenticate(self, context: Request) -> guardpost.Identity | None:
            if "authorization" in context.headers:
                raise HTTPError(429, "slow down")
            return None

    async with TestClient(greeter(by=Weary())) as client, client.websocket_connect("/") as socket:
        await socket.send_text("ada")

        assert await ending(socket) == (4429, "slow down")


@pytest.mark.parametrize("status", [403, 429])
async def test_an_authentication_that_refuses_the_handshake_itself_lets_nobody_in(
    status: int,
) -> None:
    class Strict(AuthenticationHandler):
        def authenticate(self, context: Request) -> guardpost.Identity | None:
            raise HTTPError(status)

    async with TestClient(greeter(by=Strict())) as client, client.websocket_connect("/") as socket:
        assert socket.rejection is not None
        assert socket.rejection.status == status


# ------------------------------------------------------------------ while nobody is known


async def test_before_the_token_nothing_of_the_handler_has_run() -> None:
    app = greeter()
    ran: list[str] = []
    app.topic("news")

    @app.ws("/news")
    @auth(first_message=True)
    async def news(websocket: WebSocket) -> None:
        ran.append(websocket.state.name)
        await websocket.accept()
        async with websocket.join("news"):
            await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/news") as socket:
        await settle()
        await app.broadcast("news", "secret")
        assert (ran, app.members("news")) == ([], 0)

        await socket.send_text("ada")
        await settle()
        assert (ran, app.members("news")) == (["CONNECTING"], 1)
        await app.broadcast("news", "public")
        assert await socket.receive() == "public"


async def test_of_a_stranger_one_message_is_read_and_of_a_known_client_as_many_as_of_any() -> None:
    by = ByName()
    by.waits = True
    async with TestClient(greeter(by=by)) as client, client.websocket_connect("/") as socket:
        await socket.send_text("ada")
        await settle()
        with pytest.raises(TimeoutError):
            await socket.send_text("one", timeout=1)

        by.door.open()
        assert await socket.receive() == "hello ada"
        for number in range(20):
            await socket.send_text(str(number))

        assert [await socket.receive() for _ in range(3)] == ["0", "1", "2"]


async def test_who_is_known_may_send_as_much_as_any_other_though_its_handler_does_not_read() -> (
    None
):
    app = greeter()
    door = Door()

    @app.ws("/deaf")
    @auth(first_message=True)
    async def deaf(websocket: WebSocket) -> None:
        await websocket.accept()
        await door.passed()

    async with TestClient(app) as client, client.websocket_connect("/deaf") as socket:
        await socket.send_text("ada")
        await settle()
        for number in range(20):
            await socket.send_text(str(number), timeout=1)
        door.open()


@pytest.mark.parametrize("judged", [False, True], ids=["before-the-token", "while-it-is-judged"])
async def test_a_client_that_leaves_before_it_is_known_is_no_crash(judged: bool) -> None:
    by = ByName()
    by.waits = True
    app = greeter(by=by)
    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        if judged:
            await socket.send_text("ada")
            await settle()
        socket.leave()
        by.door.open()
        await socket.wait_handler()

        assert socket.error is None
    assert len(app.users) == 0


async def test_a_stop_closes_a_client_that_nobody_knows_yet_with_1012() -> None:
    app = greeter()
    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await settle()
        await app.drain()

        assert socket.close_code == 1012


async def test_a_token_that_is_judged_while_the_application_stops_is_closed_with_1012() -> None:
    by = ByName()
    by.waits = True
    app = greeter(by=by)
    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.send_text("ada")
        await settle()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.drain)
            await settle()
            by.door.open()

        assert socket.close_code == 1012


# ------------------------------------------------------------------ what handlers refuse


async def test_what_a_handler_refuses_before_it_accepts_is_told_by_a_close_code() -> None:
    app = greeter()

    @app.ws("/{what}")
    @auth(first_message=True)
    async def refuse(websocket: WebSocket, what: str) -> Response | None:
        match what:
            case "error":
                raise HTTPError(403, "two devices already")
            case "reject":
                await websocket.reject(429, body="slow down")
            case "response":
                return json({}, status=503)
            case "crash":
                raise LookupError("a secret")
            case "close":
                await websocket.close(4000)
            case _:
                pass
        return None

    codes: dict[str, tuple[int | None, str]] = {}
    async with TestClient(app, raise_errors=False) as client:
        for what in ("error", "reject", "response", "crash", "close", "return"):
            async with client.websocket_connect(f"/{what}") as socket:
                await socket.send_text("ada")
                codes[what] = await ending(socket)

    assert codes == {
        "error": (4403, "two devices already"),
        "reject": (4429, "slow down"),
        "response": (1013, "{}"),
        "crash": (1011, ""),
        "close": (4403, ""),
        "return": (4403, ""),
    }


async def test_an_exception_handler_of_the_application_chooses_the_code_too() -> None:
    app = greeter()

    @app.exception_handler(HTTPError)
    async def gone(request: Request, error: HTTPError) -> Response:
        return json({"error": error.status}, status=410)

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.send_text("forged")

        assert await ending(socket) == (4410, '{"error":401}')


async def test_before_it_accepts_a_handler_can_neither_send_nor_receive_nor_join() -> None:
    app = greeter()
    refused: list[str] = []

    @app.ws("/early")
    @auth(first_message=True)
    async def early(websocket: WebSocket) -> None:
        attempts: list[Any] = [
            websocket.send_text("early"),
            websocket.receive(),
            websocket.send_json({}),
        ]
        for attempt in attempts:
            try:
                await attempt
            except Exception as error:
                refused.append(type(error).__name__)
        await websocket.accept()

    async with TestClient(app) as client, client.websocket_connect("/early") as socket:
        await socket.send_text("ada")
        await socket.wait_handler()

    assert refused == ["InvalidWebSocketStateError"] * 3


# ------------------------------------------------------------------ how it is asked for


async def test_authentication_sees_the_path_of_a_client_that_came_without_a_token() -> None:
    seen: list[tuple[str | None, object, bool]] = []

    class Watching(AuthenticationHandler):
        def authenticate(self, context: Request) -> guardpost.Identity | None:
            token = context.headers.get("authorization")
            is_socket = context.websocket is not None
            seen.append((token, dict(context.route_values), is_socket))
            return guardpost.Identity({"sub": "ada"}, "token") if token else None

    app = Application()
    app.use_authentication().add(Watching())

    @app.ws("/rooms/{room}")
    @auth(first_message=True)
    async def room(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.refresh("ada")

    async with TestClient(app) as client, client.websocket_connect("/rooms/7") as socket:
        await socket.send_text("ada")
        await socket.wait_handler()

    assert seen == [(token, {"room": "7"}, True) for token in (None, "Bearer ada", "Bearer ada")]


async def test_a_handler_that_answers_http_cannot_ask_for_a_first_message() -> None:
    app = greeter()

    @app.get("/page")
    @auth(first_message=True)
    async def page() -> None: ...

    with pytest.raises(TypeError, match="page answers HTTP"):
        async with app.running():
            pass


# ------------------------------------------------------------------ herdwick.v1


async def test_clients_of_the_protocol_show_their_token_by_a_first_refresh() -> None:
    app = greeter()
    app.topic("news", authorize=everyone)

    @app.ws("/live")
    @auth(first_message=True)
    async def live(websocket: WebSocket) -> None:
        await websocket.serve_rooms()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", subprotocols=[SUBPROTOCOL]) as socket,
    ):
        peer = Peer(socket)
        await peer.send(Refresh(1, "ada"))
        await peer.send(Join(2, "news"))
        await settle()

        assert socket.subprotocol == SUBPROTOCOL
        assert await peer.heard() == [Reply(1), Joined(2, "news")]


async def test_a_client_of_the_protocol_that_joins_first_is_closed_with_4401() -> None:
    app = greeter()
    app.topic("news", authorize=everyone)

    @app.ws("/live")
    @auth(first_message=True)
    async def live(websocket: WebSocket) -> None:
        await websocket.serve_rooms()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", subprotocols=[SUBPROTOCOL]) as socket,
    ):
        await Peer(socket).send(Join(2, "news"))

        assert (await ending(socket))[0] == 4401
        assert app.members("news") == 0


def test_what_carries_a_token_does_not_show_it() -> None:
    shown = f"{Shown('s3cret', 1)!r} {Refresh(2, 's3cret')!r}"

    assert shown == "Shown(ref=1) Refresh(ref=2)"
