"""The two ways in which members hear of a topic: bare payloads, and the frames of herdwick.v1."""

from __future__ import annotations

from typing import Final

import msgspec

from herdwick import protocol
from herdwick.actors import (
    Data,
    GapReason,
    Greeting,
    Left,
    Position,
    PresenceDiff,
    Present,
    check_text,
)

from .codec import Codec, encode_json

V1: Final = "herdwick.v1"


class PlainWire:
    """Payloads as the route's codec writes them, and nothing else: there is no envelope."""

    tells_gaps = False

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.encoding = self.variant = f"plain {codec.name}"

    def encode(self, payload: object) -> Data:
        """Encode a payload; text and bytes travel as they are."""
        data = self._codec.encode_payload(payload)
        check_text(data)
        return data

    def greeting(self, topic: str, greeting: Greeting) -> Data | None:
        """Send what the room has to say, if anything."""
        return None if greeting.value is None else self.encode(greeting.value)

    def publication(self, topic: str, encoded: Data, position: Position | None) -> Data:
        """Send the payload."""
        return encoded

    def moved(self, topic: str, position: Position) -> None:
        """Say nothing."""
        return

    def gap(self, topic: str, reason: GapReason, position: Position | None) -> None:
        """Say nothing."""
        return

    def presence(self, topic: str, diff: PresenceDiff) -> None:
        """Say nothing: a room that wants it told broadcasts it."""
        return

    def left(self, topic: str, left: Left, retry_after: float | None) -> None:
        """Say nothing: the connection is to be closed."""
        return


class V1Wire:
    """The frames of herdwick.v1, for one join."""

    tells_gaps = True
    encoding = "json"
    variant = V1

    def __init__(self, ref: int) -> None:
        self._ref = ref

    def encode(self, payload: object) -> str:
        """Encode a payload as JSON."""
        return encode_json(payload).decode()

    def greeting(self, topic: str, greeting: Greeting) -> str:
        """Answer the join."""
        return protocol.encode(
            protocol.Joined(
                ref=self._ref,
                topic=topic,
                recovered=greeting.recovered,
                position=_text(greeting.position),
                gap=greeting.gap,
                payload=msgspec.Raw(encode_json(greeting.value)),
                presence=None if greeting.presence is None else _plain(greeting.presence),
            )
        )

    def publication(self, topic: str, encoded: Data, position: Position | None) -> str:
        """Tell of a publication, with its position."""
        payload = encoded if isinstance(encoded, bytes) else encoded.encode()
        return protocol.encode(protocol.Publication(topic, msgspec.Raw(payload), _text(position)))

    def moved(self, topic: str, position: Position) -> str:
        """Say that what stands at a position was for others."""
        return protocol.encode(protocol.Moved(topic, str(position)))

    def gap(self, topic: str, reason: GapReason, position: Position | None) -> str:
        """Say that publications are missing."""
        return protocol.encode(protocol.Gap(topic, reason, _text(position)))

    def presence(self, topic: str, diff: PresenceDiff) -> str:
        """Tell who has come and who has gone."""
        return protocol.encode(protocol.Presence(topic, _plain(diff.joins), diff.leaves))

    def left(self, topic: str, left: Left, retry_after: float | None) -> str:
        """Say that the membership has ended."""
        message = "" if left.reason is None else str(left.reason)
        if left.kind == "crashed":
            return protocol.encode(protocol.Left(topic, "crashed", message, retry_after))
        return protocol.encode(protocol.Left(topic, "removed", message, retry_after))


def _text(position: Position | None) -> str | None:
    return None if position is None else str(position)


def _plain(present: Present) -> dict[str, dict[str, object]]:
    """Give what is present as what JSON knows: metas may be any structs."""
    plain: dict[str, dict[str, object]] = msgspec.json.decode(encode_json(present))
    return plain
