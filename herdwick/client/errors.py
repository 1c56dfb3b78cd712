"""What can go wrong for a client.

Refused                        the server answered: no
NotHandled (of the runtime)     it never left the client: safe to do again
├── NotSent                    the membership is over
└── SendTimeout                there was no connection in time (a TimeoutError)
Unanswered (of the runtime)
├── ConnectionLost             the connection was lost before the answer came
└── AnswerTimeout              no answer came in time (a TimeoutError)
MembershipEnded                the server put this member out
GaveUp                         the client is over, and does not come back by itself
├── StayedAway                 the server closed with a code that says so
├── HandshakeRefused           the server refused the handshake, and would again
├── ProtocolMismatch           what the server says is not herdwick.v1
├── Untrusted                  the server's certificate does not hold
├── NoToken                    the source of tokens failed
└── Unreachable                there was no connection for too long
NotRunning                     the client's block was not entered, or is left
"""

from typing import Any

from herdwick.runtime import NotHandled, Unanswered


class Refused(Exception):
    """The server answered with no: nothing has changed, and the connection goes on."""

    def __init__(
        self,
        topic: str | None,
        code: str,
        message: str,
        detail: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{_named(topic)} refused: {message} ({code})")
        self.topic = topic
        """The topic that it is about; None for a token."""
        self.code = code
        """What is wrong, for programs: the constants of `herdwick.protocol`."""
        self.message = message
        """What is wrong, for people."""
        self.detail = detail
        """What the room has to say of it, decoded from JSON."""
        self.retry_after = retry_after
        """Seconds after which another try is worth it; None: it would be refused again."""


class NotSent(NotHandled):
    """It never left the client, for the membership is over; `__cause__` tells why, where known."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"{topic} was sent nothing, for this client is a member no more")
        self.topic = topic


class SendTimeout(NotHandled, TimeoutError):
    """It never left the client, for there was no connection, or no membership, in time."""

    def __init__(self, topic: str | None, timeout: float) -> None:
        super().__init__(
            f"{_named(topic)} could not be asked within {timeout:g} s; asking again is safe"
        )
        self.topic = topic
        self.timeout = timeout


class ConnectionLost(Unanswered):
    """The connection was lost before the answer came: it may have been handled."""

    def __init__(self, topic: str | None) -> None:
        super().__init__(
            f"the connection was lost before {_named(topic)} answered; it may have been handled"
        )
        self.topic = topic


class AnswerTimeout(Unanswered, TimeoutError):
    """No answer came in time: it may have been handled, or may still be."""

    def __init__(self, topic: str | None, timeout: float) -> None:
        super().__init__(f"{_named(topic)} did not answer within {timeout:g} s")
        self.topic = topic
        self.timeout = timeout


class MembershipEnded(Exception):
    """The server has ended the membership, and does not want this member back."""

    def __init__(self, topic: str, reason: str, message: str = "") -> None:
        told = f": {message}" if message else ""
        super().__init__(f"the server ended the membership in {topic} ({reason}){told}")
        self.topic = topic
        self.reason = reason
        """removed or crashed."""
        self.message = message


class GaveUp(Exception):
    """The client is over; enter another one to come back."""


class StayedAway(GaveUp):
    """The server closed the connection with a code that tells clients to stay away."""

    def __init__(self, code: int, reason: str = "") -> None:
        told = f": {reason}" if reason else ""
        super().__init__(f"the server closed with {code}, so the client stays away{told}")
        self.code = code
        self.reason = reason


class HandshakeRefused(GaveUp):
    """The server answered the handshake with an HTTP response, and would do so again."""

    def __init__(self, url: str, status: int, body: bytes = b"") -> None:
        super().__init__(f"{url} refuses the handshake with {status}, and would do so again")
        self.url = url
        self.status = status
        self.body = body


class ProtocolMismatch(GaveUp):
    """What the server says is not herdwick.v1."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url} does not speak herdwick.v1: {why}")
        self.url = url


class Untrusted(GaveUp):
    """The certificate of the server does not hold; `__cause__` tells why."""

    def __init__(self, url: str) -> None:
        super().__init__(f"the certificate of {url} does not hold; see `ssl`")
        self.url = url


class NoToken(GaveUp):
    """The source of tokens failed, or gave none that can be offered; `__cause__` is its error."""

    def __init__(self, url: str) -> None:
        super().__init__(f"there is no token to connect to {url} with")
        self.url = url


class Unreachable(GaveUp):
    """There was no connection for too long; `__cause__` is the last failure, where there is one."""

    def __init__(self, url: str, patience: float) -> None:
        super().__init__(f"{url} was not reached for {patience:g} s")
        self.url = url
        self.patience = patience


class NotRunning(RuntimeError):
    """The client's block was not entered, or is left."""

    def __init__(self, url: str) -> None:
        super().__init__(f"the client of {url} does not run; use it inside of its `async with`")
        self.url = url


def _named(topic: str | None) -> str:
    return "the server" if topic is None else topic
