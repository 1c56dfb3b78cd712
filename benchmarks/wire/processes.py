"""A server and the generator, as processes on cores of their own that do not outlive us."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

SOURCES: Final = Path(__file__).with_name("generator")
ROOT: Final = Path(__file__).parents[2]

START: Final = 30.0
"""Seconds that a server has to listen."""


class NoCompiler(RuntimeError):
    """There is nothing to compile the load generator with."""

    def __init__(self) -> None:
        super().__init__(
            "the load generator is in C, and gcc is missing: `apt-get install gcc libc6-dev`"
        )


class Failed(RuntimeError):
    """A server or the generator did not do what it should."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the processes run: None is anywhere."""

    server: int | None
    generator: int | None

    @classmethod
    def of_this_machine(cls) -> Self:
        """Give one each, where there are two."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[-1]) if len(cores) > 1 else cls(None, None)


def build_generator(folder: Path) -> Path:
    """Compile the generator, and give its path.

    Raises:
        NoCompiler: There is no gcc.
        subprocess.CalledProcessError: It does not compile; gcc has said why.
    """
    gcc = shutil.which("gcc")
    if gcc is None:
        raise NoCompiler
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "generator"
    options = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"]
    sources = sorted(map(str, SOURCES.glob("*.c")))
    subprocess.run([gcc, *options, "-o", str(program), *sources], check=True, timeout=60)
    return program


class Server:
    """A server's process, and what it has cost."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.pid = process.pid
        self.port = port

    def cpu(self) -> float:
        """Give the seconds of CPU time that it has taken, all its threads together."""
        # The clock of another process, as clock_getcpuclockid(3) computes its number.
        return time.clock_gettime((~self.pid << 3) | 2)

    def kib(self) -> float:
        """Give its resident memory."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1024

    def most_kib(self) -> float:
        """Give the most resident memory that it has ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        _, _, rest = status.partition("VmHWM:")
        return float(rest.split()[0])


@contextmanager
def serving(command: Sequence[str], port: int, core: int | None, log: Path) -> Generator[Server]:
    """Run a server from the moment that it listens until the end of the block.

    Raises:
        Failed: It does not listen in time.
    """
    with log.open("wb") as output, _running(command, core, output, output) as process:
        deadline = time.monotonic() + START
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the server does not listen: {_last_line(log)}")
            time.sleep(0.02)
        yield Server(process, port)


class Load:
    """The generator's process, once its clients are connected and have warmed up."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._expect(b"READY")

    def run(self) -> dict[str, float]:
        """Let it send, and give its figures; its clients stay connected.

        Raises:
            Failed: Something did not come back, or not as it should, or out of order.
        """
        self._tell()
        figures: dict[str, float] = json.loads(self._expect(b"{"))
        if error := figures.pop("error", None):
            raise Failed(str(error))
        return figures

    def _tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def _expect(self, start: bytes) -> bytes:
        """Read a line. The generator's alarm bounds how long this may take."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line.startswith(start):
            said = self._process.stderr.read().decode().strip().replace("\n", "; ")
            raise Failed(said or "the generator died")
        return line


@contextmanager
def loading(command: Sequence[str], core: int | None) -> Generator[Load]:
    """Run the generator from the moment that it is ready until the end of the block."""
    with _running(command, core, subprocess.PIPE, subprocess.PIPE) as process:
        yield Load(process)


@contextmanager
def _running(
    command: Sequence[str], core: int | None, output: IO[bytes] | int, errors: IO[bytes] | int
) -> Generator[subprocess.Popen[bytes]]:
    # It is killed with us, too, where even we are killed.
    bound = ["setpriv", "--pdeathsig", "KILL", *command]
    process = subprocess.Popen(bound, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=errors)
    with process:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it has said nothing"
