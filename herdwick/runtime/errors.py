"""What can go wrong between actors.

AskError
├── NotHandled                 safe to ask again
│   ├── ActorStopped           it has ended, or takes no more messages
│   ├── Restarting             it comes back in a moment
│   ├── NotFound               nobody knows it
│   ├── MailboxFull            too many messages wait already
│   └── Expired                it did not get to the question in time (a TimeoutError)
├── Unanswered                 it may have been handled
│   ├── Crashed                it failed before it answered
│   ├── AskTimeout             it did not answer in time (a TimeoutError)
│   └── NoReply                it handled the question, and gave no answer
└── Deadlock                   it waits, itself or through others, for the asker
Rejected                       it answered: no
StartFailed                    a child did not start
└── TooManyChildren            for its pool has as many as it may
RestartLimitReached            a child kept failing, so its supervisor gave up
ChildStands                    an order does not fit the state of a child
ForeignCancellation            somebody else than its supervisor cancelled an actor
"""

from collections.abc import Sequence

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


class NotFound(NotHandled):
    """No actor of this system goes by that spec or ref."""

    def __init__(self, actor: str) -> None:
        super().__init__(
            f"{actor} is in no part of this tree; a child is found by the very spec that stands "
            "in it, and a supervisor's children while it runs"
        )
        self.actor = actor


class MailboxFull(NotHandled):
    """The actor is behind with its messages."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(f"{actor} has {capacity} messages waiting; use `send` to wait for room")
        self.actor = actor
        self.capacity = capacity


class Expired(NotHandled, TimeoutError):
    """The actor did not get to the question in time, and will not handle it any more."""

    def __init__(self, actor: str, timeout: float) -> None:
        super().__init__(f"{actor} did not get to the question within {timeout:g} s")
        self.actor = actor
        self.timeout = timeout


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


class NoReply(Unanswered):
    """The actor handled the question, and gave no answer."""

    def __init__(self, actor: str, message: str) -> None:
        super().__init__(
            f"{actor} handled {message} and gave no answer; return one, or take "
            "`reply = ctx.defer(message)`, return LATER and call the reply later"
        )
        self.actor = actor
        self.message = message


class Deadlock(AskError):
    """The question would wait for its own asker, for ever."""

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__(
            f"a question would wait for itself: {' asks '.join(cycle)}; use `tell`, or let a "
            "helper task ask (`ctx.start_soon`)"
        )
        self.cycle = tuple(cycle)


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


class TooManyChildren(StartFailed):
    """A pool has as many children as it may."""

    def __init__(self, child: str, children: int) -> None:
        super().__init__(child, f"there are {children} children already")


class RestartLimitReached(RuntimeError):
    """A child kept failing, so its supervisor gave up; `__cause__` is its last error."""

    def __init__(
        self, child: str, restarts: int, period: float | None, restarted_at: Sequence[float] = ()
    ) -> None:
        often = f"more than {restarts} times"
        often += " in a row" if period is None else f" in {period:g} s"
        super().__init__(f"{child} failed {often}; its supervisor stops")
        self.child = child
        self.restarts = restarts
        self.period = period
        """Seconds within which the restarts were counted; None where only those in a row are."""
        self.restarted_at = tuple(restarted_at)
        """When it was restarted, by the system's clock."""


class ChildStands(RuntimeError):
    """An order to a supervisor does not fit the state of the child."""

    def __init__(self, child: str, state: str, advice: str) -> None:
        super().__init__(f"{child} is {state}; {advice}")
        self.child = child
        self.state = state


class ForeignCancellation(RuntimeError):
    """Somebody other than its supervisor cancelled an actor's task."""

    def __init__(self, actor: str) -> None:
        super().__init__(
            f"{actor} was cancelled from outside; stop an actor through its supervisor, "
            "never by `task.cancel()`"
        )
        self.actor = actor
