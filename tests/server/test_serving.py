"""Serving as a process: where it is reached, how it stops, and what its end tells."""

import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from herdwick.server.serving import CannotListen, NotAnApplication, run
from herdwick.websocket import Application
from tests.server.commands import Running, herdwick, running, write

pytestmark = pytest.mark.heavy  # each test starts a program

SHOP = """
    import contextlib
    import sys
    import threading
    import time
    from collections.abc import AsyncGenerator

    import anyio
    import anyio.lowlevel

    from herdwick.runtime import Child, Context
    from herdwick.websocket import Application, Response, WebSocket, no_content

    app = Application(drain_window=0.1)
    app.serve_health()
    may_end = anyio.Event()
    broken = []

    async def fragile(context: Context[object]) -> None:
        if broken:
            raise LookupError("no database")
        broken.append(True)
        await context.receive()
        raise LookupError("no database")

    child = Child(fragile)
    app.supervise(child)

    @app.lifespan
    async def around() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await anyio.lowlevel.checkpoint()
            open("left", "w").close()

    @app.ws("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            await websocket.send_text(message)

    @app.ws("/burst")
    async def burst(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(2000):
            await websocket.send_text(f"{number} {'.' * 200}")
        await websocket.wait_closed()

    @app.ws("/stubborn")
    async def stubborn(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()
        print("it ignores all", file=sys.stderr, flush=True)
        while True:
            with contextlib.suppress(BaseException):
                await anyio.sleep_forever()

    @app.ws("/blocking")
    async def blocking(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()
        print("it blocks", file=sys.stderr, flush=True)
        time.sleep(3600)

    @app.ws("/threads")
    async def threads(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(", ".join(each.name for each in threading.enumerate()))
        await websocket.wait_closed()

    @app.ws("/slow-end")
    async def slow_end(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.wait_closed()
        await may_end.wait()

    @app.post("/may-end")
    async def let_end() -> Response:
        may_end.set()
        return no_content()

    @app.ws("/break")
    async def break_all(websocket: WebSocket) -> None:
        await websocket.accept()
        app.ref(child).tell(object())
        await websocket.wait_closed()
"""

BACKENDS = ["asyncio", "trio"]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return cast(str, request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "shop.py", SHOP)
    return tmp_path


@contextmanager
def serving(folder: Path, backend: str, *more: str) -> Generator[Running, None, None]:
    with herdwick(folder, "shop:app", "--backend", backend, *more) as program:
        yield program


