"""The application: what is registered, what runs, and what its servers are told."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from herdwick import (
    Actor,
    Application,
    Ask,
    AuthNotConfigured,
    BindingError,
    Child,
    Context,
    Dynamic,
    Exit,
    HTTPError,
    Message,
    NotRunning,
    Request,
    Response,
    RestartLimitReached,
    StartFailed,
    WebSocket,
    WebSocketDisconnectError,
    auth,
    json,
    on,
    text,
)
from herdwick.routing import DuplicateRoute, UnknownParameterType
from herdwick.testing import TestClient
from herdwick.testing.transport import MemoryTransport, Refused
from herdwick.websocket import Next
from tests.websocket.exchange import websocket_scope


class Add(Message):
    n: int


class Total(Ask[int]):
    pass


class Crash(Message):
    pass


class Counter(Actor[Add | Total | Crash]):
    def __init__(self, start: int = 0) -> None:
        self._total = start

    @on(Add)
    async def add(self, message: Add) -> None:
        self._total += message.n

    @on(Total)
    async def total(self, message: Total) -> int:
        return self._total

    @on(Crash)
    async def crash(self, message: Crash) -> None:
        raise RuntimeError("as you wish")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        await websocket.send_text(f"{message!r}")


def status_of_handshake(app: Application) -> int:
    transport = MemoryTransport(1000)
    app.connect(Request(websocket_scope("/ws")), transport)
    assert isinstance(transport.answer, Refused)
    return transport.answer.status


# ---------------------------------------------------------------------------- registration


def test_an_unknown_parameter_type_is_told_at_registration() -> None:
    app = Application()

    with pytest.raises(UnknownParameterType, match="number"):
        app.ws("/{x:number}")


def test_a_duplicate_route_is_told_with_both_its_paths() -> None:
    app = Application()
    app.ws("/chat/{room}")(echo)

    with pytest.raises(DuplicateRoute) as caught:
        app.ws("/chat/{name}")(echo)

    assert "/chat/{room}" in str(caught.value)
    assert "/chat/{name}" in str(caught.value)


def test_an_argument_that_cannot_be_bound_is_told_at_registration() -> None:
    app = Application()

    async def handler(websocket: WebSocket, room: int) -> None: ...

    with pytest.raises(BindingError, match="room"):
        app.ws("/chat/{room_id}")(handler)


def test_a_handler_that_failed_to_bind_takes_no_path() -> None:
    app = Application()

    async def handler(websocket: WebSocket, unknown: object) -> None: ...

    with pytest.raises(BindingError):
        app.ws("/chat")(handler)

    app.ws("/chat")(echo)


def test_a_handler_has_to_be_async() -> None:
    app = Application()

    with pytest.raises(TypeError, match="async def"):
        app.get("/")(lambda: "no")


@pytest.mark.parametrize(
    ("child", "advice"), [(Counter, r"`Child\(Counter\)`"), (3, "cannot start 3; give it `Child")]
)
def test_what_cannot_be_supervised_is_told_with_what_to_write(child: Any, advice: str) -> None:
    app = Application()

    with pytest.raises(TypeError, match=advice):
        app.supervise(child)


def test_two_actors_of_one_name_are_told_at_registration() -> None:
    app = Application()
    app.supervise(Child(Counter))

    with pytest.raises(ValueError, match="two children named 'Counter'"):
        app.supervise(Child(Counter))


def test_an_unknown_way_to_treat_what_is_invalid_is_told_at_registration() -> None:
    app = Application()
    bogus: Any = "bogus"

    with pytest.raises(ValueError, match="on_invalid is 'bogus'; it must be one of"):
        app.ws("/", on_invalid=bogus)


def test_a_lifespan_has_to_be_an_async_generator_function() -> None:
    app = Application()

    async def plain() -> None: ...

    @asynccontextmanager
    async def managed() -> AsyncGenerator[None]:
        yield

    for wrong in (plain, managed, None):
        function: Any = wrong
        with pytest.raises(TypeError, match="must be an async generator function"):
            app.lifespan(function)


def test_an_exception_handler_is_for_a_kind_of_exception() -> None:
    app = Application()

    for wrong in ("x", KeyError("x"), KeyboardInterrupt):
        error: Any = wrong
        with pytest.raises(TypeError, match="is for a kind of Exception"):
            app.exception_handler(error)


def test_an_exception_handler_has_to_be_async() -> None:
    app = Application()

    def missing(request: Request, error: KeyError) -> Response:
        return text("no")

    handler: Any = missing
    with pytest.raises(TypeError, match="async def"):
        app.exception_handler(KeyError)(handler)


def test_what_is_no_application_cannot_be_mounted() -> None:
    app = Application()
    nothing: Any = None

    with pytest.raises(TypeError, match="cannot mount None at '/x'"):
        app.mount("/x", nothing)


async def test_auth_without_a_strategy_does_not_start() -> None:
    app = Application()

    @app.ws("/secret")
    @auth()
    async def secret(websocket: WebSocket) -> None: ...

    with pytest.raises(AuthNotConfigured, match="secret"):
        async with app.running():
            pass


async def test_auth_above_the_route_counts_too() -> None:
    app = Application()

    @auth()
    @app.ws("/secret")
    async def secret(websocket: WebSocket) -> None: ...

    with pytest.raises(AuthNotConfigured, match="secret"):
        async with app.running():
            pass


def test_nothing_is_mounted_twice() -> None:
    app = Application()
    app.mount("/files", Application())

    with pytest.raises(ValueError, match="/files"):
        app.mount("/files/", Application())


# ---------------------------------------------------------------------------- routes


async def test_a_group_shares_a_prefix() -> None:
    app = Application()
    api = app.group("/api").group("/v1")

    @api.get("/things/{thing:int}")
    async def thing(thing: int) -> Response:
        return json({"thing": thing})

    async with TestClient(app) as client:
        response = await client.get("/api/v1/things/7")

    assert response.json() == {"thing": 7}


async def test_an_own_parameter_type_can_be_registered() -> None:
    app = Application()
    app.param_types.register("hex", lambda text: int(text, 16))

    @app.get("/{number:hex}")
    async def show(number: int) -> Response:
        return text(str(number))

    async with TestClient(app) as client:
        assert (await client.get("/ff")).text() == "255"
        assert (await client.get("/xyz")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/thing", 200),
        ("HEAD", "/thing", 200),
        ("POST", "/thing", 405),
        ("GET", "/socket", 426),
        ("GET", "/nothing", 404),
        ("GET", "/%zz", 400),
    ],
)
async def test_a_path_without_a_handler_says_why(method: str, path: str, status: int) -> None:
    app = Application()
    app.ws("/socket")(echo)

    @app.get("/thing")
    async def thing() -> Response:
        return text("here")

    async with TestClient(app) as client:
        response = await client.request(method, path)

    assert response.status == status
    if status == 405:
        assert response.headers["allow"] == "GET, HEAD"


async def test_a_malformed_path_is_refused_before_the_upgrade() -> None:
    app = Application()
    app.ws("/{name}")(echo)

    async with TestClient(app) as client, client.websocket_connect("/%00") as socket:
        assert socket.rejection is not None
        assert socket.rejection.status == 400


# ---------------------------------------------------------------------------- around handlers


async def test_middlewares_stand_around_both_kinds_the_first_outermost() -> None:
    app = Application()
    app.ws("/ws")(echo)
    seen: list[str] = []

    def named(name: str) -> Any:
        async def middleware(request: Request, handler: Next) -> Response | None:
            seen.append(f"{name} in")
            response = await handler(request)
            seen.append(f"{name} out")
            return response

        return middleware

    app.middlewares.extend([named("outer"), named("inner")])

    async with TestClient(app) as client:
        await client.get("/nothing")
        async with client.websocket_connect("/ws") as socket:
            await socket.send_text("hello")
            await socket.receive()

    once = ["outer in", "inner in", "inner out", "outer out"]
    assert seen == ["outer in", "inner in", *once]  # the first answer was an error: 404


async def test_a_middleware_can_refuse_a_handshake() -> None:
    app = Application()
    app.ws("/ws")(echo)

    async def closed(request: Request, handler: Next) -> Response | None:
        return text("come back later", 503)

    app.middlewares.append(closed)

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        assert socket.rejection is not None
        assert (socket.rejection.status, socket.rejection.text()) == (503, "come back later")


async def test_an_exception_handler_answers_requests_and_handshakes() -> None:
    app = Application()

    @app.exception_handler(LookupError)
    async def missing(request: Request, error: LookupError) -> Response:
        return text(f"no {error}", 404)

    @app.get("/http")
    async def over_http() -> Response:
        raise KeyError("thing")

    @app.ws("/ws")
    async def over_websocket(websocket: WebSocket) -> None:
        raise IndexError("thing")

    async with TestClient(app) as client:
        assert (await client.get("/http")).status == 404
        async with client.websocket_connect("/ws") as socket:
            assert socket.rejection is not None
            assert socket.rejection.text() == "no thing"


async def test_an_exception_handler_can_close_an_open_websocket() -> None:
    app = Application()

    @app.exception_handler(LookupError)
    async def missing(request: Request, error: LookupError) -> None:
        assert request.websocket is not None
        await request.websocket.close(4404, "gone")

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise KeyError("thing")

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        with pytest.raises(WebSocketDisconnectError) as caught:
            await socket.receive()

    assert (caught.value.code, caught.value.reason) == (4404, "gone")


async def test_an_error_nobody_handles_is_a_500_without_its_text() -> None:
    app = Application()

    @app.get("/")
    async def broken() -> Response:
        raise ValueError("a secret")

    async with TestClient(app) as client:
        response = await client.get("/")

    assert response.status == 500
    assert "secret" not in response.text()


async def test_an_http_error_is_its_status_before_the_upgrade() -> None:
    app = Application()

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        raise HTTPError(402, "pay first", {"x-price": "3"})

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        assert socket.rejection is not None
        assert socket.rejection.status == 402
        assert socket.rejection.text() == "pay first"
        assert socket.rejection.headers["x-price"] == "3"


# ---------------------------------------------------------------------------- life


async def test_lifespans_stand_around_the_actors() -> None:
    app = Application()
    order: list[str] = []

    @app.lifespan
    async def database() -> AsyncGenerator[None]:
        order.append("connect")
        yield
        order.append("disconnect")

    async def worker(ctx: Context[Message]) -> None:
        order.append("work")
        try:
            await anyio.sleep_forever()
        finally:
            order.append("stop")

    app.supervise(Child(worker))

    async with app.running():
        await anyio.wait_all_tasks_blocked()

    assert order == ["connect", "work", "stop", "disconnect"]


async def test_it_can_run_again_but_not_twice_at_once() -> None:
    app = Application()

    async with app.running():
        with pytest.raises(RuntimeError, match="runs already"):
            async with app.running():
                pass
    async with app.running():
        assert app.ready

    assert not app.ready


async def test_actors_are_registered_before_it_runs() -> None:
    app = Application()

    async with app.running():
        with pytest.raises(RuntimeError, match="before"):
            app.supervise(Child(Counter))


async def test_a_handler_asks_a_supervised_actor() -> None:
    app = Application()
    counter = Child(Counter, start=40).named("counter")
    app.supervise(counter)

    @app.post("/add")
    async def add() -> Response:
        app.ref(counter).tell(Add(2))
        return json({"total": await app.ref(counter).ask(Total())})

    async with TestClient(app) as client:
        assert (await client.post("/add")).json() == {"total": 42}


async def test_children_of_a_dynamic_are_started_one_by_one() -> None:
    app = Application()
    counters = Dynamic("counters", Counter)
    app.supervise(counters)

    async with app.running():
        first, second = await app.start(counters, 1), await app.start(counters, start=2)

        assert await first.ask(Total()) == 1
        assert await second.ask(Total()) == 2


async def test_an_actor_that_does_not_start_is_named() -> None:
    app = Application()

    class Broken(Counter):
        async def on_start(self) -> None:
            raise OSError("no database")

    app.supervise(Child(Broken))

    with pytest.raises(StartFailed, match="root/services/Broken") as caught:
        async with app.running():
            pass

    assert isinstance(caught.value.__cause__, OSError)


def test_without_running_its_actors_cannot_be_reached() -> None:
    app = Application()

    with pytest.raises(NotRunning, match="lifespan"):
        app.ref(Child(Counter))


async def test_giving_up_closes_all_with_1011_and_raises_the_one_error() -> None:
    app = Application()
    counter = Child(Counter)
    app.supervise(counter)
    app.ws("/ws")(echo)
    codes: list[int | None] = []

    async def crash_until_it_gives_up(client: TestClient) -> None:
        async with client.websocket_connect("/ws") as socket:
            try:
                while True:
                    app.ref(counter).tell(Crash())
                    await anyio.wait_all_tasks_blocked()
            finally:
                codes.append(socket.close_code)

    with pytest.raises(RestartLimitReached):
        async with TestClient(app) as client:
            await crash_until_it_gives_up(client)

    assert codes == [1011]
    assert not app.ready


async def test_there_are_no_connections_while_actors_start_stop_or_give_up() -> None:
    app = Application()
    seen: list[tuple[str, int]] = []

    class Curious(Counter):
        async def on_start(self) -> None:
            seen.append(("start", app.connections))

        async def on_stop(self, reason: Exit) -> None:
            seen.append(("stop", app.connections))

    curious, counter = Child(Curious), Child(Counter)
    app.supervise(curious)
    async with app.running():
        pass
    app.supervise(counter)
    with pytest.raises(RestartLimitReached):
        async with app.running():
            try:
                while True:
                    app.ref(counter).tell(Crash())
                    await anyio.wait_all_tasks_blocked()
            finally:
                seen.append(("gave up", app.connections))

    assert {when for when, _ in seen} == {"start", "stop", "gave up"}
    assert {connections for _, connections in seen} == {0}


async def test_a_missing_start_is_an_error_in_the_log_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()

    statuses = [status_of_handshake(app) for _ in range(3)]

    assert statuses == [503] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "it got no lifespan event" in caplog.text


async def test_handshakes_that_come_while_it_starts_or_stops_are_no_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    statuses: list[int] = []

    @app.lifespan
    async def around() -> AsyncGenerator[None]:
        statuses.append(status_of_handshake(app))
        yield
        statuses.append(status_of_handshake(app))

    async with app.running():
        pass

    assert [*statuses, status_of_handshake(app)] == [503] * 3
    assert not caplog.records


async def test_handshakes_that_come_after_it_gave_up_are_no_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    counter = Child(Counter)
    app.supervise(counter)

    with pytest.raises(RestartLimitReached):
        async with app.running():
            while True:
                app.ref(counter).tell(Crash())
                await anyio.wait_all_tasks_blocked()

    assert status_of_handshake(app) == 503
    assert not [record for record in caplog.records if record.name == "herdwick"]


async def test_draining_closes_with_1012_and_refuses_with_503() -> None:
    app = Application()
    app.ws("/ws")(echo)

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        await app.drain()

        assert app.connections == 0
        with pytest.raises(WebSocketDisconnectError) as caught:
            await socket.receive()
        assert caught.value.code == 1012
        async with client.websocket_connect("/ws") as late:
            assert late.rejection is not None
            assert late.rejection.status == 503
            assert late.rejection.headers["retry-after"]


# ---------------------------------------------------------------------------- servers


async def test_a_failed_start_is_told_to_the_server() -> None:
    app = Application()

    @app.lifespan
    async def broken() -> AsyncGenerator[None]:
        raise OSError("no database")
        yield

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event)

    with pytest.raises(OSError, match="no database"):
        await app({"type": "lifespan"}, receive, send)

    assert sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


async def test_another_kind_of_scope_is_refused() -> None:
    async def receive() -> Any: ...

    async def send(event: Any) -> None: ...

    with pytest.raises(ValueError, match="smtp"):
        await Application()({"type": "smtp"}, receive, send)
