"""The actor of a topic: it offers what is published to each member, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from herdwick.runtime import Life, Policy, checkpoint

if TYPE_CHECKING:
    from .topic import Topic

CHECKPOINT_EVERY: Final = 256
"""Members after which the others have their turn."""

TERMS: Final = Policy(restart="permanent", mailbox=1)


class Pump:
    """The spec of a topic's actor. Its mailbox is the topic's queue: nobody sends it messages."""

    port = None

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.name = part_of_path(topic.name)
        """Its part of the path."""
        self.terms = TERMS

    def embody(self, life: Life) -> PumpBody:
        """Make the body of a new incarnation."""
        return PumpBody(life, self.topic)


class PumpBody:
    """One incarnation: what one before has offered, it does not offer again.

    How far each member has heard stands with the member, and moves in the same turn in which the
    publication goes into its outbox.
    """

    on_end = on_stop = None

    def __init__(self, life: Life, topic: Topic) -> None:
        self._life = life
        self._topic = topic
        self.starts_idle: bool = not topic.waiting

    async def live(self) -> None:
        """Offer what is queued, again and again."""
        life, topic, mailbox = self._life, self._topic, self._life.slot.mailbox
        if not self.starts_idle:
            life.started()
        while life.goes_on:
            if topic.waiting:
                await self._fan_out()
            else:
                await mailbox.wait()

    def stop(self) -> None:
        """Go no further."""
        self._life.slot.mailbox.wake()

    async def _fan_out(self) -> None:
        topic = self._topic
        before, seq = topic.heard, topic.seq
        fresh = topic.after(before)
        for number, member in enumerate(list(topic.members.values()), 1):
            if member.seq == before:
                member.hear(fresh)  # as mostly: they share the list
            elif member.seq < topic.seq:
                member.hear(topic.after(member.seq))
            if not number % CHECKPOINT_EVERY:
                await checkpoint()
        topic.offered(seq)
        await checkpoint()


def part_of_path(topic: str) -> str:
    """Give the name of a topic as a part of a path; no two have the same."""
    return topic.replace("%", "%25").replace("/", "%2F")
