"""The user's own actors beside the application, and the handlers that speak with them.

In virtual time: a question's five seconds are over at once.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from herdwick import (
    Actor,
    ActorStopped,
    Application,
    Ask,
    AskError,
    AskTimeout,
    Child,
    Close,
    Context,
    Crashed,
    Dynamic,
    Exit,
    MailboxFull,
    Message,
    NotHandled,
    NotRunning,
    Ref,
    Rejected,
    Request,
    Response,
    Restarting,
    Send,
    StartFailed,
    Supervisor,
    WebSocket,
    WebSocketDisconnectError,
    json,
    on,
    text,
)
from herdwick.runtime import (
    KILLED,
    LATER,
    NORMAL,
    Backoff,
    Deadlock,
    Down,
    Event,
    Exited,
    Expired,
    Later,
    NoReply,
    NotFound,
    Reply,
    Started,
)
from herdwick.testing import VIRTUAL_BACKENDS, Backend, TestClient, crash, virtual_backend
from tests.support.waiting import until
from tests.websocket.exchange import ask as call
from tests.websocket.exchange import http_scope


@pytest.fixture(scope="module", params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return virtual_backend(request.param)


class Add(Message):
    n: int


class Total(Ask[int]):
    pass


class Counter(Actor[Add | Total]):
    def __init__(self, name: str = "") -> None:
        self._total = 0

    @on(Add)
    async def add(self, message: Add) -> None:
        self._total += message.n

    @on(Total)
    async def total(self, message: Total) -> int:
        return self._total


class Watch(Message):
    socket: Ref[Send | Close]


class Watcher(Actor[Watch | Add]):
    """Notes what becomes of the sockets that it is handed."""

    def __init__(self, notes: list[object]) -> None:
        self._notes = notes

    @on(Watch)
    async def watch(self, message: Watch) -> None:
        self.ctx.monitor(message.socket)

    @on(Add)
    async def add(self, message: Add) -> None:
        self._notes.append(message.n)

    async def on_down(self, down: Down) -> None:
        self._notes.append(down.reason.kind)


def watched() -> tuple[Application, Child[Watch | Add], list[object]]:
    """Give an application whose sockets at `/ws` are handed to an actor that monitors them."""
    app, notes = Application(), list[object]()
    watcher = Child(Watcher, notes)
    app.supervise(watcher)

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.ref(watcher).ask(Watch(websocket.ref))
        await websocket.send_text("watched")
        async for data in websocket.iter_text():
            if data == "crash":
                raise RuntimeError("a bug")
            app.ref(watcher).tell(Add(int(data)))

    return app, watcher, notes


# ---------------------------------------------------------------------------- the tree


async def test_supervised_actors_and_connections_stand_in_one_tree() -> None:
    app = Application()
    rooms = Dynamic("rooms", Counter)
    app.supervise(Child(Counter).named("counter"))
    app.supervise(Supervisor("chat", Child(Counter).named("index"), rooms), Child(Counter))
    ids: list[str] = []

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        ids.append(websocket.id)
        await websocket.accept()
        await app.get(rooms, "fell")
        await websocket.send_text("ready")
        await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        await socket.receive()
        tree = app.system.tree()

    assert [node.path for node in tree] == [
        "root",
        "root/services",
        "root/services/counter",
        "root/services/chat",
        "root/services/chat/index",
        "root/services/chat/rooms",
        "root/services/chat/rooms/fell",
        "root/services/Counter",
        "root/realtime",
        "root/realtime/pumps",
        "root/realtime/registry",
        "root/realtime/rooms",
        "root/presence",
        "root/connections",
        f"root/connections/{ids[0]}",
    ]
    assert {node.state for node in tree} == {"running"}


async def test_a_strategy_holds_beside_the_application_and_closes_no_socket() -> None:
    app = Application()
    names = ("first", "second", "third")
    first, second, third = children = [Child(Counter).named(name) for name in names]
    app.supervise(Supervisor("chain", *children, strategy="rest_for_one"))

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket:
            await websocket.send_json(await app.ref(third).ask(Total()))

    def incarnations() -> list[int]:
        return [app.system.statistics(child).incarnation for child in children]

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        app.ref(first).tell(Add(1))
        app.ref(third).tell(Add(1))
        await crash(app.ref(second), RuntimeError("a bug"))
        await until(lambda: incarnations() == [1, 2, 2])

        await socket.send_text("and now?")

        assert await socket.receive_json() == 0
        assert await app.ref(first).ask(Total()) == 1


async def test_a_child_is_found_wherever_it_stands_and_in_each_run() -> None:
    app = Application()
    deep = Child(Counter)
    app.supervise(Supervisor("outer", Supervisor("inner", deep)))

    paths: list[str] = []
    for _ in range(2):
        async with app.running():
            paths.append(app.ref(deep).path)

    assert paths == ["root/services/outer/inner/Counter"] * 2


async def test_what_happens_from_the_first_start_on_is_told_to_who_subscribed_before() -> None:
    app = Application()
    app.supervise(Child(Counter))
    app.ws("/ws")(accept)
    events: list[Event] = []
    unsubscribe = app.events.subscribe(events.append)

    async with TestClient(app) as client, client.websocket_connect("/ws"):
        pass
    unsubscribe()
    async with app.running():
        pass

    connection = next(event.path for event in events if event.path.startswith("root/connections/"))
    realtime = ["root/realtime/pumps", "root/realtime/registry", "root/realtime/rooms"]
    rooms = [*realtime, "root/realtime", "root/presence"]
    assert [(type(event), event.path) for event in events] == [
        (Started, "root/services/Counter"),
        (Started, "root/services"),
        *((Started, path) for path in rooms),
        (Started, "root/connections"),
        (Started, "root"),
        (Started, connection),
        (Exited, connection),
        (Exited, "root/connections"),
        (Exited, "root/presence"),
        *((Exited, path) for path in reversed(realtime)),
        (Exited, "root/realtime"),
        (Exited, "root/services/Counter"),
        (Exited, "root/services"),
        (Exited, "root"),
    ]


async def test_actors_outlast_the_handlers_that_need_them_to_clean_up() -> None:
    app = Application()
    totals: list[int] = []

    class Slow(Counter):
        async def on_stop(self, reason: Exit) -> None:
            totals.append(self._total)

    counter = Child(Slow)
    app.supervise(counter)

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.wait_closed()
        finally:
            await anyio.lowlevel.checkpoint()
            app.ref(counter).tell(Add(1))
            totals.append(await app.ref(counter).ask(Total()))

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        await app.drain()
        assert socket.close_code == 1012

    assert totals == [1, 1]


async def test_no_connection_is_accepted_before_the_actors_have_started() -> None:
    app = Application()
    app.ws("/ws")(accept)
    may_start = anyio.Event()
    statuses: list[int | None] = []

    class Slow(Counter):
        async def on_start(self) -> None:
            await may_start.wait()

    app.supervise(Child(Slow))
    client = TestClient(app)

    async def knock() -> None:
        async with client.websocket_connect("/ws") as socket:
            statuses.append(None if socket.rejection is None else socket.rejection.status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start_and_stop, client, knock)
        await anyio.wait_all_tasks_blocked()
        await knock()
        may_start.set()

    assert statuses == [503, None]


async def start_and_stop(client: TestClient, then: Callable[[], Any]) -> None:
    async with client:
        await then()


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.wait_closed()


# ---------------------------------------------------------------------------- get and start


async def test_handlers_of_both_kinds_get_the_same_actor() -> None:
    app = Application()
    rooms = Dynamic("rooms", Counter)
    app.supervise(rooms)

    @app.ws("/rooms/{name}")
    async def add(websocket: WebSocket, name: str) -> None:
        room = await app.get(rooms, name)
        await websocket.accept()
        async for number in websocket.iter_text():
            await room.ask(Add(int(number)))
            await websocket.send_text("added")

    @app.get("/rooms/{name}/total")
    async def total(name: str) -> Response:
        return json(await (await app.get(rooms, name=name)).ask(Total()))

    async with TestClient(app) as client, client.websocket_connect("/rooms/fell") as socket:
        await socket.send_text("3")
        await socket.receive()

        assert (await client.get("/rooms/fell/total")).json() == 3
        assert (await client.get("/rooms/dale/total")).json() == 0


async def test_however_many_handlers_get_an_actor_at_once_one_is_started() -> None:
    app = Application()
    started: list[str] = []
    may_start = anyio.Event()

    class Room(Counter):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            started.append(name)

        async def on_start(self) -> None:
            await may_start.wait()

    rooms = Dynamic("rooms", Room)
    app.supervise(rooms)

    @app.post("/rooms/{name}")
    async def add(name: str) -> Response:
        room = await app.get(rooms, name)
        await room.ask(Add(1))
        return json(await room.ask(Total()))

    async with TestClient(app) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(client.post, "/rooms/fell")
            await until(lambda: started)
            await anyio.wait_all_tasks_blocked()
            may_start.set()

        assert (await client.post("/rooms/fell")).json() == 21
    assert started == ["fell"]


async def test_a_connection_that_gets_an_actor_and_leaves_does_not_end_it() -> None:
    app = Application()
    rooms = Dynamic("rooms", Counter)
    app.supervise(rooms)

    @app.ws("/ws", cancel_on_disconnect=True)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        (await app.get(rooms, "fell")).tell(Add(1))
        await websocket.send_text("added")
        await anyio.sleep_forever()

    async with TestClient(app) as client:
        async with client.websocket_connect("/ws") as socket:
            await socket.receive()

        assert await (await app.get(rooms, "fell")).ask(Total()) == 1


async def test_get_is_a_route_with_a_path_and_an_actor_with_a_dynamic() -> None:
    app = Application()
    rooms = Dynamic("rooms", Counter)
    app.supervise(rooms)

    async with app.running():

        @app.get("/late")
        async def late() -> Response:
            return text((await app.get(rooms, "fell")).path)

        answer = await call(app, http_scope("/late"))

    assert answer.body == b"root/services/rooms/fell"


# ---------------------------------------------------------------------------- what fails


class Broken(Counter):
    async def on_start(self) -> None:
        raise OSError("a secret")


broken = Dynamic("broken", Broken)


def test_without_running_no_actor_is_got_or_started() -> None:
    app = Application()
    app.supervise(broken)

    with pytest.raises(NotRunning):
        _ = app.system
    with pytest.raises(NotRunning):
        _ = app.get(broken)


async def test_an_actor_of_another_application_is_not_found() -> None:
    app = Application()

    async with app.running():
        with pytest.raises(NotFound, match="Counter is in no part of this tree"):
            app.ref(Child(Counter))
        with pytest.raises(NotFound, match="broken"):
            await app.get(broken)


async def test_an_actor_that_does_not_start_is_an_error_of_the_server_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    app.supervise(broken)

    @app.get("/http")
    async def over_http() -> None:
        await app.get(broken)

    @app.ws("/before")
    async def before(websocket: WebSocket) -> None:
        await app.get(broken)

    @app.ws("/after")
    async def after(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.get(broken)

    async with TestClient(app, raise_errors=False) as client:
        answer = await client.get("/http")
        async with client.websocket_connect("/before") as refused:
            assert refused.rejection is not None
            assert refused.rejection.status == 500
        async with client.websocket_connect("/after") as closed:
            with pytest.raises(WebSocketDisconnectError, match="1011"):
                await closed.receive()

        assert answer.status == 500
        assert "secret" not in answer.text()
        assert isinstance(refused.error, StartFailed)
    assert caplog.text.count("OSError: a secret") >= 3


# ---------------------------------------------------------------------------- unanswered questions


class Fail(Ask[int]):
    """Crash."""


class Wait(Ask[int]):
    """Answer never."""


class Difficult(Actor[Fail | Wait]):
    """Answers nothing."""

    def __init__(self) -> None:
        self._replies: list[Reply[int]] = []

    @on(Fail)
    async def fail(self, message: Fail) -> int:
        raise ValueError("a secret")

    @on(Wait)
    async def wait(self, message: Wait) -> Later:
        self._replies.append(self.ctx.defer(message))
        return LATER


def asking(question: Fail | Wait) -> tuple[Application, Child[Fail | Wait]]:
    """Give an application that asks a difficult actor at `/`."""
    app = Application()
    child = Child(Difficult).policy(mailbox=1, backoff=Backoff(min=60, max=60))
    app.supervise(child)

    @app.get("/")
    async def handler() -> Response:
        return json(await app.ref(child).ask(question, timeout=1))

    return app, child


async def test_a_question_to_an_actor_with_a_full_mailbox_is_a_503_with_the_time_to_wait() -> None:
    app, child = asking(Wait())

    async with TestClient(app) as client:
        while app.ref(child).tell(Wait()):
            pass
        answer = await client.get("/")

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"


async def test_a_question_to_an_actor_that_is_to_restart_is_a_503() -> None:
    app, child = asking(Wait())

    async with TestClient(app) as client:
        app.ref(child).tell(Fail())
        await until(lambda: app.system.statistics(child).state == "waiting")

        assert (await client.get("/")).status == 503


async def test_a_question_to_an_actor_that_has_ended_is_a_503() -> None:
    app, child = asking(Wait())

    async with TestClient(app) as client:
        await app.system.terminate_child(child)

        assert (await client.get("/")).status == 503


async def test_a_question_that_is_not_answered_in_time_is_a_504() -> None:
    app, _ = asking(Wait())

    async with TestClient(app) as client:
        answer = await client.get("/")

    assert answer.status == 504
    assert "retry-after" not in answer.headers


async def test_a_question_on_which_the_actor_crashes_is_a_500_without_the_text() -> None:
    app, _ = asking(Fail())

    async with TestClient(app) as client:
        answer = await client.get("/")

    assert answer.status == 500
    assert "secret" not in answer.text()


def raising(error: Exception) -> Application:
    """Give an application whose handlers raise this error."""
    app = Application()

    @app.get("/")
    async def over_http() -> None:
        raise error

    @app.ws("/before")
    async def before(websocket: WebSocket) -> None:
        raise error

    @app.ws("/after")
    async def after(websocket: WebSocket) -> None:
        await websocket.accept()
        raise error

    return app


AGAIN = [ActorStopped("a"), Restarting("a"), MailboxFull("a", 1), Expired("a", 1), NotHandled("a")]
CRASHES = [Crashed("a", KILLED), NoReply("a", "Wait"), Deadlock("aa"), AskError("a")]
MISTAKES = [NotFound("a"), Rejected("no"), StartFailed("a", "full"), TimeoutError("of others")]

each_error = pytest.mark.parametrize(
    ("error", "status"),
    [
        *((error, 503) for error in AGAIN),
        (AskTimeout("a", 1), 504),
        *((error, 500) for error in (*CRASHES, *MISTAKES)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)


@each_error
async def test_a_handler_that_lets_an_error_through_answers_with_what_it_means(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(raising(error)) as client:
        answer = await client.get("/")

    assert (answer.status, answer.text()) == (status, HTTPStatus(status).phrase)
    [record] = caplog.records
    assert bool(record.exc_info) == (status == 500)
    assert status == 500 or record.getMessage() == f"/ answered with {status}: {error}"


@each_error
async def test_before_it_is_accepted_a_handshake_is_refused_with_the_same_status(
    error: Exception, status: int
) -> None:
    async with (
        TestClient(raising(error), raise_errors=False) as client,
        client.websocket_connect("/before") as socket,
    ):
        assert socket.rejection is not None
        assert socket.rejection.status == status
        assert socket.rejection.headers.get("retry-after") == ("1" if status == 503 else None)
        assert (socket.error is error) == (status == 500)


@each_error
async def test_once_accepted_a_handler_that_lets_it_through_has_crashed(
    error: Exception, status: int
) -> None:
    async with (
        TestClient(raising(error), raise_errors=False) as client,
        client.websocket_connect("/after") as socket,
    ):
        await socket.wait_handler()

        assert socket.close_code == 1011
        assert socket.error is error


async def test_an_exception_handler_decides_before_all_that() -> None:
    app = raising(MailboxFull("a", 1))

    @app.exception_handler(AskError)
    async def busy(request: Request, error: AskError) -> Response:
        return text("busy", 429)

    async with TestClient(app) as client, client.websocket_connect("/before") as socket:
        assert (await client.get("/")).status == 429
        assert socket.rejection is not None
        assert socket.rejection.status == 429


# ---------------------------------------------------------------------------- monitored sockets


async def test_an_actor_hears_of_the_end_of_a_socket_after_all_that_its_handler_told() -> None:
    app, _, notes = watched()

    async with TestClient(app) as client:
        async with client.websocket_connect("/ws") as socket:
            await socket.receive()
            for number in range(5):
                await socket.send_text(f"{number}")
        await until(lambda: len(notes) == 6)

    assert notes == [0, 1, 2, 3, 4, "normal"]


async def test_an_actor_hears_that_a_handler_has_crashed() -> None:
    app, _, notes = watched()

    async with TestClient(app, raise_errors=False) as client:
        async with client.websocket_connect("/ws") as socket:
            await socket.receive()
            await socket.send_text("crash")
            await socket.wait_handler()
        await until(lambda: notes)

    assert notes == ["crash"]


async def test_an_actor_hears_of_the_sockets_that_a_drain_closes() -> None:
    app, _, notes = watched()

    async with TestClient(app) as client:
        async with client.websocket_connect("/ws") as one, client.websocket_connect("/ws") as other:
            await one.receive()
            await other.receive()
            await app.drain()
        await until(lambda: len(notes) == 2)

    assert notes == ["shutdown", "shutdown"]


async def test_an_actor_hears_of_a_socket_that_it_closes_itself() -> None:
    app, refs, notes = Application(), list[Ref[Send | Close]](), list[object]()
    watcher = Child(Watcher, notes)
    app.supervise(watcher)

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.ref(watcher).ask(Watch(websocket.ref))
        refs.append(websocket.ref)
        await websocket.wait_closed()

    async with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        await until(lambda: refs)
        refs[0].tell(Close(4000, "enough"))
        await until(lambda: notes)

        assert (socket.close_code, socket.close_reason) == (4000, "enough")
    assert notes == ["normal"]


async def test_a_socket_that_is_closed_is_down_at_once_and_takes_nothing_more() -> None:
    app, refs, notes = Application(), list[Ref[Send | Close]](), list[object]()
    watcher = Child(Watcher, notes)
    app.supervise(watcher)

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        refs.append(websocket.ref)

    async with TestClient(app) as client:
        async with client.websocket_connect("/ws"):
            pass
        app.ref(watcher).tell(Watch(refs[0]))
        await until(lambda: notes)

        assert notes == ["noproc"]
        assert not refs[0].tell(Send("too late"))
        with pytest.raises(ActorStopped):
            await refs[0].send(Send("too late"))
        with pytest.raises(ActorStopped):
            await refs[0].ask(Send("too late"))


async def test_a_socket_that_two_actors_monitor_is_down_for_both_whatever_one_of_them_does() -> (
    None
):
    app, notes = Application(), (list[object](), list[object]())
    one, other = children = [
        Child(Watcher, notes[number]).named(f"{number}") for number in range(2)
    ]
    app.supervise(*children)

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for child in children:
            await app.ref(child).ask(Watch(websocket.ref))
        await websocket.send_text("watched")
        await websocket.wait_closed()

    async with TestClient(app) as client:
        async with client.websocket_connect("/ws") as socket:
            await socket.receive()
            await crash(app.ref(one), RuntimeError("a bug"))  # its monitors are gone with it
        await until(lambda: notes[1])
        await app.ref(other).ask(Add(0))

    assert notes == ([], ["normal", 0])


async def test_a_function_actor_receives_the_down_of_a_socket() -> None:
    app, seen = Application(), list[Down]()

    async def watch(ctx: Context[Watch | Down]) -> None:
        while True:
            match await ctx.receive():
                case Watch(socket):
                    ctx.monitor(socket, tag="mine")
                case Down() as down:
                    seen.append(down)

    watcher = Child(watch)
    app.supervise(watcher)
    refs: list[Ref[Send | Close]] = []

    @app.ws("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        refs.append(websocket.ref)
        await app.ref(watcher).ask(Watch(websocket.ref))

    async with TestClient(app) as client:
        async with client.websocket_connect("/ws"):
            pass
        await until(lambda: seen)

    [down] = seen
    assert (down.ref, down.tag, down.reason) == (refs[0], "mine", NORMAL)
