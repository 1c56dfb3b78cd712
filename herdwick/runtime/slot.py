"""One place in the tree: what outlives the incarnations of its actor."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Literal, TypeAlias

from .ask import Place, Question
from .backend import HAPPENED, Nursery, Once
from .errors import ActorStopped, Crashed, MailboxFull, NotHandled, Restarting
from .events import Restarted
from .exit import NOPROC, Exit
from .life import Life
from .mailbox import NO_MAILBOX, Mailbox, Signal
from .monitors import Monitor
from .ref import Port, Ref
from .roles import Owner, Spec
from .timers import Timers

if TYPE_CHECKING:
    from .events import Fate
    from .system import Surroundings

State: TypeAlias = Literal["starting", "running", "stopping", "waiting", "stopped", "passive"]
"""waiting: it comes back, now or after its backoff; passive: it comes back when it is needed."""

Away: TypeAlias = Literal["failing", "waiting", "passive", "waking"]


class Slot:
    """A child's place under its supervisor: path, ref, mailbox, and the life it has now."""

    __slots__ = (
        "__weakref__",
        "_away",
        "_gone",
        "_surroundings",
        "attempts",
        "current",
        "idle_since",
        "incarnation",
        "inlet",
        "key",
        "last_exit",
        "life",
        "mailbox",
        "owner",
        "path",
        "restarted_at",
        "restarts",
        "since",
        "spec",
    )

    def __init__(self, path: str, spec: Spec, surroundings: Surroundings) -> None:
        self.path = path
        self.spec = spec
        self.incarnation = 0
        self.life: Life | None = None
        self.owner: Owner | None = None
        """Who starts it, stops it, and decides whether it comes back."""
        self.key: object = None
        """What its pool knows it by, if it was got or started by arguments."""
        self.attempts = 0
        """Restarts in a row, of those that wait for a backoff."""
        self.restarts = 0
        """How often it was started again."""
        self.restarted_at: tuple[float, ...] = ()
        """When it was restarted, by the system's clock; the log of a budget of its own."""
        self.inlet: Port | None = spec.port
        """Where refs deliver to, if not here."""
        self.mailbox = Mailbox(path, spec.terms.mailbox) if self.inlet is None else NO_MAILBOX
        self.current: object = None
        """The message or the question that is being handled."""
        self.idle_since = 0.0
        """When the actor was done with its last work; kept for an `idle_timeout` alone."""
        self.since = 0.0
        """When the actor took its last message in hand, by the system\'s clock."""
        self.last_exit: Exit | None = None
        self._gone: Once | None = None
        self._away: Away | None = None
        self._surroundings = surroundings

    @property
    def gone(self) -> Once:
        """It has ended for good."""
        if self._gone is None:
            self._gone = Once()
        return self._gone

    def ref(self) -> Ref[object]:
        """Give an address of this place."""
        return Ref(self.inlet or self)

    @property
    def state(self) -> State:
        """What an operator wants to know of it first."""
        if self._away in ("waiting", "waking"):
            return "waiting"
        if self._away == "passive":
            return "passive"
        if self.life is None or self.life.over:
            return "stopped"
        if self.life.ending:
            return "stopping"
        return "running" if self.life.acknowledged else "starting"

    @property
    def ends(self) -> bool:
        """Whether it has ended, or ends, for good; one that passivates does not."""
        life = self.life
        if life is None or life.over:
            return self._away is None
        return life.dismissed or (life.ending and not life.passivating and not self._away)

    def belongs_to(self, surroundings: Surroundings) -> bool:
        """Whether it is a place in that system's tree."""
        return self._surroundings is surroundings

    @property
    def slot(self) -> Slot:
        """This place itself."""
        return self

    @property
    def timers(self) -> Timers:
        """The timers of its system."""
        return self._surroundings.timers

    @property
    def asking(self) -> Place | None:
        """Whose answer its actor waits for now, in its own task."""
        asks = None if self.life is None else self.life.asks
        # One that was answered waits no more, though it had no turn since; and what was deferred
        # may be answered by anybody.
        waits = asks is not None and asks[1].wanted and not asks[1].deferred
        return asks[0] if asks is not None and waits else None

    # ------------------------------------------------------------------ its supervisor's side

    def reopen(self) -> None:
        """Be there again, after it has ended for good."""
        if self._gone:
            self._gone = None

    def begin(
        self,
        nursery: Nursery,
        context: Context | None,
        owner: Owner,
        *,
        comeback: bool | None = None,
        restarts: bool = False,
    ) -> Life:
        """Start a new incarnation; the one before must be over.

        `comeback`: whether another one is to follow should the start fail. `restarts`: whether,
        should it succeed, it counts as a restart.
        """
        self.reopen()
        self.owner = owner
        self.incarnation += 1
        self._away = None
        self.mailbox.reopen()
        if self.life is not None:
            self.life.error = None  # its traceback holds all that was
        self.life = life = Life(self, nursery, self._surroundings)
        life.comeback, life.restarts = comeback, restarts
        life.spawn(context)
        return life

    def restarted(self) -> None:
        """Count, and tell, that a new incarnation follows one that has ended."""
        self.restarts += 1
        self._surroundings.events.emit(Restarted(self.path, self.incarnation))

    @property
    def attempts_made(self) -> int:
        """Restarts in a row by its backoff, after the life that has ended now."""
        backoff, life = self.spec.terms.backoff, self.life
        assert backoff is not None
        assert life is not None
        return backoff.attempts_after(self.attempts, life.ran)

    def next_delay(self) -> float:
        """Count one more restart, and give the seconds that it waits by its backoff."""
        backoff, shared = self.spec.terms.backoff, self._surroundings
        assert backoff is not None
        attempt = self.attempts_made
        self.attempts = attempt + 1
        self.restarted_at = (*self.restarted_at, shared.clock())[-self.attempts :]
        return backoff.delay(attempt, shared.random())

    def closing(self, *, comes_back: bool, drains: bool) -> None:
        """Take no more messages: a stop is under way."""
        if comes_back:
            self.mailbox.reopen()  # it may have left for good, but its group is to restart
            self.failing()
        else:
            self._away = None
            self.mailbox.close()
            if not drains:
                self._bounce(ActorStopped)

    def failing(self) -> None:
        """Bounce questions, and keep what else comes: this incarnation handles no more."""
        self._away = "failing"
        self._bounce(Restarting)

    def drop_current(self, reason: Exit, error: BaseException | None) -> None:
        """Fail the question that was being handled; a message that was is a dead letter."""
        item, self.current = self.current, None
        if isinstance(item, Question):
            crashed = Crashed(self.path, reason)
            crashed.__cause__ = error
            item.answer.fail(crashed)
        elif item is not None and not isinstance(item, Signal):
            self._lose(item, "crashed")

    def wait(self) -> None:
        """Keep the messages for the next incarnation, which is to come, and bounce questions."""
        self._away = "waiting"
        self.mailbox.reopen()  # an actor that stopped itself has closed it
        self._bounce(Restarting)
        if self.spec.terms.queued == "drop":
            for message in self.mailbox.clear():
                self._lose(message, "dropped")

    def doze(self) -> None:
        """End, and come back as soon as somebody has something to say."""
        self._away = "passive"
        self.mailbox.take_back(lambda signal: True)  # what its hook has set
        self.life = None

    def wake(self) -> None:
        """Be about to come back, and keep all that waits: nobody has failed."""
        self._away = "waking"

    def vacate(self) -> None:
        """End for good: nothing that was said, or will be, reaches anybody."""
        self._away = None
        self.mailbox.close()
        self._bounce(ActorStopped)
        for message in self.mailbox.clear():
            self._lose(message, "stopped")
        inlet, self.inlet = self.inlet, None
        self.life = None  # cuts the cycles: nothing waits for the collector
        if inlet is not None:
            inlet.vacated()
        if self._gone is None:
            self._gone = HAPPENED
        else:
            self._gone.happen()

    # ------------------------------------------------------------------ its actor's side

    def take(self) -> bool:
        """Take the next entry of the mailbox in hand; False where its asker has gone."""
        item = self.mailbox.get_nowait()
        if isinstance(item, Question):
            if not item.answer.wanted:
                return False
            item.answer.begun = True
        self.take_up(item)
        return True

    def take_up(self, item: object) -> None:
        """Have this in hand now."""
        self.current = item
        self.since = self._surroundings.clock()

    @property
    def message(self) -> object:
        """The message in hand."""
        item = self.current
        return item.message if isinstance(item, Question | Signal) else item

    def put_down(self) -> object:
        """Be done with what is in hand, and give it back."""
        item, self.current = self.current, None
        if self.spec.terms.idle_timeout is not None:
            self.idle_since = self._surroundings.clock()
        return item

    # ------------------------------------------------------------------ everybody else's side

    def put_nowait(self, item: object) -> None:
        """Put a message or a question into the mailbox."""
        if self._away is not None:
            self._while_away(item)
        try:
            self.mailbox.put_nowait(item)
        except MailboxFull as full:
            self._overflow(item, full)

    async def put(self, item: object) -> None:
        """Put a message into the mailbox, waiting for room."""
        if self._away is not None:
            self._while_away(item)
        await self.mailbox.put(item)

    def refused(self, message: object, error: NotHandled) -> None:
        """Make a dead letter of a message that was told and not taken."""
        self._lose(message, "full" if isinstance(error, MailboxFull) else "stopped")

    def watch(self, monitor: Monitor) -> None:
        """Tell the monitor of the end of the incarnation that lives here now."""
        if self.life is None or self.life.over:
            monitor.fire(NOPROC)
        else:
            self.life.watch(monitor)

    def _while_away(self, item: object) -> None:
        if self._away == "passive":
            assert self.owner is not None
            self.owner.revive(self)
        elif self._away != "waking" and isinstance(item, Question):
            raise Restarting(self.path)

    def _overflow(self, item: object, full: MailboxFull) -> None:
        overflow = self.spec.terms.overflow
        if overflow == "drop_oldest":
            evicted = self.mailbox.evict()
            self.mailbox.put_nowait(item)
            if isinstance(evicted, Question):
                evicted.answer.fail(full)
            else:
                self._lose(evicted, "evicted")
            return
        if overflow == "stop" and self.life is not None and not self.life.ending:
            self.life.fail(full)
        raise full

    def _bounce(self, error: Callable[[str], NotHandled]) -> None:
        """Fail the questions that wait."""
        if self.mailbox.empty:
            return
        kept: list[object] = []
        for item in self.mailbox.clear():
            if isinstance(item, Question):
                item.answer.fail(error(self.path))
            else:
                kept.append(item)
        self.mailbox.put_back(kept)

    def _lose(self, message: object, why: Fate) -> None:
        self._surroundings.letters.add(self.path, message, why)
