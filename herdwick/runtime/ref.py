"""The address of an actor: all that others ever hold of it."""

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from .ask import Answer, Question
from .errors import NotHandled

if TYPE_CHECKING:  # messages are typed by refs, and refs by messages
    from .message import Askable

M_contra = TypeVar("M_contra", contravariant=True)
Q = TypeVar("Q")
R = TypeVar("R")


class Inlet(Protocol):
    """Where what is said to an actor goes in."""

    @property
    def path(self) -> str:
        """The actor's place in the tree, as `root/rooms/lobby`."""
        ...

    def put_nowait(self, item: object) -> None:
        """Hand over a message or a question, or raise `NotHandled`."""
        ...

    async def put(self, item: object) -> None:
        """Hand over a message, waiting for room."""
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

    def tell(self, message: M_contra, /) -> bool:
        """Put a message into the actor's mailbox, and return whether it was taken.

        Never waits. A message that is refused, because the actor has ended or is too far
        behind, is gone.
        """
        try:
            self._inlet.put_nowait(message)
        except NotHandled:
            return False
        return True

    async def send(self, message: M_contra, /) -> None:
        """Put a message into the actor's mailbox, waiting for room where it is full.

        Cancelling a waiting `send` takes the message back.

        Raises:
            ActorStopped: The actor has ended.
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
        """
        answer: Answer[R] = Answer()
        self._inlet.put_nowait(Question(message, cast("Answer[object]", answer)))
        return await answer.wait(self.path, timeout)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other._inlet is self._inlet

    def __hash__(self) -> int:
        return id(self._inlet)

    def __repr__(self) -> str:
        return f"<Ref {self.path}>"
