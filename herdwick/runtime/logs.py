"""What becomes of each log line: no secrets, no line breaks, a bound on how often, and fields.

The filter stands on our loggers while a system runs, so it holds whatever handlers the program has
set. It changes records, never their template: who groups lines by it still can.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Generator, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import RLock
from typing import Final, NamedTuple, cast
from urllib.parse import unquote_plus

from .backend import Clock

LOGGERS: Final = (
    "herdwick",
    "herdwick.access",
    "herdwick.auth",
    "herdwick.rooms",
    "herdwick.runtime",
    "herdwick.server",
)
"""All of ours: a filter of a logger sees what is logged there, and nothing from those below it."""

ACCESS: Final = "herdwick.access"
"""The logger that has a line for each request, however many there are."""

FIELDS: Final = (
    "kind",
    "actor",
    "topic",
    "incarnation",
    "peer",
    "method",
    "path",
    "status",
    "code",
    "reason",
    "duration",
    "suppressed",
)
"""What a line may have beside its text, as attributes of its record."""

CONNECTIONS: Final = "root/connections/"
"""Where actors are of whom there are as many as peers want."""

SECRET_NAMES: Final = frozenset({"token", "access_token", "key", "auth", "sig", "code"})
"""Parameters whose values no line shows."""

LINE_PERIOD: Final = 1.0
"""Seconds within which a kind of line is written once."""

TRACEBACK_PERIOD: Final = 10.0
"""Seconds within which an error of one kind and one place shows its traceback once."""

FORGOTTEN_AT_ONCE: Final = 8
"""Kinds of lines that one more line has forgotten, and told of."""

MOST_CHARACTERS: Final = 2000
"""Of what one value adds to a line; more is cut off."""

# What may be a secret's name, and what parts it from its value; in a URL it may be percent-encoded,
# and the whole URL as well. No part is tried twice: no name holds what one may follow.
_NAME: Final = re.compile(
    r"(?:^|(?<=[?&;\s\"'({\[,])|(?<=%3[Ff])|(?<=%26))"
    r"((?:(?!%3[DdFf]|%26)[^=&;?\s\"'({\[,:\\])+)"
    r"(=|%3[Dd]|\\*[\"']\s*[:=]\s*|\s*:\s*|\s+=\s*(?=b?[\"']))"
)
_QUOTE: Final = re.compile(r"[(\[]?b?(\\*[\"'])")
_VALUE_END: Final = re.compile(r"[&\s]|\Z")
_ENCODED_VALUE_END: Final = re.compile(r"[&\s]|%26|\Z")
_CREDENTIAL: Final = re.compile(
    r"(\bbearer[ .]|\bauthorization\b(?:[:=]|\W{2,6})(?:\s|b['\"])?(?:(?:basic|digest) )?)"
    r"[\w.~+/=-]{8,}",
    re.IGNORECASE,
)
_UNSEEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls, line breaks, and what turns the direction of the text after it."""


def redacted(text: str) -> str:
    """Replace the values of parameters that are secrets by their names, and bearer tokens."""
    if "=" in text or ":" in text or "%3" in text:
        text = _without_values(text)
    return _CREDENTIAL.sub(r"\1[redacted]", text)


def _without_values(text: str) -> str:
    parts, at = list[str](), 0
    for name in _NAME.finditer(text):
        if name.start() >= at and _is_secret(name):
            begin, end = _value_of(name)
            parts += text[at:begin], "[redacted]"
            at = end
    return "".join((*parts, text[at:]))


def _is_secret(found: re.Match[str]) -> bool:
    """Tell names of secrets from words that a colon may follow: no secret is "code: 1008"."""
    name, follows = unquote_plus(found[1]).lower(), found[2].lstrip()
    return name in SECRET_NAMES and (name.endswith("token") or not follows.startswith(":"))


