"""The `herdwick` command in its own process: mistakes cost one line and exit code 2."""

import socket
from pathlib import Path

import pytest

from herdwick.server.command import main
from tests.server.commands import Running, herdwick, running, write

pytestmark = pytest.mark.heavy  # each test starts a program

PLAIN = """
    from herdwick.websocket import Application

    app = Application()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "shop.py", PLAIN)
    return tmp_path


def mistake(program: Running) -> str:
    """Give the one line that a mistake is told in."""
    assert program.exit_code() == 2, program.told
    [line] = program.lines
    return line.removeprefix("herdwick: error: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shop"], "'shop' names no application: write shop:app"),
        (["store:app"], "there is no module 'store' in "),
        (["shop:ap"], "module 'shop' has no attribute 'ap'; did you mean 'app'?"),
        (["shop:Application"], "shop:Application is the class Application, not a herdwick"),
        (
            ["shop:app", "--ssl-certfile", "none.pem"],
            "cannot use the certificate none.pem: no such",
        ),
        (["shop:app", "--ssl-keyfile", "key.pem"], "cannot use the key key.pem: its certificate"),
        (["shop:app", "--ssl-certfile", "shop.py"], "cannot use the certificate shop.py: "),
        (["shop:app", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1, port 0: "),
    ],
)
def test_a_mistake_is_told_in_one_line(folder: Path, arguments: list[str], sentence: str) -> None:
    with herdwick(folder, *arguments) as program:
        assert mistake(program).startswith(sentence)


def test_the_application_directory_can_be_elsewhere(folder: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()

    with herdwick(inner, "shop:app", "--app-dir", "..") as program:
        assert program.url().startswith("http://127.0.0.1:")


def test_reload_without_watchfiles_names_the_extra(folder: Path) -> None:
    command = ["-m", "herdwick", "run", "shop:app", "--reload"]

    with running(command, folder, without=["watchfiles"]) as program:
        line = mistake(program)

    assert line == "--reload needs the package watchfiles: `pip install 'herdwick[reload]'`"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["run", "shop:app", "--port", "65536"],
        ["run", "shop:app", "--port", "http"],
        ["run", "shop:app", "--backend", "curio"],
        ["run", "shop:app", "--app-dir", "/nowhere/at/all"],
    ],
)
def test_wrong_arguments_end_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "0", "-1", ""])
def test_a_stop_timeout_that_is_no_time_is_told(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "shop:app", f"--stop-timeout={text}"])

    assert ended.value.code == 2
    sentence = f"{text!r} is no time; give a number of seconds above 0\n"
    assert capsys.readouterr().err.endswith(f"argument --stop-timeout: {sentence}")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("herdwick ")


def test_a_port_in_use_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with herdwick(folder, "shop:app", "--port", port) as program:
            assert mistake(program).startswith(f"port {port} on 127.0.0.1 is in use: ")
