"""What class actors and function actors do in one incarnation."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from .actor import CHECKPOINT_EVERY, Actor, Context
from .ask import Question, answered
from .backend import checkpoint
from .errors import ActorStopped, NoReply, Rejected
from .exit import SHUTDOWN, Exit
from .handlers import Handler, wants_value
from .mailbox import Signal
from .monitors import Down

if TYPE_CHECKING:
    from .life import Life
    from .roles import Body


class ActorBody:
    """A class actor's life: `on_start`, one message after another, `on_stop`."""

    __slots__ = ("_actor", "_life", "_slot", "on_stop", "starts_idle")

    on_end = None

    def __init__(self, life: Life, actor: Actor[Any]) -> None:
        self._life = life
        self._slot = life.slot
        self._actor = actor
        cleans_up = type(actor).on_stop is not Actor.on_stop
        self.on_stop: Callable[[Exit], Awaitable[None]] | None = (
            actor.on_stop if cleans_up else None
        )
        self.starts_idle = type(actor).on_start is Actor.on_start
        actor.ctx = Context(life, hears=type(actor).on_down is not Actor.on_down)

    async def live(self) -> None:
        """Handle messages until asked to stop."""
        life, slot, mailbox = self._life, self._slot, self._slot.mailbox
        if not self.starts_idle:
            await self._actor.on_start()
            life.started()
        handled = 0
        while life.goes_on:
            if mailbox.empty:
                await mailbox.wait()
                continue
            if slot.take():
                await self.handle(slot.message, slot.current)
            handled += 1
            if not handled % CHECKPOINT_EVERY:
                await checkpoint()

    def stop(self) -> None:
        """Go no further than the message that is being handled."""
        self._slot.mailbox.wake()

    async def handle(self, message: object, item: object) -> None:
        """Call the handler, and let the asker, if there is one, know what came of it."""
        try:
            result = await self._handler(message, item)(self._actor, message)
        except Rejected as error:  # no crash, and one who told wants no answer
            if isinstance(item, Question):
                item.answer.fail(error)
        else:
            if isinstance(item, Question) and not answered(item, result, wants_value):
                item.answer.fail(NoReply(self._slot.path, type(message).__name__))
        self._slot.put_down()

    def _handler(self, message: object, item: object) -> Handler:
        if isinstance(message, Down) and isinstance(item, Signal):
            return type(self._actor).on_down
        try:
            return self._actor.__handlers__[type(message)]
        except KeyError:
            raise TypeError(
                f"{self._slot.path} got a {type(message).__name__}, which it does not take"
            ) from None


class FunctionBody:
    """A function actor's life: the function, from its call to its return."""

    starts_idle = False
    on_end = on_stop = None
    """A function cleans up in its own `finally`."""

    def __init__(self, life: Life, run: Callable[[Context[Any]], Awaitable[None]]) -> None:
        self._life = life
        self._run = run
        self._context: Context[Any] = Context(life)

    async def live(self) -> None:
        """Run the function; its start is acknowledged at once."""
        self._life.started()
        try:
            await self._run(self._context)
        except ActorStopped:
            if self._life.stopping is None:
                raise
            return  # what is in hand, if anything, was not handled to its end
        self._context.finish()

    def stop(self) -> None:
        """Let `receive` say so; a function that never receives is cancelled at once."""
        if self._context.receives:
            self._life.slot.mailbox.wake()
        else:
            self._life.cancel(self._life.stopping or SHUTDOWN)


def body_of(
    life: Life,
    factory: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> Body:
    """Make the body of a class actor or a function actor."""
    if not isinstance(factory, type) and inspect.iscoroutinefunction(factory):
        return FunctionBody(life, lambda context: factory(context, *args, **kwargs))
    made: Any = factory(*args, **kwargs)
    if not issubclass(type(made), Actor):
        raise TypeError(f"{life.slot.path}: {factory!r} made {made!r}, which is no Actor")
    return ActorBody(life, made)
