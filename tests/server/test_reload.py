"""`--reload`: the source changes, and the application comes back changed."""

import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.server.commands import herdwick, write

pytestmark = pytest.mark.heavy

SOURCE = """
    from herdwick.websocket import Application, WebSocket

    app = Application()

    @app.ws("/")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("{greeting}")
        await websocket.wait_closed()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_change_restarts_gracefully(tmp_path: Path, backend: str, number: signal.Signals) -> None:
    write(tmp_path, "shop.py", SOURCE.format(greeting="hello"))
    with herdwick(tmp_path, "shop:app", "--backend", backend, "--reload") as program:
        with connect(program.socket_url()) as client:
            before = client.recv(timeout=20)
            write(tmp_path, "shop.py", SOURCE.format(greeting="welcome back"))
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(timeout=20)
        with connect(program.socket_url()) as client:
            after = client.recv(timeout=20)
            program.send(number)
            with pytest.raises(ConnectionClosed) as stopped:
                client.recv(timeout=20)

        assert program.exit_code() == 0
    assert (before, after) == ("hello", "welcome back")
    for end in (ended, stopped):
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1012


def test_source_that_does_not_work_is_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "shop.py", "import missing_thing\n")
    with herdwick(tmp_path, "shop:app", "--reload") as program:
        program.line_with("importing 'shop' failed")
        write(tmp_path, "shop.py", SOURCE.format(greeting="hello"))

        assert program.url().startswith("http://")
        program.send(signal.SIGTERM)
        assert program.exit_code() == 0
