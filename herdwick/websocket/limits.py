"""The limits of one application, all in one place: seconds and bytes."""

from dataclasses import dataclass, fields
from math import isnan
from typing import Final, TypedDict

from herdwick.actors import Rate

KIB = 1024
MIB = 1024 * KIB

MOST_CONNECTIONS: Final = 10_000
"""The WebSockets of a process where nothing else is said, and descriptors are not fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may use, and how long it may take; and how many there may be.

    Those of `RouteLimits` can be others for one route: `@app.ws(path, message_bytes=4096)`.

    Raises:
        ValueError: One of them is not more than 0, or is no number, or no rate.
    """

    connections: int | None = None
    """WebSockets that the process carries; a handshake beyond is answered with 503 and a
    Retry-After. None: 10,000, or 0.8 of the descriptors that the process may have open when the
    application starts, where that is less."""

    connections_per_address: int | None = None
    """WebSockets from one address, as the server tells it, so the client's behind a proxy that it
    trusts; of IPv6 the first 64 bits. All whose address cannot be read count as one; who has none,
    as at a UNIX socket, is not counted. A handshake beyond is answered with 429 and a Retry-After.
    None counts none."""

    connections_per_user: int | None = None
    """WebSockets of one user, by the `id` of their identity; a handshake beyond is answered with
    429 and a Retry-After. None counts none."""

    handshakes: Rate | None = None
    """How often the process takes a handshake over; one beyond is answered with 503 and a
    Retry-After. None: as often as they come."""

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

    message_rate: Rate | None = None
    """How often a client may send a message; more often is closed with 1008. None does not
    count."""

    invalid_messages: Rate | None = Rate(5, per=60.0)  # noqa: RUF009 - frozen
    """Messages that do not decode and are answered with an error, where such are answered: by
    `on_invalid="reply"` and by herdwick.v1. One beyond is closed with 1007. None does not count."""

    outbox_bytes: int = MIB
    """Bytes that wait to be sent before `send` waits too."""

    send_timeout: float = 10.0
    """Seconds that a `send` may wait for a peer that does not read; then the connection is closed
    with 1013."""

    ping_interval: float | None = 20.0
    """Seconds of silence before a ping goes out; None sends none."""

    ping_timeout: float | None = 20.0
    """Seconds that a peer has to answer a ping; then the connection is closed with 1011. None
    waits for ever."""

    close_timeout: float = 5.0
    """Seconds that the closing handshake may take; then the connection is aborted."""

    head_bytes: int = 16 * KIB
    """Size of a request's head; more is answered with 431."""

    head_timeout: float = 10.0
    """Seconds that a request's head may take to arrive, however it dribbles; then the TCP
    connection is dropped."""

    auth_timeout: float = 10.0
    """Seconds that the client of a route with `auth(first_message=True)` has to show who it is;
    then the connection is closed with 4401."""

    revalidate_interval: float | None = 1800.0
    """Seconds within which the hook of `app.revalidate` is asked again about each user who is
    connected; whose session holds no more is closed with 4401. None asks never."""

    topics: int = 128
    """Topics that one connection may be a member of at a time; a join beyond is refused."""

    joins: Rate | None = Rate(20)  # noqa: RUF009 - frozen
    """How often a client of herdwick.v1 may join; at once, when it has come back, as often as
    `topics` says. More are refused as `too_fast`, and as many again are closed with 1008. None
    does not count."""

    refreshes: Rate | None = Rate(5, per=60.0)  # noqa: RUF009 - frozen
    """How often a client of herdwick.v1 may show a new token: each has to be judged, and none is to
    be guessed. More are refused as `too_fast`, and as many again are closed with 1008. None does
    not count."""

    publishes: Rate | None = Rate(50, burst=100)  # noqa: RUF009 - frozen
    """How often a client of herdwick.v1 may push to one topic. More are refused as `too_fast`, and
    as many again are closed with 1008. None does not count."""

    body_bytes: int = MIB
    """Size of a request's body; more is answered with 413."""

    body_timeout: float = 30.0
    """Seconds that a request's body may keep its reader waiting, all its parts together; then it is
    answered with 408, and the TCP connection ends. What the handler does between two parts does not
    count."""

    def __post_init__(self) -> None:
        for field in fields(self):
            problem = _problem(getattr(self, field.name), field.type)
            if problem is not None:
                raise ValueError(f"{field.name} is {getattr(self, field.name)!r}; {problem}")


class RouteLimits(TypedDict, total=False):
    """The limits that a route may have for itself; `Limits` says what each means."""

    inbox_messages: int
    inbox_bytes: int
    pause_timeout: float
    message_bytes: int
    message_fragments: int
    message_rate: Rate | None
    invalid_messages: Rate | None
    outbox_bytes: int
    send_timeout: float
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float
    topics: int
    joins: Rate | None
    refreshes: Rate | None
    publishes: Rate | None


def _problem(value: object, kind: object) -> str | None:
    """Tell what is wrong with a limit of this type, if anything is."""
    if value is None and kind in (int | None, float | None, Rate | None):
        return None
    if kind in (Rate, Rate | None):
        return None if isinstance(value, Rate) else "it must be a Rate, such as Rate(100)"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "it must be a number"
    if isnan(value) or value <= 0:
        return "it must be more than 0"
    if kind in (int, int | None) and not isinstance(value, int):
        return "it must be a whole number"
    return None
