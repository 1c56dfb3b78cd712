"""What somebody asks of the server, and waits for the answer to."""

from typing import TypeAlias

import anyio
import msgspec

from herdwick.protocol import Push, Refresh
from herdwick.protocol import Refused as RefusedFrame
from herdwick.runtime import Once

from .errors import AnswerTimeout, Refused, SendTimeout

Asking: TypeAlias = Push | Refresh


class Question:
    """One `push` or `refresh`, from its wish to its answer."""

    __slots__ = ("_error", "_over", "_payload", "frame", "ref", "sent")

    def __init__(self, ref: int, frame: Asking) -> None:
        self.ref = ref
        self.frame = frame
        self.sent = False
        """Whether it may have left the client."""
        self._over = Once()
        self._error: BaseException | None = None
        self._payload = msgspec.Raw(b"null")

    @property
    def topic(self) -> str | None:
        """The topic that it is about; None for a token."""
        return self.frame.topic if isinstance(self.frame, Push) else None

    def answer(self, payload: msgspec.Raw) -> None:
        """Let the one who waits go on with this."""
        self._payload = payload
        self._over.happen()

    def fail(self, error: BaseException) -> None:
        """Let the one who waits go on with an error."""
        self._error = error
        self._over.happen()

    async def wait(self, timeout: float | None) -> msgspec.Raw:
        """Wait for the answer, at most this many seconds.

        Raises:
            SendTimeout: It could not be sent in time.
            AnswerTimeout: It was sent, and not answered in time.
            BaseException: What it failed with.
        """
        with anyio.move_on_after(timeout):
            await self._over.wait()
        if self._error is not None:
            raise self._error
        if not self._over:
            assert timeout is not None
            raise (AnswerTimeout if self.sent else SendTimeout)(self.topic, timeout)
        return self._payload


def refusal(frame: RefusedFrame, topic: str | None) -> Refused:
    """Make an error of a refusal."""
    detail = msgspec.json.decode(frame.detail)
    return Refused(topic, frame.code, frame.message, detail, frame.retry_after)
