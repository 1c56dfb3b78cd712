"""Every regular expression of ours, and every parser, against texts that make slow ones endless.

Started by `test_work` in a process of its own: a regular expression cannot be interrupted.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import herdwick
from tests.fuzz.targets import TARGETS

LENGTH = 50_000
"""Characters: what takes a step for each is through in a moment, what takes a step for each pair
of them takes minutes."""

PIECES = ("a", "0", " ", "?", "=", ";", "&", ":", "/", "%", "{}", "é", "a=", "a: a\r\n", "?a")
STARTS = ("", "?a=", "GET /", "a:")
ENDS = ("\x00", "=")


def expressions() -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    """Give each compiled expression of the package, by where it stands."""
    for module in pkgutil.walk_packages(herdwick.__path__, "herdwick."):
        if not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}.{name}", value


def is_searched_for(name: str) -> bool:
    """Tell whether an expression is tried at each place of a text, not only at its beginning."""
    module, _, own = name.rpartition(".")
    source = inspect.getsource(importlib.import_module(module))
    return any(f"{own}.{method}(" in source for method in ("search", "sub", "finditer"))


def texts() -> Iterator[str]:
    """Give long texts of one piece, with one start and another."""
    for piece, start, end in product(PIECES, STARTS, ENDS):
        yield start + piece * (LENGTH // len(piece)) + end


def main() -> None:
    """Try all of them, and tell each before it is tried."""
    hostile = list(texts())
    for name, pattern in expressions():
        print(name, flush=True)
        is_text, searches = isinstance(pattern.pattern, str), is_searched_for(name)
        for text in hostile:
            given: Any = text if is_text else text.encode()
            pattern.match(given)
            pattern.fullmatch(given)
            if searches:
                pattern.sub("" if is_text else b"", given)
    for name, subject in TARGETS.items():
        print(name, flush=True)
        for text in hostile[::2]:
            subject.parse(b"\xff" + text.encode())


if __name__ == "__main__":
    main()
