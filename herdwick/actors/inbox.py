"""The messages of one peer that wait for their handler: bounded in number and bytes."""

from collections import deque

from herdwick.runtime import Waiter

from .transport import Data, size_of


class Inbox:
    """What a peer has sent and nobody has read yet.

    The bounds are told, not enforced: whoever delivers decides what a full inbox means.
    """

    __slots__ = ("_bytes", "_messages", "_most_bytes", "_most_messages", "_reader")

    def __init__(self, most_messages: int, most_bytes: int) -> None:
        self._messages: deque[Data] = deque()
        self._bytes = 0
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._reader = Waiter()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def full(self) -> bool:
        """Whether as much waits as may."""
        return len(self._messages) >= self._most_messages or self._bytes >= self._most_bytes

    @property
    def half_empty(self) -> bool:
        """Whether there is room enough to read on after a pause."""
        return (
            len(self._messages) <= self._most_messages // 2 and self._bytes <= self._most_bytes // 2
        )

    def put(self, data: Data) -> None:
        """Append a message and wake the reader."""
        self._messages.append(data)
        self._bytes += size_of(data)
        self._reader.wake()

    def get(self) -> Data:
        """Remove the oldest message."""
        data = self._messages.popleft()
        self._bytes -= size_of(data)
        return data

    def clear(self) -> None:
        """Drop all messages."""
        self._messages.clear()
        self._bytes = 0

    async def wait(self) -> None:
        """Wait for a message or for a `wake`; cancelling loses no message."""
        await self._reader.wait()

    def wake(self) -> None:
        """Let the reader look: the connection is over."""
        self._reader.wake()