def closing(client: ClientConnection) -> int | None:
    """Read to the end, and give the close code that the server has sent; None without one."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            client.recv(timeout=20)
    return ended.value.rcvd.code if ended.value.rcvd else None


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_closes_with_1012_and_ends_with_0(
    folder: Path, backend: str, number: signal.Signals
) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/echo")) as client:
        client.send("hello")
        answer = client.recv(timeout=20)
        program.send(number)
        code = closing(client)

        assert (answer, code) == ("hello", 1012)
        assert program.exit_code() == 0
        assert (folder / "left").exists()
        assert "Traceback" not in program.told


@pytest.mark.parametrize("number", SIGNALS)
def test_a_plain_install_serves_on_asyncio_too(folder: Path, number: signal.Signals) -> None:
    fast = ["uvloop", "httptools"]
    with (
        herdwick(folder, "shop:app", without=fast) as program,
        connect(program.socket_url("/echo")) as client,
    ):
        program.send(number)

        assert closing(client) == 1012
        assert program.exit_code() == 0


def test_what_was_sent_before_the_stop_arrives(folder: Path, backend: str) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/burst")) as client:
        assert str(client.recv(timeout=20)).startswith("0 ")
        program.send(signal.SIGTERM)
        numbers: list[int] = []
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                numbers.append(int(str(client.recv(timeout=20)).split()[0]))

        assert numbers == list(range(1, len(numbers) + 1))
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
        assert program.exit_code() == 0


def test_a_peer_that_goes_on_sending_sees_1012_too(folder: Path, backend: str) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/echo")) as client:
        for _ in range(20):
            client.send("x" * 1000)
        program.send(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                client.recv(timeout=20)
                client.send("x" * 1000)

        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
        assert program.exit_code() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_ends_at_once(folder: Path, backend: str, number: signal.Signals) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/stubborn")) as client:
        client.send("go")
        program.line_with("it ignores all")
        program.send(number)
        program.line_with("stopping")
        program.send(number)

        assert program.exit_code() == 128 + number
        assert not (folder / "left").exists()


def test_who_blocks_the_loop_is_told_with_the_stack(folder: Path, backend: str) -> None:
    more = ["--blocked-after", "0.05"]
    with (
        serving(folder, backend, *more) as program,
        connect(program.socket_url("/blocking")) as client,
    ):
        client.send("go")
        line = program.line_with("has blocked the event loop for ")
        stack = program.line_with("time.sleep(3600)")

    assert "  root/connections/" in line
    assert stack.startswith("  ")


def test_nobody_looks_at_the_loop_where_that_is_off(folder: Path, backend: str) -> None:
    with (
        serving(folder, backend, "--blocked-after", "off") as program,
        connect(program.socket_url("/threads")) as client,
    ):
        assert "herdwick watchdog" not in str(client.recv(timeout=20))


def test_two_signals_end_a_loop_that_is_blocked(folder: Path, backend: str) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/blocking")) as client:
        client.send("go")
        program.line_with("it blocks")
        program.send(signal.SIGTERM)
        program.line_with("SIGTERM: the event loop is blocked; a second one ends it at once")
        program.send(signal.SIGINT)

        assert program.exit_code() == 128 + signal.SIGINT


def test_what_does_not_stop_is_ended_at_the_deadline(folder: Path, backend: str) -> None:
    script = f"""
        import herdwick.server.serving, shop
        herdwick.server.serving.run(shop.app, backend={backend!r}, port=0, stop_timeout=0.5)
    """
    write(folder, "script.py", script)
    with (
        running(["script.py"], folder) as program,
        connect(program.socket_url("/stubborn")) as client,
    ):
        client.send("go")
        program.line_with("it ignores all")
        program.send(signal.SIGTERM)

        assert program.exit_code() == 1
        assert "did not stop within 0.5 s" in program.told


def test_a_start_that_hangs_is_interrupted(tmp_path: Path, backend: str) -> None:
    source = """
        import sys
        import anyio
        from herdwick.websocket import Application

        app = Application()

        @app.lifespan
        async def around():
            print("starting", file=sys.stderr, flush=True)
            await anyio.sleep_forever()
            yield
    """
    write(tmp_path, "shop.py", source)
    with serving(tmp_path, backend) as program:
        program.line_with("starting")
        program.send(signal.SIGTERM)

        assert program.exit_code() == 0
        assert "Traceback" not in program.told


def test_a_start_that_fails_tells_where_in_the_source(tmp_path: Path, backend: str) -> None:
    source = """
        from herdwick.websocket import Application

        app = Application()

        @app.lifespan
        async def around():
            raise LookupError("no database")
            yield
    """
    write(tmp_path, "shop.py", source)
    with serving(tmp_path, backend) as program:
        assert program.exit_code() == 1
        assert "herdwick: error: the application failed: LookupError: no database" in program.told
        [_, place] = program.lines
        assert place.endswith('shop.py:8: raise LookupError("no database")')


def test_an_error_of_ours_at_the_start_stands_alone(tmp_path: Path, backend: str) -> None:
    source = """
        from herdwick import Application, Response, auth

        app = Application()

        @auth()
        @app.get("/secret")
        async def secret() -> Response:
            return Response(200)
    """
    write(tmp_path, "shop.py", source)
    with serving(tmp_path, backend) as program:
        assert program.exit_code() == 1

    [line] = program.lines
    assert line.startswith("herdwick: error: the application failed: shop.secret: it asks for auth")


def test_an_application_that_gives_up_ends_with_1(folder: Path, backend: str) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/break")) as client:
        code = closing(client)

        assert program.exit_code() == 1
    assert code == 1011
    assert program.told.count("the application gave up: ") == 1
    assert (folder / "left").exists()


def test_a_port_in_use_is_told_in_one_line(folder: Path, backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serving(folder, backend, "--port", port) as program:
            assert program.exit_code() == 2

    assert program.lines == [
        f"herdwick: error: port {port} on 127.0.0.1 is in use: stop the program that listens "
        "there, or choose another port (0 picks a free one)"
    ]


def test_a_drain_is_told_to_load_balancers(folder: Path, backend: str) -> None:
    with serving(folder, backend) as program, connect(program.socket_url("/slow-end")) as client:
        base = program.base_url

        def status(path: str) -> int:
            return httpx.get(base + path, trust_env=False).status_code  # a new TCP connection each

        before = status("/health/live"), status("/health/ready")
        program.send(signal.SIGTERM)
        code = closing(client)
        during = status("/health/live"), status("/health/ready")
        httpx.post(f"{base}/may-end", trust_env=False)

        assert program.exit_code() == 0
    assert (before, code, during) == ((200, 200), 1012, (200, 503))


def test_lines_of_json_and_an_access_log_are_written_where_they_are_asked_for(
    folder: Path, backend: str
) -> None:
    with serving(folder, backend, "--log-format", "json", "--access-log") as program:
        served = json.loads(program.line_with("serving on "))
        base = served["message"].split()[2]
        httpx.get(f"{base}/health/live?token=abc123", trust_env=False)
        with connect(f"{base.replace('http', 'ws', 1)}/echo?key=abc123"):
            program.send(signal.SIGTERM)
        assert program.exit_code() == 0

    lines = [json.loads(line) for line in program.lines]
    assert [line["kind"] for line in lines if line["logger"] == "herdwick.server"] == [
        "serving",
        "stopping",
        "stopped",
    ]
    told = [line for line in lines if line["logger"] == "herdwick.access"]
    assert [(line["method"], line["path"], line["status"]) for line in told] == [
        ("GET", "/health/live?token=[redacted]", 200),
        ("WebSocket", "/echo?key=[redacted]", 101),
    ]
    assert {line["peer"] for line in told} == {"127.0.0.1"}


def test_secrets_in_the_query_are_not_logged(folder: Path, backend: str) -> None:
    with serving(folder, backend, "--access-log") as program:
        query = "token=abc123&room=7&%6Bey=abc123"
        url = program.socket_url("/echo")
        httpx.get(f"{url.replace('ws', 'http', 1)}?{query}", trust_env=False)
        with connect(f"{url}?{query}"):
            program.send(signal.SIGTERM)
        assert program.exit_code() == 0

    assert "abc123" not in program.told
    assert program.told.count("token=[redacted]&room=7&%6Bey=[redacted]") == 2


def test_a_certificate_makes_it_wss(folder: Path, backend: str) -> None:
    certificate = folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    files = ["-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run([*make, *files], cwd=folder, check=True, capture_output=True)
    more = ["--ssl-certfile", "certificate.pem", "--ssl-keyfile", "key.pem"]
    context = ssl.create_default_context(cafile=str(certificate))

    with serving(folder, backend, *more) as program:
        url = program.socket_url("/echo")
        with connect(url, ssl=context, server_hostname="localhost") as client:
            client.send("hello")
            assert client.recv(timeout=20) == "hello"
            program.send(signal.SIGTERM)

            assert closing(client) == 1012
        assert program.exit_code() == 0
        assert url.startswith("wss://")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1, port 0: "):
        run(Application(), host="192.0.2.1", port=0, log_level=None)


def test_something_else_than_an_application_is_refused() -> None:
    with pytest.raises(NotAnApplication, match="app is a str, not a herdwick Application"):
        run(cast(Application, "main:app"))


def test_an_unknown_format_of_the_log_is_refused() -> None:
    with pytest.raises(ValueError, match="log_format is 'xml'; it must be 'text' or 'json'"):
        run(Application(), log_format="xml")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("after", [0, -1.0, float("nan"), float("inf")])
def test_a_time_to_be_blocked_that_is_none_is_refused(after: float) -> None:
    with pytest.raises(ValueError, match="it must be more than 0 seconds, or None"):
        run(Application(), blocked_after=after)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="it must be 'asyncio' or 'trio'"):
        run(Application(), backend="curio")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("port", ["80", 80.0, None, -1, 65536])
def test_a_port_that_is_none_is_refused(port: object) -> None:
    with pytest.raises(ValueError, match="it must be a whole number from 0 to 65535") as error:
        run(Application(), port=cast(int, port))

    assert str(error.value).startswith(f"port is {port!r}; ")
