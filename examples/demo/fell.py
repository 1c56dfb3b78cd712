"""A fell: one room of the chat, and what its members and it say to each other."""

from time import time
from typing import Annotated

from msgspec import Meta

from herdwick import JoinRefused, Member, Message, Params, Room, from_member, on

FELLS = frozenset({"blencathra", "catbells", "helvellyn", "skiddaw"})

# ------------------------------------------------------------------ what a member says


class Hello(Message):
    """What somebody who joins says of himself."""

    name: Annotated[str, Meta(pattern=r"\S", max_length=24)]


class Rename(Hello):
    """This is my name from now on."""


class Say(Message):
    id: Annotated[str, Meta(min_length=1, max_length=40)]
    """Made up by the page: what is said again, because no answer came, is heard once."""

    text: Annotated[str, Meta(pattern=r"\S", max_length=500)]


class Crash(Message):
    """Let the room fail, to show what follows."""


# ------------------------------------------------------------------ what a member hears


class Welcome(Message):
    you: str
    """What the one who has joined is present as."""

    incarnation: int


class Here(Message):
    """What is known of somebody who is present."""

    name: str


class Said(Message):
    id: str
    who: str
    name: str
    text: str
    at: float


class Restored(Message):
    """The room crashed, and this is its next incarnation."""

    incarnation: int


# ------------------------------------------------------------------ the room


class Fail(Message):
    """What the room tells itself; no client can send it."""


class Fell(Room[Rename | Say | Crash | Fail]):
    """Where everybody talks to everybody.

    What was said, who is here and under which name stands with its topic, which outlives it. So a
    crash takes nothing away but the room's own state, and this one has none.
    """

    def __init__(self, name: str) -> None:
        """Be the room of that name; the topic has it too, so there is nothing to keep."""

    @classmethod
    async def authorize(cls, member: Member, params: Params) -> None:
        if member.values["name"] not in FELLS:
            raise JoinRefused("there is no such fell")

    async def on_start(self) -> None:
        if self.members:  # who begins with members takes over from one that has crashed
            await self.broadcast(Restored(self.ctx.incarnation))

    async def on_join(self, member: Member, params: Params) -> Welcome:
        self.presence.track(member, Here(params.decode(Hello).name))
        return Welcome(member.key, self.ctx.incarnation)

    @from_member(Rename)
    async def rename(self, message: Rename, member: Member) -> None:
        self.presence.track(member, Here(message.name))

    @from_member(Say)
    async def say(self, message: Say, member: Member) -> None:
        here = member.meta
        assert isinstance(here, Here)
        said = Said(message.id, member.key, here.name, message.text, time())
        await self.broadcast(said, key=f"{member.key} {message.id}")

    @from_member(Crash)
    async def crash(self, message: Crash, member: Member) -> None:
        # An error here would be that member's: told to it, and the room goes on.
        self.ctx.ref.tell(Fail())

    @on(Fail)
    async def fail(self, message: Fail) -> None:
        raise RuntimeError("somebody pressed the button")
