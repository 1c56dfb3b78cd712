"""The frames of herdwick.v1: one JSON object a text message, told apart by its field `type`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

SUBPROTOCOL: Final = "herdwick.v1"
"""What the client offers in the handshake, and the server accepts."""

# Why something is refused.
UNKNOWN_TOPIC: Final = "unknown_topic"
"""There is no such topic, or it is not to be joined from outside."""
INVALID_TOPIC: Final = "invalid_topic"
"""The name is empty, over 255 bytes long, or has control characters."""
INVALID_POSITION: Final = "invalid_position"
"""What was given as `since` is no position."""
INVALID_MESSAGE: Final = "invalid_message"
"""A frame, the params or the payload does not decode; the message has the path to the culprit."""
TOO_MANY_TOPICS: Final = "too_many_topics"
"""The connection is a member of as many topics as it may be."""
TOO_FAST: Final = "too_fast"
"""There are more joins, or more pushes to this topic, than there may be in this time."""
ALREADY_JOINED: Final = "already_joined"
"""The connection is a member already, or about to be."""
NOT_JOINED: Final = "not_joined"
"""The connection is no member: join first."""
FORBIDDEN: Final = "forbidden"
"""The room refuses the one who joins, or the token is refused; `detail` is the reason."""
REJECTED: Final = "rejected"
"""The room answers the push with an error; `detail` is that error."""
FAILED: Final = "failed"
"""The room failed on it, and may have done a part of it."""
CRASHED: Final = "crashed"
"""The room crashed with the push in hand, may have done a part of it, and comes back."""
TIMEOUT: Final = "timeout"
"""The room did not answer in time."""
FULL: Final = "full"
"""Too many messages wait for the room; it has not got this one."""
UNAVAILABLE: Final = "unavailable"
"""The room has failed too often, or the server stops; it has not got this one."""

NOTHING: Final = msgspec.Raw(b"null")

GapReason: TypeAlias = Literal["history", "epoch", "slow", "conflated"]
"""history: it reaches back no further; epoch: it began anew; slow: the client did not read in
time; conflated: only the newest of each key was kept."""

Metas: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Who is present: by key, what is known of each of its connections, by that one's reference."""

# ---------------------------------------------------------------- what clients send


class Join(msgspec.Struct, frozen=True, tag="join"):
    """Become a member of a topic: answered with `joined` or `refused`."""

    ref: int
    topic: str
    params: dict[str, Any] | None = {}
    """What the room is told of the one who joins."""
    since: str | None = None
    """The last position that the client has seen; None for a first join."""


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """Be a member no more: answered with `reply`, after which nothing of the topic comes."""

    ref: int
    topic: str


class Push(msgspec.Struct, frozen=True, tag="push"):
    """Send the room a message: answered with `reply` or `refused`, if it has a `ref`."""

    topic: str
    payload: msgspec.Raw
    ref: int | None = None


class Refresh(msgspec.Struct, frozen=True, tag="refresh"):
    """Show a new token, before the old one expires: answered with `reply` or `refused`."""

    ref: int
    token: str

    def __repr__(self) -> str:
        """Show no token: an error may quote this."""
        return f"Refresh(ref={self.ref})"


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Ask for a sign of life, as browsers cannot send WebSocket's own: answered with `reply`."""

    ref: int


ClientFrame: TypeAlias = Join | Leave | Push | Refresh | Ping
"""What clients send."""

# ---------------------------------------------------------------- what the server sends


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The answer to `leave`, `push`, `refresh` or `ping`."""

    ref: int
    payload: msgspec.Raw = NOTHING


class Refused(msgspec.Struct, frozen=True, tag="refused", omit_defaults=True):
    """The answer that says no: nothing has changed, and the connection goes on."""

    ref: int
    code: str
    """What is wrong, for programs: see the constants."""
    message: str
    """What is wrong, for people."""
    detail: msgspec.Raw = NOTHING
    """What the room has to say of it."""
    retry_after: float | None = None
    """Seconds after which another try is worth it; None: it would be refused again."""


class Joined(msgspec.Struct, frozen=True, tag="joined", omit_defaults=True):
    """The answer to `join`; what was missed since follows it as publications."""

    ref: int
    topic: str
    recovered: bool = False
    """Whether everything since the position that was asked for follows, without a gap."""
    position: str | None = None
    """Where what follows begins; None where nothing is recorded."""
    gap: GapReason | None = None
    """Why it was not recovered, where a position was asked for."""
    payload: msgspec.Raw = NOTHING
    """What the room says to the one who joins."""
    presence: Metas | None = None
    """Who is present; None where the topic does not tell."""


class Publication(msgspec.Struct, frozen=True, tag="publication", omit_defaults=True):
    """What was broadcast to the topic, or sent to this member."""

    topic: str
    payload: msgspec.Raw
    position: str | None = None
    """Resume from here; None where it was not recorded."""


class Moved(msgspec.Struct, frozen=True, tag="position"):
    """What stands at this position was not for this member: resume from here."""

    topic: str
    position: str


class Gap(msgspec.Struct, frozen=True, tag="gap", omit_defaults=True):
    """Publications of the topic are missing before what comes next."""

    topic: str
    reason: GapReason
    position: str | None = None
    """Resume from here: all before it that did not come will not come."""


class Presence(msgspec.Struct, frozen=True, tag="presence", omit_defaults=True):
    """Who has come, or has other metas now, and who has gone; apply the joins first."""

    topic: str
    joins: Metas = {}
    leaves: Mapping[str, Sequence[str]] = {}
    """By key, the references that are gone."""


class Left(msgspec.Struct, frozen=True, tag="left", omit_defaults=True):
    """The server has ended the membership; the connection goes on."""

    topic: str
    reason: Literal["removed", "crashed"]
    message: str = ""
    retry_after: float | None = None
    """Seconds after which to join again; None: do not."""


class Error(msgspec.Struct, frozen=True, tag="error"):
    """A message of the client was no frame; nothing else has happened."""

    code: str
    message: str


ServerFrame: TypeAlias = (
    Reply | Refused | Joined | Publication | Moved | Gap | Presence | Left | Error
)
"""What the server sends."""


class _Kind(msgspec.Struct):
    type: str


_KINDS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(ServerFrame))
_kind: Final[msgspec.json.Decoder[_Kind]] = msgspec.json.Decoder(_Kind)
_client: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)
_server: Final[msgspec.json.Decoder[ServerFrame]] = msgspec.json.Decoder(ServerFrame)


def decode_client(data: str | bytes) -> ClientFrame:
    """Read a client's message.

    Raises:
        msgspec.MsgspecError: It is no frame; the text has the path to the culprit.
    """
    return _client.decode(data)


def decode_server(data: str | bytes) -> ServerFrame | None:
    """Read a server's message; None for a type that a newer server may send, to be ignored.

    Raises:
        msgspec.MsgspecError: It is no frame.
    """
    try:
        return _server.decode(data)
    except msgspec.ValidationError:
        if _kind.decode(data).type in _KINDS:
            raise
        return None


def encode(frame: ClientFrame | ServerFrame) -> str:
    """Write a frame as the text message that it travels in."""
    return msgspec.json.encode(frame).decode()
