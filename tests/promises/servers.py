"""The application as a process, by each way to serve it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from tests.promises.crowd import PATIENCE
from tests.promises.holdings import Holdings

ROOT: Final = Path(__file__).parents[2]
SITE: Final = "tests.promises.site:app"

RUN: Final = ("herdwick", "run", SITE, "--port", "0", "--log-level", "info")
PROGRAM: Final = """
import anyio, herdwick, signal
from tests.promises.site import app

{body}
"""
OWN: Final = """
async def main():
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with herdwick.serve(app) as url:
            print("serving on", url, flush=True)
            async for _ in signals:
                break

anyio.run(main)
"""

SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "asyncio": ("-m", *RUN),
    "trio": ("-m", *RUN, "--backend", "trio"),
    "program, asyncio": ("-c", PROGRAM.format(body="herdwick.run(app, port=0)")),
    "program, trio": ("-c", PROGRAM.format(body="herdwick.run(app, port=0, backend='trio')")),
    "own listener, asyncio": ("-c", PROGRAM.format(body=OWN)),
    "uvicorn, our classes": (
        *("-m", "uvicorn", SITE, "--port", "0", "--log-level", "info", "--no-access-log"),
        *("--http", "herdwick.server.uvicorn:entrance"),
        *("--ws", "herdwick.server.uvicorn:websocket"),
    ),
}
"""What Python is started with for each."""


class Server:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        self.port = 0

    @property
    def told(self) -> str:
        """All that it has written so far."""
        return Path(self._log.name).read_text(errors="replace")

    def wait_until_it_serves(self) -> None:
        """Wait for its line that tells the port."""
        deadline = time.monotonic() + PATIENCE
        while not self.port:
            assert self._process.poll() is None, f"the server has ended:\n{self.told}"
            assert time.monotonic() < deadline, f"the server does not serve:\n{self.told}"
            for line in self.told.splitlines():
                address = line.rpartition("http://127.0.0.1:")[2].split()[0:1]
                if address and address[0].isdigit():
                    self.port = int(address[0])
            time.sleep(0.02)

    # ------------------------------------------------------------------ what it tells

    def ask(self, path: str, *, order: bool = False) -> Any:
        """Ask it by HTTP; with `order`, by POST."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, method="POST" if order else "GET")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return msgspec.json.decode(answer.read())

    def holdings(self) -> Holdings:
        """Tell what it holds."""
        return msgspec.convert(self.ask("/holdings"), Holdings)

    @property
    def most_mib(self) -> float:
        """The most resident memory that it has ever had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return float(status.partition("VmHWM:")[2].split()[0]) / 1024

    @property
    def answered(self) -> dict[str, int]:
        """How many messages it has answered, by client; it tells that in the end."""
        [line] = [line for line in self.told.splitlines() if line.startswith("answered {")]
        return msgspec.json.decode(line.removeprefix("answered "), type=dict[str, int])

    # ------------------------------------------------------------------ its end

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def exit_code(self) -> int:
        """Wait for its end."""
        return self._process.wait(PATIENCE)


@contextmanager
def serving(name: str, **settings: str) -> Generator[Server]:
    """Serve the application in one of the ways; the process does not outlive the block.

    `settings` are more of the environment.
    """
    with tempfile.NamedTemporaryFile(prefix="herdwick-") as log:
        process = subprocess.Popen(
            [sys.executable, *SERVERS[name]],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            server = Server(process, log)
            server.wait_until_it_serves()
            yield server
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
