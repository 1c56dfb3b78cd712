"""How log lines are written, for those who leave that to us: as text, or as JSON."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec

from herdwick.runtime import FIELDS, LOGGERS, LogFilter

Level: TypeAlias = Literal["critical", "error", "warning", "info", "debug"]
LogFormat: TypeAlias = Literal["text", "json"]

LINE: Final = "%(asctime)s %(levelname)-8s %(message)s"

_ROOTS: Final = ("herdwick", "uvicorn")
_CLIENTS_FAULTS: Final = ("Invalid HTTP request", "Unsupported upgrade request")
"""How uvicorn begins its warnings of what a client did."""


class JSONFormatter(logging.Formatter):
    """Writes each record as one JSON object on one line.

    It has `time` (UTC), `level`, `logger`, `message`, what the record has of `FIELDS`, and where
    there are any, `traceback` and `stack`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        if record.exc_info:
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return msgspec.json.encode(line, enc_hook=str).decode()


@contextmanager
def log_lines(
    level: Level | None, form: LogFormat = "text", *, access_log: bool = False
) -> Generator[None]:
    """Write what herdwick and uvicorn log to stderr, inside of the block.

    None writes nothing, and leaves that to the program. What it gets is as clean, and as seldom.
    """
    written = nullcontext() if level is None else _written(getattr(logging, level.upper()), form)
    with (
        written,
        _access_log(on=access_log),
        _demoted(),
        LogFilter(time.monotonic).standing((*LOGGERS, "uvicorn.access", "uvicorn.error")),
    ):
        yield


@contextmanager
def _access_log(*, on: bool) -> Generator[None]:
    """Turn ours on or leave it as it is, and uvicorn's off: it has no WebSockets in it.

    Its own option would mute the logger for the rest of the process.
    """
    ours, uvicorns = logging.getLogger("herdwick.access"), logging.getLogger("uvicorn.access")
    before = ours.level, uvicorns.level
    uvicorns.setLevel(logging.WARNING)
    if on:
        ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(before[0])
        uvicorns.setLevel(before[1])


@contextmanager
def _demoted() -> Generator[None]:
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.addFilter(_demote)
    try:
        yield
    finally:
        uvicorn.removeFilter(_demote)


def _demote(record: logging.LogRecord) -> bool:
    """Let what a client did be news at most, as ours is."""
    if record.levelno == logging.WARNING and str(record.msg).startswith(_CLIENTS_FAULTS):
        record.levelno, record.levelname = logging.INFO, "INFO"
    return record.levelno >= logging.getLogger(record.name).getEffectiveLevel()


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn tells of its own start and stop: we have told it already."""
    told = record.name == "uvicorn.error" and record.module == "server"
    return not told or record.levelno > logging.INFO


@contextmanager
def _written(level: int, form: LogFormat) -> Generator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter() if form == "json" else logging.Formatter(LINE))
    handler.addFilter(_is_news)
    roots = [logging.getLogger(name) for name in _ROOTS]
    before = [(root.level, root.propagate) for root in roots]
    for root in roots:
        root.addHandler(handler)
        root.propagate = False
    # On debug, uvicorn logs whole messages and headers: credentials and all.
    for root, its_level in zip(roots, (level, max(level, logging.INFO)), strict=True):
        root.setLevel(its_level)
    try:
        yield
    finally:
        for root, (root.level, root.propagate) in zip(roots, before, strict=True):
            root.removeHandler(handler)
