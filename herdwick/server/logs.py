"""Log lines: plain, and without the secrets that clients put into query strings."""

import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote_plus

Level: TypeAlias = Literal["critical", "error", "warning", "info", "debug"]

LINE: Final = "%(asctime)s %(levelname)-8s %(message)s"
SECRET_NAMES: Final = frozenset({"token", "access_token", "key", "auth", "sig", "code"})

_ROOTS: Final = ("herdwick", "uvicorn")
# A filter of a logger sees what is logged there, and nothing from the loggers below.
_SOURCES: Final = (
    "herdwick",
    "herdwick.auth",
    "herdwick.runtime",
    "herdwick.server",
    "uvicorn.access",
    "uvicorn.error",
)
_PARAMETER: Final = re.compile(r"(?<=[?&;])([^=&;\s\"]+)=([^&;\s\"]+)")


def redacted(text: str) -> str:
    """Replace the values of parameters that are secrets by their names."""
    return _PARAMETER.sub(_redacted, text) if "=" in text else text


def _redacted(parameter: re.Match[str]) -> str:
    name = parameter[1]
    secret = unquote_plus(name).lower() in SECRET_NAMES
    return f"{name}=[redacted]" if secret else parameter[0]


def redact_record(record: logging.LogRecord) -> bool:
    """Redact a record's texts; a filter that lets everything pass."""
    if isinstance(record.args, tuple) and record.args:
        args = (redacted(each) if isinstance(each, str) else each for each in record.args)
        record.args = tuple(args)
    elif not record.args and isinstance(record.msg, str):
        record.msg = redacted(record.msg)
    return True


@contextmanager
def log_lines(level: Level | None) -> Generator[None]:
    """Write what herdwick and uvicorn log to stderr, inside of the block, and redact it.

    None writes nothing, and leaves that to the program; what it gets is redacted too.
    """
    sources = [logging.getLogger(name) for name in _SOURCES]
    for source in sources:
        source.addFilter(redact_record)
    try:
        if level is None:
            yield
        else:
            with _written(getattr(logging, level.upper())):
                yield
    finally:
        for source in sources:
            source.removeFilter(redact_record)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn tells of its own start and stop: we have told it already."""
    told = record.name == "uvicorn.error" and record.module == "server"
    return not told or record.levelno > logging.INFO


@contextmanager
def _written(level: int) -> Generator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LINE))
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
