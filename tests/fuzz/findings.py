"""What `make fuzz` has found, and does not find any more: the target, and the bytes."""

from typing import Final

FINDINGS: Final[list[tuple[str, bytes]]] = []
