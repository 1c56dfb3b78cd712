"""How members hear of a topic: what a publication, a gap or an end is on their connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .left import Left
from .log import GapReason, Position
from .presence import PresenceDiff, Present
from .transport import Data


@dataclass(frozen=True, slots=True)
class Greeting:
    """What somebody hears who has joined, before all else."""

    value: object
    """What the room's `on_join` has returned."""

    position: Position | None
    """Where what follows begins; None where nothing is recorded."""

    recovered: bool
    """Whether all that was missed follows."""

    gap: GapReason | None
    """Why not, where a position was asked for."""

    presence: Present | None
    """Who is present; None where the topic does not tell."""


class Wire(Protocol):
    """The words that one connection has for what happens on a topic.

    Each method gives the message that says it, or None where the wire has none. A plain route
    carries payloads and nothing else; a protocol has an envelope, with positions and notices.
    """

    @property
    def encoding(self) -> str:
        """How payloads are encoded: equal for wires that encode them alike."""
        ...

    @property
    def variant(self) -> str:
        """How publications are framed: equal for wires that frame them alike."""
        ...

    @property
    def tells_gaps(self) -> bool:
        """Whether it has a word for what is missing."""
        ...

    def encode(self, payload: object) -> Data:
        """Encode a payload."""
        ...

    def greeting(self, topic: str, greeting: Greeting) -> Data | None:
        """Say that the membership has begun."""
        ...

    def publication(self, topic: str, encoded: Data, position: Position | None) -> Data | None:
        """Tell of a publication."""
        ...

    def moved(self, topic: str, position: Position) -> Data | None:
        """Say that what stands at a position was for others."""
        ...

    def gap(self, topic: str, reason: GapReason, position: Position | None) -> Data | None:
        """Say that publications are missing before what comes next."""
        ...

    def presence(self, topic: str, diff: PresenceDiff) -> Data | None:
        """Tell who has come and who has gone."""
        ...

    def left(self, topic: str, left: Left, retry_after: float | None) -> Data | None:
        """Say that the server has ended the membership; None: the connection is to be closed."""
        ...
