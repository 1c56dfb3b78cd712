"""`--reload`: the application in a process of its own, made anew when its source changes."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

STOP_TIMEOUT: Final = 35.0
"""Seconds after which a process is killed; it gives up by itself after 30."""


class MissingExtra(ImportError):
    """What is asked for needs a package that is not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package}: `pip install 'herdwick[{extra}]'`",
            name=package,
        )
        self.extra = extra


class Reloader:
    """Keeps a command running, and starts it anew, gracefully, when Python files change.

    The process takes its orders from here alone: it must ignore SIGINT, which a terminal sends
    to both.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._command = command
        self._directory = directory
        self._changes = _watcher()
        self._stop = Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Run until SIGINT or SIGTERM; a second one ends the process at once."""
        before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        for each in before:
            signal.signal(each, self._receive)
        try:
            self._start()
            for paths in self._changes(self._directory, self._stop):
                _tell(f"{', '.join(paths)} changed: restarting")
                self._end()
                if not self._stop.is_set():
                    self._start()
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command)  # noqa: S603 - our own command again

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._stop.is_set() and self._process is not None:
            self._process.terminate()  # for the second time
        self._stop.set()


def _watcher() -> Callable[[Path, Event], Iterator[list[str]]]:
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as error:
        raise MissingExtra("--reload", "watchfiles", "reload") from error

    def changes(directory: Path, stop: Event) -> Iterator[list[str]]:
        for found in watch(directory, watch_filter=PythonFilter(), stop_event=stop):
            yield sorted(path for _, path in found)

    return changes


def _tell(text: str) -> None:
    print(f"herdwick: {text}", file=sys.stderr, flush=True)
