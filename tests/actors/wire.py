"""A wire that says everything in plain words."""

from herdwick.actors import (
    Data,
    GapReason,
    Greeting,
    Left,
    Position,
    PresenceDiff,
)


class TextWire:
    """Encodes with `str`, and notes what it has encoded; the variant `loud` shouts."""

    encoding = "text"

    def __init__(self, *, variant: str = "text", tells_gaps: bool = True) -> None:
        self.variant = variant
        self.tells_gaps = tells_gaps
        self.encoded: list[object] = []

    def encode(self, payload: object) -> Data:
        if isinstance(payload, type):
            raise TypeError(f"{payload.__name__} is a class")
        self.encoded.append(payload)
        return str(payload)

    def greeting(self, topic: str, greeting: Greeting) -> Data | None:
        return f"welcome to {topic} at {_offset(greeting.position)}"

    def publication(self, topic: str, encoded: Data, position: Position | None) -> Data | None:
        text = f"{topic}: {encoded!s}"
        return f"{topic}: {str(encoded).upper()}" if self.variant == "loud" else text

    def moved(self, topic: str, position: Position) -> Data | None:
        return f"{topic} is at {position.offset}"

    def gap(self, topic: str, reason: GapReason, position: Position | None) -> Data | None:
        return f"{topic} has a gap before {_offset(position)}: {reason}"

    def presence(self, topic: str, diff: PresenceDiff) -> Data | None:
        return f"{topic}: +{len(diff.joins)} -{len(diff.leaves)}"

    def left(self, topic: str, left: Left, retry_after: float | None) -> Data | None:
        return f"out of {topic}: {left.kind}"


def _offset(position: Position | None) -> int | None:
    return None if position is None else position.offset
