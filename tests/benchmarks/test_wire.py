"""The benchmark over the wire runs and writes its figures, and refuses what was done wrong."""

import json
import socket
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.wire.contestants import RAW
from benchmarks.wire.processes import (
    Failed,
    NoCompiler,
    Server,
    build_generator,
    free_port,
    loading,
    serving,
)
from benchmarks.wire.workloads import WORKLOADS
from tests.support.programs import missing_program

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build_generator(tmp_path_factory.mktemp("generator"))
    except NoCompiler:
        missing_program("gcc", "`apt-get install gcc libc6-dev`")


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.liar:app", "--lifespan", "off"]
    log = tmp_path_factory.mktemp("liar") / "log.txt"
    with serving([*command, "--port", str(port)], port, None, log) as server:
        yield server


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("generator")
def test_the_quick_benchmark_writes_every_figure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.wire", "--quick", "--contestant", "herdwick"]
    command += ["--seconds", "0.1", "--out", str(tmp_path)]

    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    measured = json.loads((tmp_path / "figures.json").read_text())["measured"]
    assert {(each["contestant"], each["workload"]["name"]) for each in measured} == {
        (name, workload.name) for name in (RAW, "herdwick") for workload in WORKLOADS
    }
    assert all(each["figures"]["cost"] > 0 for each in measured)
    assert (tmp_path / "report.md").read_text() in printed


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("echo --path /refused", "the upgrade was refused"),
        ("echo --path /altered", "an echo is wrong, or out of order"),
        ("echo --path /bytes", "the opcode is wrong"),
        ("echo --path /swapped --window 2", "an echo is wrong, or out of order"),
        ("echo --path /twice", "an echo is wrong, or out of order"),
        ("echo --path /lost", "messages were lost"),
        ("echo --path /closed", "the server closed"),
        ("idle --path /closed", "the server closed"),
        ("fanout --path /room --publish /differing", "a copy of a broadcast differs"),
        ("fanout --path /room --publish /forgotten", "messages were lost"),
    ],
)
def test_a_wrong_answer_is_refused(
    arguments: str, reason: str, generator: Path, liar: Server
) -> None:
    command = [str(generator), *arguments.split(), "--connections", "3", "--seconds", "0.1"]

    with pytest.raises(Failed, match=reason), loading([*command, "--port", str(liar.port)], None):
        pass


@pytest.mark.heavy
def test_a_wrong_accept_key_is_refused(generator: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(10)
        command = [str(generator), "echo", "--connections", "1"]
        command += ["--port", str(server.getsockname()[1])]
        answering = pool.submit(answer_with_another_key, server)

        with pytest.raises(Failed, match="the accept key is wrong"), loading(command, None):
            pass

        answering.result()


def answer_with_another_key(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n")


def test_a_server_that_does_not_start_is_told_of_by_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such app')"]

    with (
        pytest.raises(Failed, match="does not listen: no such app"),
        serving(command, free_port(), None, tmp_path / "log.txt"),
    ):
        pass


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(NoCompiler, match="apt-get install gcc"):
        build_generator(tmp_path)