def _value_of(name: re.Match[str]) -> tuple[int, int]:
    """Give where the value begins and ends: at its quote, or, in a URL, with the parameter."""
    text, begin = name.string, name.end()
    in_url = text[max(0, name.start() - 1) : name.start()] in ("?", "&", ";")
    quote = None if in_url else _QUOTE.match(text, begin)
    if quote is not None:
        return quote.end(), _quoted_until(text, quote.end(), quote[1])
    end = _ENCODED_VALUE_END if name[2][0] == "%" else _VALUE_END
    found = end.search(text, begin)
    assert found is not None
    return begin, found.start()


def _quoted_until(text: str, begin: int, quote: str) -> int:
    """Find the quote that ends a value, and is no part of it."""
    end = text.find(quote, begin)
    while end > begin and text[end - 1] == "\\":
        end = text.find(quote, end + 1)
    return len(text) if end < 0 else end


def escaped(text: str) -> str:
    """Write control characters as Python would: a line stays one line."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def clean(value: object) -> str:
    """Give the text of a value as a line may show it: bounded, redacted, escaped."""
    try:
        text = str(value)
    except Exception:  # of a class of the user's
        text = f"<{type(value).__name__}: its text cannot be told>"
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}…"
    return escaped(redacted(text))


def clean_lines(text: str) -> str:
    """Clean a text of many lines and indent it: none of them looks like a line of the log."""
    return "\n".join(f"  {escaped(redacted(line))}" for line in text.splitlines())


class Kind(NamedTuple):
    """What makes a line the same as another."""

    logger: str
    level: int
    template: str
    error: Hashable
    """The class of the error that it is about, and the place that raised it."""
    fields: tuple[tuple[str, object], ...]
    """What it tells of itself, of what can have few values."""


@dataclass(slots=True)
class _Tally:
    again: float
    """When the next of it may pass."""
    held: int = 0
    """How many were held back since the last one that passed."""


class Quota:
    """Lets one of each kind pass within a period, and counts the others.

    It knows a bounded number of kinds; beyond, they count as one.

    Args:
        period: Seconds.
        most: Kinds that are known at a time.
    """

    def __init__(self, period: float, most: int = 1000) -> None:
        self._period = period
        self._most = most
        self._kinds: dict[Hashable, _Tally] = {}
        """Those that passed longest ago first."""

    def __len__(self) -> int:
        return len(self._kinds)

    def take(self, kind: Hashable, now: float) -> int | None:
        """Give how many were held back since the last that passed; None to hold this one back."""
        if kind not in self._kinds and len(self._kinds) >= self._most:
            kind = None
        found = self._kinds.get(kind)
        if found is not None and now < found.again:
            found.held += 1
            return None
        self._kinds.pop(kind, None)
        self._kinds[kind] = _Tally(now + self._period)
        return 0 if found is None else found.held

    def forget(self, now: float, but: Hashable) -> Iterator[tuple[Hashable, int]]:
        """Forget a few kinds `but` one that are long over, and yield how many were held back.

        Long is two periods since the last that passed. Each call forgets more than `take` adds.
        """
        for kind, tally in list(islice(self._kinds.items(), FORGOTTEN_AT_ONCE)):
            if now < tally.again + self._period:
                return
            if kind == but:
                continue
            del self._kinds[kind]
            if tally.held:
                yield kind, tally.held

    def held_back(self) -> Iterator[tuple[Hashable, int]]:
        """Yield the kinds of which some were held back, and how many."""
        yield from ((kind, each.held) for kind, each in self._kinds.items() if each.held)


class _Clean(tuple[object, ...]):
    """The arguments of a record that a filter has decided on: the first one does, for all.

    No attribute of the record's, for there are formatters that write all that they find.
    """


class LogFilter(logging.Filter):
    """Decides which records of the loggers that it stands on pass, and cleans them.

    One line of a `Kind` passes each second; the next one says how many there were between, and
    where none follows, one of another kind has that told. An error's traceback passes once in 10
    seconds for the same error at the same place. Safe from any thread.

    Args:
        clock: What tells the time, in seconds.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._lines = Quota(LINE_PERIOD)
        self._tracebacks = Quota(TRACEBACK_PERIOD)
        self._lock = RLock()  # the collector may run code of the user's within it

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record, or hold it back."""
        if isinstance(record.args, _Clean):
            return True
        if record.name != ACCESS and not self._admit(record):
            return False
        clean_record(record)
        return True

    def _admit(self, record: logging.LogRecord) -> bool:
        kind, now = _kind_of(record), self._clock()
        with self._lock:
            left = list(self._lines.forget(now, kind))
            held = self._lines.take(kind, now)
            if kind.error is not None:
                list(self._tracebacks.forget(now, kind.error))
                if held is not None and self._tracebacks.take(kind.error, now) is None:
                    record.exc_info = None
        for each, number in left:
            _sum_up(each, number)
        if held:
            _tell_suppressed(record, held)
        return held is not None

    @contextmanager
    def standing(self, loggers: Iterable[str] = LOGGERS) -> Generator[None]:
        """Stand on loggers inside of the block; at its end, log what nobody has been told of."""
        names = tuple(loggers)
        for name in names:
            logging.getLogger(name).addFilter(self)
        try:
            yield
        finally:
            for name in names:
                logging.getLogger(name).removeFilter(self)
            with self._lock:
                left = list(self._lines.held_back())
                self._lines = Quota(LINE_PERIOD)
            for kind, held in left:
                _sum_up(kind, held)


def _kind_of(record: logging.LogRecord) -> Kind:
    error = record.exc_info[1] if record.exc_info else None
    signature = None if error is None else signature_of(error)
    told = record.__dict__
    names = ["kind"]
    if record.levelno >= logging.INFO:  # below, peers choose the code
        names += "status", "code"
    if record.levelno >= logging.WARNING and not str(told.get("actor")).startswith(CONNECTIONS):
        names.append("actor")
    fields = tuple((name, _clean_value(told[name])) for name in names if name in told)
    return Kind(record.name, record.levelno, str(record.msg)[:MOST_CHARACTERS], signature, fields)


def _sum_up(kind: Hashable, held: int) -> None:
    """Tell how many lines of a kind nobody has been told of; no filter holds that back."""
    if not isinstance(kind, Kind):
        kind = Kind("herdwick", logging.WARNING, "lines of many kinds", None, ())
    name, level = kind.logger, kind.level
    owner = logging.getLogger(name)
    if owner.isEnabledFor(level):
        told = dict(kind.fields) | {"kind": "suppressed", "suppressed": held}
        text = f"not logged: {clean(kind.template)}; suppressed={held}"
        owner.handle(owner.makeRecord(name, level, __file__, 0, text, _Clean(), None, extra=told))


def clean_record(record: logging.LogRecord) -> None:
    """Clean all that a record shows: its values, its fields, its traceback, its stack."""
    if isinstance(record.args, tuple) and record.args:
        record.args = _Clean(_clean_value(each) for each in record.args)
    else:
        record.msg, record.args = clean(record.getMessage().rstrip("\n")), _Clean()
    for name in FIELDS:
        if name in record.__dict__:
            record.__dict__[name] = _clean_value(record.__dict__[name])
    if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
        record.exc_text = clean_lines("".join(traceback.format_exception(record.exc_info[1])))
    stack = record.__dict__.pop("stack", None)
    if stack:
        record.stack_info = clean_lines(str(stack))


def signature_of(error: BaseException) -> Hashable:
    """Tell what makes an error the same as another: its class, and the place that raised it.

    A group is as its first error is: all groups come from one place of the library.
    """
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    place, step = None, error.__traceback__
    while step is not None:
        place, step = (step.tb_frame.f_code.co_filename, step.tb_lineno), step.tb_next
    return type(error).__module__, type(error).__qualname__, place


def _clean_value(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else clean(value)


def _tell_suppressed(record: logging.LogRecord, held: int) -> None:
    record.__dict__["suppressed"] = held
    if isinstance(record.args, tuple) and record.args:
        record.msg, record.args = f"{record.msg} suppressed=%d", (*record.args, held)
    else:
        record.msg = f"{str(record.msg).rstrip()} suppressed={held}"
