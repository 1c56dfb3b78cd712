"""One place in the tree: what outlives the incarnations of its actor."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING

from .ask import Question
from .backend import Nursery, Once
from .errors import ActorStopped, Crashed, Restarting
from .exit import Exit
from .life import Life, Spec
from .mailbox import Mailbox
from .ref import Inlet, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from .system import Surroundings


class Slot:
    """A child's place under its supervisor: path, ref, mailbox, and the life it has now."""

    def __init__(self, path: str, spec: Spec, surroundings: Surroundings) -> None:
        self.path = path
        self.spec = spec
        self.incarnation = 0
        self.life: Life | None = None
        self.restarted_at: list[float] = []
        """When it was restarted, by the system's clock; the log of its budget."""
        self.mailbox: Mailbox[object] = Mailbox(path, spec.terms.mailbox)
        self.current: Question | None = None
        """The question that is being handled."""
        self.gone = Once()
        """It has ended for good."""
        self.inlet: Inlet | None = None
        """Where refs deliver to, if not here; a connection puts its own port here."""
        self._restarting = False
        self._surroundings = surroundings

    def ref(self) -> Ref[object]:
        """Give an address of this place."""
        return Ref(self.inlet or self)

    def reopen(self) -> None:
        """Be there again, after it has ended for good: a supervisor above was restarted."""
        if self.gone:
            self.gone = Once()

    def begin(self, nursery: Nursery, context: Context, ended: Callable[[Life], None]) -> Life:
        """Start a new incarnation; the one before must be over."""
        self.incarnation += 1
        self._restarting = False
        self.mailbox.reopen()
        self.life = Life(self, nursery, self._surroundings, ended)
        self.life.spawn(context)
        return self.life

    def closing(self) -> None:
        """Take no more messages: a stop is under way."""
        self.mailbox.close()

    def ended(self, reason: Exit, error: BaseException | None) -> None:
        """Fail the question that was being handled, and tell of the exit."""
        if self.current is not None:
            crashed = Crashed(self.path, reason)
            crashed.__cause__ = error
            self.current.answer.fail(crashed)
            self.current = None
        self._surroundings.events.exited(self.path, self.incarnation, reason, error)

    def restarting(self) -> None:
        """Keep the messages for the next incarnation, and bounce the questions at once."""
        self._restarting = True
        self.mailbox.reopen()  # an actor that stopped itself has closed it
        for item in self.mailbox.clear():
            if isinstance(item, Question):
                item.answer.fail(Restarting(self.path))
            else:
                self.mailbox.put_nowait(item)

    def vacate(self) -> None:
        """End for good: nothing that was said, or will be, reaches anybody."""
        self._restarting = False
        self.mailbox.close()
        for item in self.mailbox.clear():
            if isinstance(item, Question):
                item.answer.fail(ActorStopped(self.path))
        self.life = self.inlet = None  # cuts the cycles: nothing waits for the collector
        self.gone.happen()

    def put_nowait(self, item: object) -> None:
        """Put a message or a question into the mailbox."""
        if self._restarting and isinstance(item, Question):
            raise Restarting(self.path)
        self.mailbox.put_nowait(item)

    async def put(self, item: object) -> None:
        """Put a message into the mailbox, waiting for room."""
        await self.mailbox.put(item)
