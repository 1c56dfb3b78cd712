"""What a life needs of those around it: its spec, its body, and its owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

from .exit import Exit
from .policy import Policy

if TYPE_CHECKING:
    from .life import Life
    from .ref import Port
    from .slot import Slot


class Body(Protocol):
    """What an actor does in one incarnation."""

    @property
    def starts_idle(self) -> bool:
        """Whether it does nothing at all before the first message."""
        ...

    @property
    def on_stop(self) -> Callable[[Exit], Awaitable[None]] | None:
        """What cleans up in the end, shielded, within a deadline; None where nothing has to."""
        ...

    @property
    def on_end(self) -> Callable[[Exit], None] | None:
        """What is called with the reason as soon as `live` has ended, if anything."""
        ...

    def live(self) -> Awaitable[None]:
        """Start, call `Life.started`, and go on until the end."""
        ...

    def stop(self) -> None:
        """Be asked to come to an end; called in any task, once, after the start."""
        ...


class Spec(Protocol):
    """What a supervisor needs to know of a child."""

    @property
    def name(self) -> str:
        """The child's name, unique under its supervisor."""
        ...

    @property
    def terms(self) -> Policy:
        """How the supervisor treats it."""
        ...

    @property
    def port(self) -> Port | None:
        """Where all goes that is said to it; None: into a mailbox."""
        ...

    def embody(self, life: Life) -> Body:
        """Make the body of a new incarnation; an error is a failed start."""
        ...


class Owner(Protocol):
    """Who has a child: its supervisor."""

    @property
    def context(self) -> Context:
        """What its children's tasks run in copies of."""
        ...

    def comes_back(self, life: Life, reason: Exit) -> bool:
        """Tell whether another life is to follow one that ends so; changes nothing."""
        ...

    def release(self, life: Life) -> None:
        """Let go of the name of a child that has ended for good, before anybody is told."""
        ...

    def ended(self, life: Life) -> None:
        """Take note that a life is completely over; called once, in the runtime's own turn."""
        ...

    def revive(self, slot: Slot) -> None:
        """Start a passive child, which is needed again; raises `NotHandled` where it cannot."""
        ...

    async def terminate(self, slot: Slot, *, kill: bool) -> None:
        """Stop a child, or kill it, and do not bring it back."""
        ...

    async def restart(self, slot: Slot) -> None:
        """Start a child that is stopped."""
        ...

    async def delete(self, slot: Slot) -> None:
        """Forget a child that is stopped."""
        ...
