"""What a member is told of its topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, overload

import msgspec

T = TypeVar("T")

GapReason: TypeAlias = Literal["history", "epoch", "slow", "conflated", "unrecorded"]
"""Why publications are missing.

history: the server's record reaches back no further; epoch: it began anew; conflated: only the
newest of each key was kept; slow: the server, or this client, had to leave some out, for they were
not read in time; unrecorded: the topic records nothing, and the connection was lost meanwhile.
"""

Metas: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Who is present: by key, what is known of each of its connections, by that one's reference."""


@dataclass(frozen=True, slots=True)
class Message:
    """What was broadcast to the topic, or sent to this member."""

    __match_args__ = ("payload", "position")

    raw: msgspec.Raw
    """The payload as it came, in JSON."""

    position: str | None = None
    """Resume from here, once it is dealt with; None where it was not recorded."""

    @property
    def payload(self) -> Any:
        """The payload decoded from JSON, anew each time."""
        return msgspec.json.decode(self.raw)

    @overload
    def decode(self, type: type[T]) -> T: ...
    @overload
    def decode(self, type: Any) -> Any: ...
    def decode(self, type: Any) -> Any:
        """Decode the payload to this type, or to one of a union of types.

        Raises:
            msgspec.MsgspecError: It does not fit.
        """
        return msgspec.json.decode(self.raw, type=type)


@dataclass(frozen=True, slots=True)
class Gap:
    """Publications are missing between what came before and what comes next."""

    reason: GapReason


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Who has come, or has other metas now, and who has gone; `Room.presence` has it already."""

    joins: Metas
    leaves: Metas
    """With what was last known of them."""


@dataclass(frozen=True, slots=True)
class Rejoined:
    """The membership was interrupted, and goes on from here.

    A `Gap` follows where something is missing, then what was missed and can be told.
    """

    recovered: bool
    """Whether everything that was missed follows, without a gap."""

    payload: Any = None
    """What the room says to the one who joins, decoded from JSON."""


Event: TypeAlias = Message | Gap | PresenceChanged | Rejoined
"""All that a member is told."""
