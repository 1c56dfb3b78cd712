"""What a client knows of one topic: pure bookkeeping, no I/O and no waiting."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any, TypeAlias

import msgspec

from herdwick.protocol import INVALID_POSITION, Join, Joined, Left, Moved, Presence, Publication
from herdwick.protocol import Gap as GapFrame
from herdwick.protocol import Refused as RefusedFrame
from herdwick.runtime import Once

from .comeback import wait_before
from .errors import MembershipEnded, NotSent
from .events import Gap, Message, Rejoined
from .inbox import Inbox
from .presence import Roster
from .question import Question, refusal

TopicFrame: TypeAlias = Publication | Moved | GapFrame | Presence
"""What comes for the members of a topic, in an order that counts."""


class Phase(Enum):
    """How the client stands to the topic."""

    OUTSIDE = auto()  # it joins, or will join again
    MEMBER = auto()
    OVER = auto()


class Membership:
    """One topic that the client wants to be in, over as many connections as that takes."""

    def __init__(
        self, topic: str, params: dict[str, Any], since: str | None, capacity: int
    ) -> None:
        self.topic = topic
        self.phase = Phase.OUTSIDE
        self.position = since
        self.payload: Any = None
        self.recovered = False
        self.roster = Roster()
        self.inbox = Inbox(capacity)
        self.unsent: deque[Question] = deque()
        """What was pushed, and waits for a connection and for its turn."""
        self.settled = Once()
        """Happens with the first `joined`, or with the end."""
        self.retry_at = 0.0
        """When to join again at the earliest, by the clock of the loop."""
        self.error: BaseException | None = None
        """Why it is over; None where the client has left."""
        self._params = params
        self._refusals = 0

    def join(self, ref: int) -> Join:
        """Make the frame to join with, from where the client stands."""
        return Join(ref, self.topic, self._params, self.position)

    def push(self, question: Question) -> None:
        """Let a push wait for its turn.

        Raises:
            NotSent: The membership is over.
        """
        if self.phase is Phase.OVER:
            raise NotSent(self.topic) from self.error
        self.unsent.append(question)

    def joined(self, frame: Joined) -> None:
        """Begin, or go on after an interruption; what was missed is told in the inbox."""
        if self.phase is Phase.OVER:
            return
        asked, self.position = self.position, frame.position
        self.phase, self.recovered = Phase.MEMBER, frame.recovered
        self._refusals = 0
        self.payload = msgspec.json.decode(frame.payload)
        if self.settled:
            self.inbox.put(Rejoined(frame.recovered, self.payload))
        if not frame.recovered and (self.settled or asked is not None):
            self.inbox.put(Gap(frame.gap or "unrecorded"))
        changed = self.roster.replace(frame.presence or {})
        if changed is not None and self.settled:
            self.inbox.put(changed)
        self.settled.happen()

    def receive(self, frame: TopicFrame) -> None:
        """Take in what comes for the members; nothing where the client is none."""
        if self.phase is not Phase.MEMBER:
            return
        match frame:
            case Publication():
                self.inbox.put(Message(frame.payload, frame.position))
            case GapFrame():
                self.inbox.put(Gap(frame.reason))
            case Presence():
                changed = self.roster.apply(frame.joins, frame.leaves)
                if changed is not None:
                    self.inbox.put(changed)
                return
            case Moved():
                pass
        if frame.position is not None:
            self.position = frame.position

    def refused(self, frame: RefusedFrame, now: float, chance: float) -> None:
        """Stay outside for a while, or for good: a first join is not tried again."""
        error, seconds = refusal(frame, self.topic), frame.retry_after
        if frame.code == INVALID_POSITION and self.position is not None:
            seconds, self.position = 0.0, None  # once more, and with a gap
        self._wait_outside(seconds if self.settled else None, error, now, chance)

    def left(self, frame: Left, now: float, chance: float) -> None:
        """Be put out, for a while or for good."""
        error = MembershipEnded(self.topic, frame.reason, frame.message)
        self._wait_outside(frame.retry_after, error, now, chance)

    def lost(self) -> None:
        """Be a member no more, for the connection is gone."""
        if self.phase is Phase.MEMBER:
            self.phase = Phase.OUTSIDE

    def end(self, error: BaseException | None) -> None:
        """Be over: by an error, or because the client leaves. What came before can be read."""
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        self.error = error
        while self.unsent:
            failure = NotSent(self.topic)
            failure.__cause__ = error
            self.unsent.popleft().fail(failure)
        self.inbox.end(error)
        self.settled.happen()

    def _wait_outside(
        self, seconds: float | None, error: Exception, now: float, chance: float
    ) -> None:
        if seconds is None:
            self.end(error)
        elif self.phase is not Phase.OVER:
            self.phase = Phase.OUTSIDE
            self._refusals += 1
            self.retry_at = now + seconds + wait_before(self._refusals, chance)
