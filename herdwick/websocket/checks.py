"""Whether sessions still hold: a hook of the application's, asked again and again."""

from __future__ import annotations

import logging
import random as chance
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

import anyio

from herdwick.actors import Connection
from herdwick.runtime import Actor, Child, Message, Timer, Timers, on

from .identity import Identity

logger: Final = logging.getLogger("herdwick.auth")

Hook: TypeAlias = Callable[[Identity], Awaitable[bool]]
"""Tells whether the session of an identity still holds."""

Owner: TypeAlias = str | Connection
"""Whose session it is: a user by the `id`, or a connection whose identity has none."""

PATIENCE: Final = 10.0
"""Seconds that the hook has for each answer."""

AT_ONCE: Final = 32
"""Users about whom the hook is asked at the same time."""


class Look(Message):
    """Somebody is to be asked about."""


class Checks:
    """Asks the hook about each user who is connected, and spreads that over the interval."""

    def __init__(
        self,
        hook: Hook,
        interval: float | None,
        timers: Callable[[], Timers],
        judge: Callable[[Owner], Awaitable[int]],
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.child: Child[Any] = Child(Asker, self).named("sessions")
        """Who asks."""
        self._hook = hook
        self._interval = interval
        self._timers = timers
        self._judge = judge
        self._random = random
        self._planned: dict[Owner, Timer] = {}
        """Of each who is connected the next time, or the one at which it is asked just now."""
        self._due: dict[Owner, None] = {}
        self.wake: Callable[[], object] = lambda: None
        """Tells who asks that somebody is due; set while it lives."""

    async def holds(self, identity: Identity) -> bool:
        """Ask the hook; one that fails, or is too slow, has not said that the session holds."""
        try:
            with anyio.fail_after(PATIENCE):
                return bool(await self._hook(identity))
        except Exception as error:
            text = "a session could not be checked, so it is over"
            logger.error(text, exc_info=error, extra={"kind": "session"})
            return False

    def begin(self, owner: Owner) -> None:
        """Ask about somebody from time to time; nothing changes where that is planned already."""
        if owner not in self._planned:
            self._plan(owner)

    def end(self, owner: Owner) -> None:
        """Ask no more."""
        self._due.pop(owner, None)
        self._forget(owner)

    def _forget(self, owner: Owner) -> None:
        timer = self._planned.pop(owner, None)
        if timer is not None:
            timer.cancel()

    def take_due(self) -> list[Owner]:
        """Give those who are due, some of whom may have left; each has to be checked now."""
        due, self._due = self._due, {}
        return list(due)

    async def check(self, owner: Owner, turns: anyio.Semaphore) -> None:
        """End the sessions of somebody that hold no more, and plan the next check."""
        timer = self._planned.get(owner)
        try:
            async with turns:
                await self._judge(owner)
        finally:
            if timer is not None and self._planned.get(owner) is timer:
                self._plan(owner)

    def _plan(self, owner: Owner) -> None:
        if self._interval is not None:
            # From half of it on: who has come at once is not asked about at once.
            delay = self._interval * (1 + self._random()) / 2
            self._forget(owner)
            self._planned[owner] = self._timers().call_later(delay, partial(self._fall_due, owner))

    def _fall_due(self, owner: Owner) -> None:
        self._due[owner] = None
        self.wake()


class Asker(Actor[Look]):
    """Asks about those who are due, a few at a time."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._turns = anyio.Semaphore(AT_ONCE)

    async def on_start(self) -> None:
        """Look for those who fell due while nobody asked."""
        self._checks.wake = partial(self.ctx.ref.tell, Look())
        self._checks.wake()

    @on(Look)
    async def look(self, message: Look) -> None:
        """Ask, in tasks of their own: a hook that is slow about one delays few others."""
        for owner in self._checks.take_due():
            self.ctx.start_soon(self._checks.check, owner, self._turns)
