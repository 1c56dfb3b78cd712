"""Why somebody does not become a member, and what a push can come to.

JoinRefused                     the room, or `authorize`, says no
├── UnknownTopic                there is no such topic, or it is not to be joined from outside
├── InvalidParams                what he says of himself does not decode
├── JoinFailed                   `authorize` or `on_join` failed
├── AlreadyJoined               this connection is a member already
├── TooManyTopics               this connection is a member of as many as it may be
└── RoomUnavailable             the room has failed too often, or does not come up: try later
NotAMember (RuntimeError)       the membership has ended
HandlerFailed (Unanswered)      the room failed on a push, and goes on
RoomFull (NotHandled)           too many pushes wait for the room
"""

from typing import Any

from herdwick.runtime import NotHandled, Unanswered

from .left import Left


class JoinRefused(Exception):
    """The join is refused, and nothing else: raise it in `authorize`, `on_start` or `on_join`.

    A handler that lets it through closes its connection with 4403, or with 1013 where another try
    is worth it; before `accept` it is answered with 403 or 503.
    """

    def __init__(self, reason: object = None, *, retry_after: float | None = None) -> None:
        super().__init__("the join is refused" if reason is None else f"{reason}")
        self.reason: Any = reason
        """What the client is told."""
        self.retry_after = retry_after
        """Seconds after which another try is worth it; None: it would be refused again."""


class UnknownTopic(JoinRefused):
    """There is no such topic, or it is not to be joined from outside."""

    def __init__(self, topic: str, problem: str) -> None:
        super().__init__(f"topic {topic[:80]!a} cannot be joined: {problem}")
        self.topic = topic


class InvalidParams(JoinRefused):
    """What somebody who joins says of himself does not decode; the text has the path to it."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the params do not decode: {detail}")
        self.detail = detail


class JoinFailed(JoinRefused):
    """`authorize` or `on_join` failed; `__cause__` is the error, which the client is not told.

    It may try again: whoever cannot reach a database for a moment puts nobody out for good.
    """

    def __init__(self, topic: str) -> None:
        super().__init__(f"{topic} failed on the join; try again", retry_after=1.0)
        self.topic = topic


class AlreadyJoined(JoinRefused):
    """The connection is a member already; one membership of a topic is all it can have."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"this connection is a member of {topic} already")
        self.topic = topic


class TooManyTopics(JoinRefused):
    """The connection is a member of as many topics as it may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"this connection is a member of {most} topics, and may not be of more")
        self.most = most


class RoomUnavailable(JoinRefused):
    """The room has failed too often, does not start, or the server stops."""

    def __init__(self, topic: str, retry_after: float) -> None:
        super().__init__(f"{topic} is unavailable now; try again", retry_after=retry_after)
        self.topic = topic


class NotAMember(RuntimeError):
    """The membership has ended, and nothing can be done with it any more."""

    def __init__(self, topic: str, left: Left) -> None:
        super().__init__(f"the membership of {topic} has ended: {left.kind}")
        self.topic = topic
        self.left = left
        """How it has ended."""


class HandlerFailed(Unanswered):
    """A room's handler failed on what a member pushed; the room goes on. `__cause__` is the error.

    It may have done a part of it.
    """

    def __init__(self, topic: str, message: str) -> None:
        super().__init__(f"{topic} failed on {message}, and goes on")
        self.topic = topic
        self.message = message


class RoomFull(NotHandled):
    """The room is behind, and has not got the message."""

    def __init__(self, topic: str, capacity: int) -> None:
        super().__init__(
            f"{topic} has {capacity} messages of its members waiting; wait, or slow down"
        )
        self.topic = topic
        self.capacity = capacity
