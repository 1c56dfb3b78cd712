"""The messages of one peer that wait for their handler: bounded in number and bytes."""

from herdwick.runtime import Waiter

from .transport import Data, size_of


class Inbox:
    """What a peer has sent and nobody has read yet.

    The bounds are told, not enforced: whoever delivers decides what a full inbox means.
    """

    __slots__ = ("_bytes", "_messages", "_most_bytes", "_most_messages", "reader")

    def __init__(self, most_messages: int, most_bytes: int) -> None:
        self._messages: list[Data] | None = None
        """Made for the first. No deque: that is 0.7 KiB, and what is taken from the front of some
        dozens costs nothing."""
        self._bytes = 0
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self.reader = Waiter()
        """Where the one who reads waits for a message, or for the end of the connection."""

    def __len__(self) -> int:
        return len(self._messages or ())

    @property
    def half_empty(self) -> bool:
        """Whether there is room enough to read on after a pause."""
        return len(self) <= self._most_messages // 2 and self._bytes <= self._most_bytes // 2

    def put(self, data: Data) -> bool:
        """Append a message and wake the reader; tell whether as much waits now as may."""
        messages = self._messages
        if messages is None:
            messages = self._messages = []
        messages.append(data)
        self._bytes += size_of(data)
        self.reader.wake()
        return len(messages) >= self._most_messages or self._bytes >= self._most_bytes

    def bound(self, most_messages: int, most_bytes: int) -> None:
        """Let so much wait from here on."""
        self._most_messages = most_messages
        self._most_bytes = most_bytes

    def get(self) -> Data | None:
        """Remove the oldest message; None where there is none."""
        messages = self._messages
        if not messages:
            return None
        data = messages.pop(0)
        self._bytes = self._bytes - size_of(data) if messages else 0
        return data

    def clear(self) -> None:
        """Drop all messages."""
        self._messages = None
        self._bytes = 0
