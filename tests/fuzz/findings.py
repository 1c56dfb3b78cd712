"""What broke a parser once, and breaks it no more: the target, and the bytes."""

from typing import Final

FINDINGS: Final[list[tuple[str, bytes]]] = [
    ("log_line", b"/?x=" + b"?" * 50_000),  # a minute and more for one line
]
