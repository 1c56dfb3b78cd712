"""How a membership ends."""

from typing import Literal, TypeAlias

import msgspec

LeftKind: TypeAlias = Literal["left", "lost", "removed", "crashed", "drained"]
"""left: it went by itself; lost: its connection is gone; removed: the room put it out; crashed: its
handler failed, or the room did, again and again; drained: the server stops."""


class Left(msgspec.Struct, frozen=True):
    """Why a member is gone."""

    kind: LeftKind
    code: int | None = None
    """The close code of its connection; None where that goes on."""
    reason: object = None
    """What the one who ended it had to say."""
