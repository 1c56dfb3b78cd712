"""The `herdwick` command as a process of its own, with the output that it has written."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which a process that should have ended is a failure of the test."""

BLOCKER = """
    import sys

    for name in {names}:
        sys.modules[name] = None
"""


@dataclass
class Running:
    """A running command, and its lines so far."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list[str])

    def line_with(self, text: str) -> str:
        """Read up to the first line that contains a text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"no line with {text!r} in:\n{self.told}")

    def url(self) -> str:
        """Wait until it serves, and give its base URL."""
        self.line_with("serving on ")
        return self.base_url

    @property
    def base_url(self) -> str:
        """Its base URL, once it serves; the newest, where it was started again."""
        *_, line = [line for line in self.lines if "serving on " in line]
        return line.split("serving on ")[1].split()[0]

    def socket_url(self, path: str = "/") -> str:
        return self.url().replace("http", "ws", 1) + path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Read the rest, and wait for the end."""
        _, rest = self.process.communicate(timeout=PATIENCE)
        self.lines += rest.splitlines()
        return self.process.returncode

    @property
    def told(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def running(
    command: Sequence[str], folder: Path, *, without: Sequence[str] = ()
) -> Generator[Running, None, None]:
    """Run Python with these arguments in a folder; what still runs at the end is killed.

    It cannot import the packages of `without`.
    """
    blocker = folder / "blocker"
    blocker.mkdir(exist_ok=True)
    write(blocker, "sitecustomize.py", BLOCKER.format(names=list(without)))
    path = os.pathsep.join([str(blocker), str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def herdwick(
    folder: Path, *arguments: str, without: Sequence[str] = ()
) -> Generator[Running, None, None]:
    """Run `herdwick run`, on a free port where no other is given."""
    command = ["-m", "herdwick", "run", "--port", "0", *arguments]
    with running(command, folder, without=without) as program:
        yield program


def write(folder: Path, name: str, source: str) -> None:
    """Write a module."""
    (folder / name).write_text(dedent(source))
