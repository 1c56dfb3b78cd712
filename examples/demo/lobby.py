"""The lobby: one supervised actor that knows who is here and what was said.

It shares nothing with the connections. They tell it what their pages say, and it tells them what
there is to show.
"""

from collections import deque
from time import time
from typing import Annotated

from msgspec import Meta

from herdwick import Actor, Message, Ref, Send, on

# ------------------------------------------------------------------ what a page says


class Enter(Message):
    """This is my name, or: this is my name from now on."""

    name: Annotated[str, Meta(pattern=r"\S", max_length=24)]


class Say(Message):
    text: Annotated[str, Meta(pattern=r"\S", max_length=500)]


class Crash(Message):
    """Let the lobby fail, to show what follows."""


# ------------------------------------------------------------------ what a page hears


class Said(Message):
    name: str
    text: str
    at: float


class Welcome(Message):
    history: list[Said]


class Here(Message):
    names: list[str]


class Note(Message):
    text: str


class Restored(Message):
    """The lobby crashed, and this is its next incarnation."""

    incarnation: int


# ------------------------------------------------------------------ what the lobby is told


class From(Message):
    member: Ref[Send]
    message: Enter | Say | Crash


class Gone(Message):
    member: Ref[Send]


class Lobby(Actor[From | Gone]):
    """Where everybody talks to everybody.

    Each incarnation is made with the same `members`, so a crash drops nobody; the history is the
    incarnation's own, and is lost with it.
    """

    def __init__(self, members: dict[Ref[Send], str]) -> None:
        self._members = members
        self._history: deque[Said] = deque(maxlen=100)

    async def on_start(self) -> None:
        self._tell_all(Restored(self.ctx.incarnation), self._here())

    @on(From)
    async def hear(self, order: From) -> None:
        match order.message:
            case Enter(name):
                self._enter(order.member, name)
            case Say(text) if order.member in self._members:
                said = Said(self._members[order.member], text, time())
                self._history.append(said)
                self._tell_all(said)
            case Crash():
                raise RuntimeError("somebody pressed the button")
            case _:
                pass  # who has not entered says nothing

    @on(Gone)
    async def forget(self, order: Gone) -> None:
        name = self._members.pop(order.member, None)
        if name is not None:
            self._tell_all(Note(f"{name} left"), self._here())

    def _enter(self, member: Ref[Send], name: str) -> None:
        before = self._members.get(member)
        if before is None:
            member.tell(Send(Welcome(list(self._history))))
        self._members[member] = name
        news = f"{name} came in" if before is None else f"{before} is now {name}"
        self._tell_all(Note(news), self._here())

    def _here(self) -> Here:
        return Here(list(self._members.values()))

    def _tell_all(self, *facts: Message) -> None:
        for order in map(Send, facts):
            for member in self._members:
                if not member.tell(order):
                    self.ctx.ref.tell(Gone(member))
