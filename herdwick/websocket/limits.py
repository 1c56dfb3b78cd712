"""The limits of one application, all in one place: seconds and bytes."""

from dataclasses import dataclass, fields
from typing import Final

KIB = 1024
MIB = 1024 * KIB

OPTIONAL: Final = ("ping_interval", "ping_timeout", "revalidate_interval")
"""Limits that None turns off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may use, and how long it may take.

    Raises:
        ValueError: One of them is not more than 0.
    """

    inbox_messages: int = 64
    """Messages that wait unread before reading pauses."""

    inbox_bytes: int = MIB
    """Bytes of messages that wait unread before reading pauses."""

    pause_timeout: float = 30.0
    """Seconds that reading may stay paused; then the connection is closed with 1008."""

    message_bytes: int = MIB
    """Size of one message, over all its fragments; more is closed with 1009."""

    message_fragments: int = 1024
    """Fragments of one message, empty ones included; more is closed with 1008."""

    outbox_bytes: int = MIB
    """Bytes that wait to be sent before `send` waits too."""

    send_timeout: float = 10.0
    """Seconds that a `send` may wait for a peer that does not read; then the connection is closed
    with 1013."""

    ping_interval: float | None = 20.0
    """Seconds of silence before a ping goes out; None sends none."""

    ping_timeout: float | None = 20.0
    """Seconds that a peer has to answer a ping; then the connection is closed with 1011."""

    close_timeout: float = 5.0
    """Seconds that the closing handshake may take; then the connection is aborted."""

    head_bytes: int = 16 * KIB
    """Size of a request's head; more is answered with 431."""

    head_timeout: float = 10.0
    """Seconds that a request's head may take to arrive, however it dribbles."""

    auth_timeout: float = 10.0
    """Seconds that the client of a route with `auth(first_message=True)` has to show who it is;
    then the connection is closed with 4401."""

    revalidate_interval: float | None = 1800.0
    """Seconds within which the hook of `app.revalidate` is asked again about each user who is
    connected; whose session holds no more is closed with 4401. None asks never."""

    topics: int = 128
    """Topics that one connection may be a member of at a time; a join beyond is refused."""

    body_bytes: int = MIB
    """Size of a request's body; more is answered with 413."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if value is None and name in OPTIONAL:
                continue
            if value is None or not value > 0:  # nan is not
                raise ValueError(f"{name} is {value}; it must be more than 0")
