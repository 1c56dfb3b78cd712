"""The queue of one actor: bounded, ordered, with one reader."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from .backend import Waiter
from .errors import ActorStopped, MailboxFull


class Signal:
    """What the runtime itself puts into a mailbox: in order, exempt from the bound."""

    __slots__ = ("message", "origin", "waits")

    def __init__(self, message: object, origin: object) -> None:
        self.message = message
        self.origin = origin
        """What it came of, by which it can be taken back."""
        self.waits = True
        """Whether it is still in the mailbox."""


class Sleeper(Protocol):
    """Stands where a reader waits, and has no task yet."""

    @property
    def parked(self) -> bool:
        """True: it waits."""
        ...

    def wake(self) -> None:
        """Begin to read."""
        ...


NOTHING: Final[deque[object]] = deque(maxlen=0)
"""What stands in a mailbox before its first message: a deque is 0.7 KiB, and many never get one."""


class Mailbox:
    """Messages in the order of their arrival; many put, one task gets.

    Signals stand in the same order, and count neither for the bound nor for the length. What
    overtakes everything, a stop, is no entry at all: the reader is woken and looks elsewhere.
    """

    __slots__ = (
        "_capacity",
        "_closed",
        "_items",
        "_owner",
        "_reader",
        "_signals",
        "_writers",
        "high_water",
    )

    def __init__(self, owner: str, capacity: int | None = 1000) -> None:
        self._owner = owner
        self._capacity = float("inf") if capacity is None else capacity
        self._items: deque[object] = NOTHING
        self._signals = 0
        self._reader: Waiter | Sleeper = Waiter()
        self._writers: deque[Waiter] | None = None
        self._closed = False
        self.high_water = 0
        """The most messages that have ever waited."""

    def __len__(self) -> int:
        return len(self._items) - self._signals

    @property
    def empty(self) -> bool:
        """Whether there is nothing to get, neither a message nor a signal."""
        return not self._items

    @property
    def awaited(self) -> bool:
        """Whether the reader waits for something to come."""
        return self._reader.parked

    def put_nowait(self, message: object) -> None:
        """Append a message.

        Raises:
            ActorStopped: The mailbox is closed.
            MailboxFull: As many messages as it may hold wait already.
        """
        if self._closed:
            raise ActorStopped(self._owner)
        waiting = len(self._items) - self._signals
        if waiting >= self._capacity:
            raise MailboxFull(self._owner, int(self._capacity))
        if waiting >= self.high_water:
            self.high_water = waiting + 1
        if self._items is NOTHING:
            self._items = deque()
        self._items.append(message)
        self._reader.wake()

    async def put(self, message: object) -> None:
        """Append a message, and wait for room first where there is none.

        Cancelling a waiting `put` leaves the message out.

        Raises:
            ActorStopped: The mailbox is closed.
        """
        if self._full and not self._closed:
            await self._room()
        self.put_nowait(message)

    def put_signal(self, signal: Signal) -> None:
        """Append a signal, whatever waits; a closed mailbox drops it."""
        if not self._closed:
            if self._items is NOTHING:
                self._items = deque()
            self._items.append(signal)
            self._signals += 1
            self._reader.wake()

    async def get(self) -> object:
        """Wait for the oldest entry and remove it.

        Cancelling a pending `get` never loses a message.

        Raises:
            ActorStopped: The mailbox is closed and empty.
        """
        while not self._items:
            if self._closed:
                raise ActorStopped(self._owner)
            await self.wait()
        return self.get_nowait()

    def get_nowait(self) -> object:
        """Remove the oldest entry; an `IndexError` where there is none."""
        item = self._items.popleft()
        if type(item) is Signal:
            self._signals -= 1
            item.waits = False
        elif self._writers:
            self._writers[0].wake()
        return item

    def evict(self) -> object:
        """Remove the oldest message to make room; None where only signals wait."""
        for index, item in enumerate(self._items):
            if not isinstance(item, Signal):
                del self._items[index]
                return item
        return None

    def take_back(self, matches: Callable[[Signal], bool]) -> None:
        """Remove the signals that match."""
        if self._signals:
            kept = [i for i in self._items if not (isinstance(i, Signal) and matches(i))]
            self._signals -= len(self._items) - len(kept)
            self._items = deque(kept)

    def close(self) -> None:
        """Take no more messages; those that wait can still be read."""
        self._closed = True
        self.wake()
        self._wake_writers()

    def reopen(self) -> None:
        """Take messages again: the next incarnation starts."""
        self._closed = False

    def clear(self) -> list[object]:
        """Remove everything, and return the messages."""
        messages = [item for item in self._items if not isinstance(item, Signal)]
        self._items.clear()
        self._signals = 0
        self._wake_writers()
        return messages

    def put_back(self, messages: list[object]) -> None:
        """Put messages that were cleared to where they stood, before all that came since."""
        if messages:
            self._items = deque([*messages, *self._items])

    def wait(self) -> Awaitable[None]:
        """Wait until something changes: a message, the end, or a `wake`."""
        assert isinstance(self._reader, Waiter)
        return self._reader.wait()

    def sleep(self, reader: Sleeper) -> None:
        """Let the next that comes wake a reader that has no task yet; what waits does at once."""
        self._reader = reader
        if self._items:
            reader.wake()

    def awake(self) -> None:
        """Let a task wait from now on."""
        self._reader = Waiter()

    def wake(self) -> None:
        """Let the reader look again: something besides the messages has changed."""
        self._reader.wake()

    @property
    def _full(self) -> bool:
        return len(self._items) - self._signals >= self._capacity

    def _wake_writers(self) -> None:
        for writer in self._writers or ():
            writer.wake()

    async def _room(self) -> None:
        """Wait in the queue of the writers, and keep the place in it until there is room."""
        waiter = Waiter()
        if self._writers is None:
            self._writers = deque()
        self._writers.append(waiter)
        try:
            while self._full and not self._closed:
                await waiter.wait()
        finally:
            # A writer that was woken and then cancelled must not keep its turn to itself.
            self._writers.remove(waiter)
            if self._writers and not self._full:
                self._writers[0].wake()


class _NoMailbox(Mailbox):
    """Closed for ever, and so nothing is ever put into it."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("nobody", 0)
        super().close()

    def close(self) -> None:
        """Stay closed."""

    def reopen(self) -> None:
        """Stay closed."""


NO_MAILBOX: Final = _NoMailbox()
"""That of all actors whose messages go elsewhere: 0.15 KiB less for each."""
