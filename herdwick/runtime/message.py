"""What actors say to each other: frozen structs, typed by their reply."""

from typing import Generic, Protocol, Self, TypeVar, dataclass_transform

import msgspec

from .ref import Ref

Q_co = TypeVar("Q_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Askable(Protocol[Q_co, R_co]):
    """A message that can be asked, with the type of its reply."""

    def __ask__(self, ref: Ref[Q_co], /) -> R_co:
        """Tie message and reply together for type checkers; never called."""
        ...


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, tag=True):
    """An order or a fact that wants no answer.

    Asked all the same, it answers None once it was handled. On the wire its class name is the
    field `type`, so that a union of messages decodes to the right one.
    """

    def __ask__(self, ref: Ref[Self], /) -> None:
        """Tie message and reply together for type checkers; never called."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Ask(msgspec.Struct, Generic[R], frozen=True, tag=True):
    """A question; `R` is the type of its answer."""

    def __ask__(self, ref: Ref[Self], /) -> R:
        """Tie message and reply together for type checkers; never called."""
        raise NotImplementedError
