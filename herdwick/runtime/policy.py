"""How a supervisor treats a child: one frozen value, checked when it is made."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict, get_args

from .backoff import Backoff
from .restart import Restart

Overflow: TypeAlias = Literal["refuse", "drop_oldest", "stop"]
"""What a message finds where the mailbox is full; see `Policy`."""

Queued: TypeAlias = Literal["keep", "drop"]
"""Whether a restart keeps the messages that wait; see `Policy`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a supervisor treats a child."""

    restart: Restart = "permanent"
    """permanent: always comes back; transient: after an abnormal exit; temporary: never."""

    backoff: Backoff | None = None
    """How long a restart waits; None: it does not, and counts for the supervisor's limit."""

    grace: float = 5.0
    """Seconds that a stop may take before it becomes a cancellation."""

    start_timeout: float = 30.0
    """Seconds that a start may take before it has failed."""

    hook_timeout: float = 5.0
    """Seconds that the stop hook may take before it is cancelled."""

    drain: bool = False
    """Whether a stop first handles, within the grace, what waits in the mailbox."""

    mailbox: int | None = 1000
    """Messages that may wait; None for no bound."""

    overflow: Overflow = "refuse"
    """What a message finds where the mailbox is full. refuse: it is not taken; drop_oldest: the
    oldest one goes; stop: the actor crashes with `MailboxFull`. `send` waits in any case."""

    queued: Queued = "keep"
    """Whether a restart keeps the messages that wait. Questions are failed as `Restarting`."""

    idle_timeout: float | None = None
    """Seconds without work after which the actor stops until somebody needs it again; None:
    never. Work is a message, a helper task, a timer, a monitor or an answer that it owes."""

    contain_exits: bool = False
    """SystemExit and KeyboardInterrupt are crashes like any other, not the program's end."""

    def __post_init__(self) -> None:
        for name, allowed in (("restart", Restart), ("overflow", Overflow), ("queued", Queued)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise ValueError(f"{name} is {value!r}; it must be one of {get_args(allowed)}")
        for name in ("grace", "start_timeout", "hook_timeout"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be 0 seconds or more")
        if self.idle_timeout is not None and not self.idle_timeout > 0:
            raise ValueError(f"idle_timeout is {self.idle_timeout:g}; it must be more than 0 s")
        if self.mailbox is not None and self.mailbox < 1:
            raise ValueError(f"mailbox is {self.mailbox}; it must hold at least 1 message")


class PolicyOptions(TypedDict, total=False):
    """The options of `Child.policy` and `Dynamic`; `Policy` says what each means."""

    restart: Restart
    backoff: Backoff | None
    grace: float
    start_timeout: float
    hook_timeout: float
    drain: bool
    mailbox: int | None
    overflow: Overflow
    queued: Queued
    idle_timeout: float | None


def part_of_path(name: str) -> str:
    """Give the name of a child back if it can stand in a path."""
    if not name or "/" in name:
        raise ValueError(f"a child's name is a part of a path, not {name!r}")
    return name
