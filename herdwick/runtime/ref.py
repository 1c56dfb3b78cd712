"""The address of an actor: all that others ever hold of it."""

from typing import TYPE_CHECKING, Generic, Never, Protocol, TypeVar, cast

from .ask import Answer, Place, Question, current_asker, refuse_cycle
from .errors import NotHandled
from .monitors import Monitor
from .timers import Timers

if TYPE_CHECKING:  # messages are typed by refs, and refs by messages
    from .message import Askable
    from .slot import Slot

M_contra = TypeVar("M_contra", contravariant=True)
Q = TypeVar("Q")
R = TypeVar("R")


class Inlet(Place, Protocol):
    """Where what is said to an actor goes in."""

    @property
    def slot(self) -> "Slot | None":
        """The place in a tree that it belongs to, while it does."""
        ...

    @property
    def timers(self) -> Timers | None:
        """The timers of its system, if it has one."""
        ...

    def put_nowait(self, item: object) -> None:
        """Hand over a message or a question, or raise `NotHandled`."""
        ...

    async def put(self, item: object) -> None:
        """Hand over a message, waiting for room."""
        ...

    def refused(self, message: object, error: NotHandled) -> None:
        """Make visible that a message was told and not taken."""
        ...

    def watch(self, monitor: Monitor) -> None:
        """Tell the monitor of the end of the incarnation that lives there now."""
        ...


class Port(Inlet, Protocol):
    """An inlet that an actor has in place of its mailbox."""

    def vacated(self) -> None:
        """Take note that the actor has ended for good."""
        ...


class Ref(Generic[M_contra]):
    """An actor's place in the tree; it stays valid when the actor restarts.

    Two refs to one place are equal.
    """

    __slots__ = ("__weakref__", "_inlet")

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet

    @property
    def path(self) -> str:
        """The actor's place in the tree, as `root/rooms/lobby`."""
        return self._inlet.path

    @property
    def incarnation(self) -> int:
        """The number of the life that it leads, or has led last; 0 where there was none."""
        return 0 if self._inlet.slot is None else self._inlet.slot.incarnation

    def tell(self, message: M_contra, /) -> bool:
        """Put a message into the actor's mailbox, and return whether it was taken.

        Never waits. A message that is refused, because the actor has ended or is too far
        behind, is a dead letter: it is logged, and counted.
        """
        try:
            self._inlet.put_nowait(message)
        except NotHandled as error:
            self._inlet.refused(message, error)
            return False
        return True

    async def send(self, message: M_contra, /) -> None:
        """Put a message into the actor's mailbox, waiting for room where it is full.

        Cancelling a waiting `send` takes the message back.

        Raises:
            ActorStopped: The actor has ended.
            NotHandled: It is passive, and its pool too full to wake it.
        """
        await self._inlet.put(message)

    async def ask(self: "Ref[Q]", message: "Askable[Q, R]", /, *, timeout: float = 5.0) -> R:
        """Ask, and wait for the answer for `timeout` seconds.

        The end of the actor fails the question at once. Cancelling forgets it; it may still
        be handled.

        Raises:
            NotHandled: Nobody handled it: asking again is safe.
            Unanswered: It may have been handled: the actor failed, or took too long.
            Rejected: The actor answered with an error.
            Deadlock: The actor waits, itself or through others, for the one who asks.
        """
        answer: Answer[R] = Answer()
        question = Question(message, cast("Answer[object]", answer))
        asker = current_asker()
        if asker is None:
            self._inlet.put_nowait(question)
            return await answer.wait_for(self.path, timeout, self._inlet.timers)
        refuse_cycle(asker, self._inlet)
        self._inlet.put_nowait(question)
        asker.asks = (self._inlet, answer)
        try:
            return await answer.wait_for(self.path, timeout, self._inlet.timers)
        finally:
            asker.asks = None

    def watch(self, monitor: Monitor, /) -> None:
        """Let a monitor know when the incarnation that lives there now has ended."""
        self._inlet.watch(monitor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other._inlet is self._inlet

    def __hash__(self) -> int:
        return id(self._inlet)

    def __repr__(self) -> str:
        return f"<Ref {self.path}>"


def slot_of(ref: Ref[Never]) -> "Slot | None":
    """Give the place behind a ref, for those who look after actors; None where it has none."""
    return ref._inlet.slot  # pyright: ignore[reportPrivateUsage]  # a friend, for the runtime
