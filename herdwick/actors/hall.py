"""The topic of a room: what outlives the room's incarnations, and where its errands wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from herdwick.runtime import (
    ActorStopped,
    Answer,
    Life,
    MailboxFull,
    Policy,
    Ref,
    Signal,
    Slot,
    Waiter,
)

from .left import Left
from .presence import PresenceDiff
from .pump import part_of_path
from .refusals import JoinRefused, RoomFull, RoomUnavailable
from .room import Departure, Errand, Poke, Push, Room, RoomBody
from .topic import Topic, TopicKind

if TYPE_CHECKING:
    from .member import Member
    from .realtime import Realtime

TERMS: Final = Policy(restart="transient", drain=True, start_timeout=10.0)


class RoomSpec:
    """What the pool of rooms needs to know of one."""

    port = None

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.name = part_of_path(hall.name)
        """Its part of the path."""
        self.terms = TERMS

    def embody(self, life: Life) -> RoomBody:
        """Make the body of a new incarnation."""
        self.hall.readmit(life.slot)
        return RoomBody(life, self.hall)


class Hall(Topic):
    """A topic with a room.

    What members want, to join, to be heard, to leave, waits here in one order. A crash, a restart
    of the whole branch or a room that is put away touches none of it: the next incarnation goes on
    with the oldest; only what was in hand fails.
    """

    def __init__(
        self, name: str, kind: TopicKind, values: Mapping[str, object], realtime: Realtime
    ) -> None:
        super().__init__(name, kind, values, realtime)
        self.slot: Slot | None = None
        """The room's place in the tree, once it has one."""
        self._errands: deque[Errand] = deque()
        self._pushers: deque[Waiter] = deque()
        """Those who wait until one more push may wait, in the order in which they have come."""
        self._failed_until = float("-inf")

    # ------------------------------------------------------------------ what members want

    @property
    def failed_for(self) -> float:
        """Seconds for which nobody may join, because the room has failed too often."""
        return max(0.0, self._failed_until - self._realtime.clock())

    def submit(self, errand: Errand) -> None:
        """Let an errand wait for the room, and have the room there.

        Raises:
            RoomFull: Too many wait already.
            RoomUnavailable: The room has failed too often.
        """
        if isinstance(errand, Push) and self._full:
            raise RoomFull(self.name, self.kind.capacity)
        if self.failed_for:
            raise RoomUnavailable(self.name, self.failed_for)
        self._errands.append(errand)
        self.wake_room()

    @property
    def full(self) -> bool:
        """Whether a push would have to wait for room first."""
        return (self._full or bool(self._pushers)) and not self.failed_for

    async def space(self) -> None:
        """Wait until one more push may wait; who has come first goes first."""
        waiter = Waiter()
        self._pushers.append(waiter)
        try:
            while (self._full or self._pushers[0] is not waiter) and not self.failed_for:
                await waiter.wait()
        finally:
            # The next one looks when this one has submitted, or was cancelled instead.
            self._pushers.remove(waiter)
            self._wake_pusher()

    @property
    def _full(self) -> bool:
        return len(self._errands) >= self.kind.capacity

    def _wake_pusher(self) -> None:
        if self._pushers:
            self._pushers[0].wake()

    def detach(self, member: Member, left: Left) -> None:
        """Let a member go, and have the room hear of it."""
        was_in = self.members.get(member.id) is member
        super().detach(member, left)
        if was_in and not self.failed_for:
            self._errands.append(Departure(left, member, Answer()))
            self.wake_room()

    # ------------------------------------------------------------------ the room's side

    def make_room(self) -> Room[Any]:
        """Make the room of a new incarnation, from the parameters in the topic's name."""
        room = self.kind.room
        assert room is not None
        return room(**self.values)

    @property
    def snapshot(self) -> object:
        """What the last incarnation has left behind; None: nothing."""
        return self._realtime.snapshots.get(self.name)

    def keep(self, snapshot: object) -> None:
        """Keep a snapshot for the next incarnation."""
        self._realtime.keep(self.name, snapshot)

    @property
    def has_pumps(self) -> bool:
        """Whether what is published is offered now; not while the pumps' branch is down."""
        return self._realtime.takes_pumps

    def next_errand(self) -> Errand | None:
        """Take the oldest errand; pushes whose sender does not wait any more are left out."""
        while self._errands:
            errand = self._errands.popleft()
            if len(self._errands) == self.kind.capacity - 1:
                self._wake_pusher()
            if errand.answer.wanted:
                return errand
        return None

    def done(self) -> None:
        """Have done an errand."""
        if not self.members:
            self.busy()

    def busy(self) -> None:
        """Have work, members or not."""
        self.quiet_since = self._realtime.clock()

    def turn_away(self, refusal: JoinRefused) -> None:
        """Let all go: there is to be no such room, though there may have been one before."""
        for member in list(self.members.values()):
            left = Left("removed", reason=refusal.reason)
            member.end(left, code=4403, retry_after=refusal.retry_after)
        self.refuse_all(refusal)

    def refuse_all(self, refusal: Exception) -> None:
        """Fail all that wait."""
        errands, self._errands = self._errands, deque()
        for errand in errands:
            errand.answer.fail(refusal)
        for pusher in self._pushers:
            pusher.wake()

    def _announced(self, diff: object) -> None:
        slot, room = self.slot, self.kind.room
        assert room is not None
        hears = room.on_presence is not Room.on_presence
        if hears and slot is not None and slot.state == "running":
            slot.mailbox.put_signal(Signal(cast(PresenceDiff, diff), "presence"))

    # ------------------------------------------------------------------ the room's life

    @property
    def wanted(self) -> bool:
        """Whether somebody needs the room: members, or errands."""
        return bool(self.members or self._errands)

    def ref(self) -> Ref[Any]:
        """Give the room's address; the room is there, or about to be.

        Raises:
            RoomUnavailable: The branch of the rooms is down.
        """
        self.wake_room()
        if self.slot is None:
            raise RoomUnavailable(self.name, 1.0)
        return self.slot.ref()

    def wake_room(self) -> None:
        """Have the room look at its errands; start it where it is not there.

        While the branch of the rooms is down nothing happens: it looks for itself when it is back.
        """
        slot = self.slot
        if slot is None or (slot.gone and not self.failed_for):
            with suppress(ActorStopped):
                self.slot = self._realtime.spawn_room(RoomSpec(self), self.wanted, slot)
                self.slot.gone.then(self._room_gone)
        elif slot.state == "running":
            slot.mailbox.wake()
        elif slot.state == "passive" or (slot.life is not None and slot.life.passivating):
            with suppress(MailboxFull):  # there is something in it then, which does as well
                slot.put_nowait(Poke())

    def _room_gone(self) -> None:
        """Have ended for good: failed too often, put away, or stopped with the whole branch."""
        slot = self.slot
        if slot is None:
            return
        if not self._realtime.takes_rooms:
            if self.wanted:
                self._realtime.look_after(self)  # as soon as the rooms' branch is back
        elif slot.last_exit is not None and slot.last_exit.abnormal:
            self._failed_until = self._realtime.clock() + self.kind.cool_down
            self.fail("the room failed again and again")
            self.refuse_all(RoomUnavailable(self.name, self.kind.cool_down))
        elif self.wanted:
            self._realtime.look_after(self)

    # ------------------------------------------------------------------ its end

    @property
    def unused(self) -> bool:
        """Whether nobody needs it."""
        life = None if self.slot is None else self.slot.life
        rests = life is None or (life.acknowledged and life.waits) or life.ending
        return super().unused and not self._errands and rests and not self.failed_for

    def readmit(self, slot: Slot) -> None:
        """Be there again, after it was put away: somebody has woken the room."""
        if self._closed:
            self.slot = slot
            self._reopen()

    def close(self) -> None:
        """Be put away, the room with it: who speaks to the room's ref wakes it again."""
        slot, self.slot = self.slot, None
        if slot is not None and slot.life is not None:
            slot.life.passivate()
        super().close()
