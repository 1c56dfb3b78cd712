"""What can go wrong between actors.

AskError
├── NotHandled                 safe to ask again
│   ├── ActorStopped           it has ended, or takes no more messages
│   ├── Restarting             it comes back in a moment
│   └── MailboxFull            too many messages wait already
└── Unanswered                 it may have been handled
    ├── Crashed                it failed before it answered
    └── AskTimeout             it did not answer in time (a TimeoutError)
Rejected                       it answered: no
StartFailed                    a child did not start
RestartLimitReached            a child kept failing, so its supervisor gave up
ForeignCancellation            somebody else than its supervisor cancelled an actor
"""

from .exit import Exit


class AskError(Exception):
    """A question that got no answer."""


class NotHandled(AskError):
    """Nobody handled the question: asking again is safe."""


class Unanswered(AskError):
    """The question may have been handled, but no answer came."""


class ActorStopped(NotHandled):
    """The actor has ended, or takes no more messages."""

    def __init__(self, actor: str) -> None:
        super().__init__(f"{actor} has stopped and takes no more messages")
        self.actor = actor


class Restarting(NotHandled):
    """The actor is between two incarnations."""

    def __init__(self, actor: str) -> None:
        super().__init__(f"{actor} is restarting; ask again")
        self.actor = actor


class MailboxFull(NotHandled):
    """The actor is behind with its messages."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(f"{actor} has {capacity} messages waiting; use `send` to wait for room")
        self.actor = actor
        self.capacity = capacity


class Crashed(Unanswered):
    """The actor failed while it handled the question; `__cause__` is its error."""

    def __init__(self, actor: str, reason: Exit) -> None:
        super().__init__(f"{actor} ended before it answered: {reason}")
        self.actor = actor
        self.reason = reason


class AskTimeout(Unanswered, TimeoutError):
    """The actor did not answer in time; it may still handle the question."""

    def __init__(self, actor: str, timeout: float) -> None:
        super().__init__(f"{actor} did not answer within {timeout:g} s")
        self.actor = actor
        self.timeout = timeout


class Rejected(Exception):
    """The actor answered with an error that it expects; it goes on."""

    def __init__(self, error: object) -> None:
        super().__init__(f"rejected: {error}")
        self.error = error


class StartFailed(RuntimeError):
    """A child did not start; `__cause__` is its error where it had one."""

    def __init__(self, child: str, reason: str) -> None:
        super().__init__(f"{child} did not start: {reason}")
        self.child = child
        self.reason = reason


class RestartLimitReached(RuntimeError):
    """A child kept failing, so its supervisor gave up; `__cause__` is its last error."""

    def __init__(self, child: str, restarts: int, period: float) -> None:
        super().__init__(
            f"{child} failed more than {restarts} times in {period:g} s; its supervisor stops"
        )
        self.child = child
        self.restarts = restarts
        self.period = period


class ForeignCancellation(RuntimeError):
    """Somebody other than its supervisor cancelled an actor's task."""

    def __init__(self, actor: str) -> None:
        super().__init__(
            f"{actor} was cancelled from outside; stop an actor through its supervisor, "
            "never by `task.cancel()`"
        )
        self.actor = actor
