"""What a contestant offers: actors that count, each from a number of its own."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from herdwick.runtime import Ask, Message


class Add(Message):
    """Count one more."""


class Get(Ask[int]):
    """How many are counted?"""


ADD: Final = Add()
GET: Final = Get()


class Counter(Protocol):
    """One actor, as others see it."""

    def tell(self, message: Add, /) -> object:
        """Put a message into its mailbox."""
        ...

    def ask(self, message: Get, /) -> Awaitable[int]:
        """Ask, and wait for the answer."""
        ...


C = TypeVar("C", bound=Counter)


@dataclass(frozen=True, slots=True)
class Crowd(Generic[C]):
    """The actors of one contestant that run now."""

    start: Callable[[int], Awaitable[C]]
    """Start one more, which counts from that number, and wait until it is ready."""

    end: Callable[[C], Awaitable[None]]
    """Stop one of them, and wait until it is gone."""

    stop: Callable[[], Awaitable[None]]
    """Stop all of them, and wait until they are gone."""

    count: Callable[[], int]
    """How many of them the runtime still knows."""


OpenCrowd: TypeAlias = Callable[[], AbstractAsyncContextManager[Crowd[C]]]
