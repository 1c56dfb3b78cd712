"""A connection as an actor: the handler is its body, the peer's messages wait in its inbox."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from herdwick.runtime import (
    NOPROC,
    NORMAL,
    ActorStopped,
    Exit,
    Life,
    Message,
    Monitor,
    NotHandled,
    Once,
    Policy,
    Question,
    Ref,
    Slot,
    Timer,
    checkpoint,
)

from .closing import (
    check_close_code,
    check_text,
    clip_reason,
    code_of_status,
    is_fault,
    retry_after,
    status_of_code,
)
from .inbox import Inbox
from .left import Left, LeftKind
from .rate import Bucket, Rate
from .transport import Bounds, Data, RawHeaders, Shared, Transport

if TYPE_CHECKING:
    from .member import Member

logger: Final = logging.getLogger("herdwick")

CHECKPOINT_EVERY: Final = 64
TERMS: Final = Policy(restart="temporary", contain_exits=True, start_timeout=float("inf"))


class Send(Message):
    """Send a message to the peer: text, bytes, or anything that the connection's codec takes."""

    payload: object
    """What to send; the codec encodes what is neither text nor bytes."""


class Close(Message):
    """Close the connection."""

    code: int = 1000
    """The close code; one that must not be sent is refused here and now."""

    reason: str = ""
    """What the peer is told."""

    def __post_init__(self) -> None:
        """Refuse a code that must not be sent."""
        check_close_code(self.code)


class Phase(Enum):
    """Where a connection stands; it only ever goes forward."""

    HANDSHAKE = 0
    """The peer waits to be accepted or rejected."""

    OPEN = 1
    """It was accepted."""

    OVER = 2
    """It was rejected, or either side has ended it."""


# Before Python 3.12, a look into an enum takes 0.1 µs, and a message took a dozen of them.
HANDSHAKE: Final = Phase.HANDSHAKE
OPEN: Final = Phase.OPEN
OVER: Final = Phase.OVER


@dataclass(frozen=True, slots=True)
class Ending:
    """The close code and reason that a connection has ended with, whoever ended it."""

    code: int
    """The close code."""

    reason: str = ""
    """What the one who ended it said."""


class Behaviour(Protocol):
    """What a connection's owner decides for it."""

    def handle(self, connection: Connection, /) -> Awaitable[None]:
        """Run the handler: the actor's body."""
        ...

    def answered(self, status: int, /) -> None:
        """Take note of what its handshake was answered with."""
        ...

    def encode(self, payload: object, /) -> Data:
        """Make a message of the payload of a `Send` from elsewhere."""
        ...

    @property
    def peer(self) -> str:
        """The address of the peer, or what the log calls one that is not known."""
        ...

    @property
    def stop_code(self) -> int:
        """The close code of an ordered stop."""
        ...

    @property
    def cancel_on_disconnect(self) -> bool:
        """Whether the handler is cancelled when the peer has gone."""
        ...

    @property
    def debug(self) -> bool:
        """Whether the peer is told the error that ended its handler."""
        ...


async def nothing() -> None:
    """Be the life of a handler that never was."""


class Connection:
    """One WebSocket connection.

    It is the spec and the body of its actor, the receiver of its driver, and the port through
    which others reach the peer. All of the port is synchronous, and acts in the caller's turn:
    a busy handler delays nobody.
    """

    starts_idle = False
    on_stop = None
    """The handler cleans up in its own `finally`."""

    __slots__ = (
        "__weakref__",
        "_behaviour",
        "_bounds",
        "_crowded",
        "_error",
        "_inbox",
        "_life",
        "_memberships",
        "_over",
        "_pause",
        "_transport",
        "_turns",
        "ending",
        "name",
        "path",
        "phase",
        "receiving",
        "terms",
        "welcomed",
    )

    def __init__(self, transport: Transport, behaviour: Behaviour, bounds: Bounds) -> None:
        self.name: str = os.urandom(6).hex()
        """Its own, among all connections."""
        self.path: str = self.name
        """Its place in the tree; its bare name until it has one."""
        self.terms: Policy = TERMS
        """How its supervisor treats it."""
        self.phase: Phase = HANDSHAKE
        """Where it stands."""
        self.ending: Ending | None = None
        """How it ended; None until it is over."""
        self.welcomed = False
        """Whether the peer was let in before its handler accepts, to show who it is."""
        self._over: Once | None = None
        self._transport = transport
        self._behaviour = behaviour
        self._bounds = bounds
        self._inbox = Inbox(bounds.inbox_messages, bounds.inbox_bytes)
        self._pause: Timer | None = None
        self._life: Life | None = None
        self._error: BaseException | None = None
        self.receiving = False
        """Whether a task waits in `receive` now."""
        self._turns = 0
        self._crowded = False
        """Whether the last message went over the bound of the outbox."""
        self._memberships: dict[str, Member] | None = None

    # ------------------------------------------------------------------ the handler's side

    def welcome(self, subprotocol: str | None, bounds: Bounds) -> None:
        """Let the peer in to show who it is; the phase must be HANDSHAKE, and remains so.

        One message of it is read, within these bounds, and no more until it is admitted; its
        handler can send nothing until it accepts. A refusal is told by a close code: 4401 in place
        of 401.
        """
        self._inbox.bound(1, 1)
        self._transport.limit(bounds)
        self._transport.accept(subprotocol, ())
        self.welcomed = True
        self._behaviour.answered(101)

    def send_early(self, data: Data) -> None:
        """Send a message to a peer that was let in, and that nobody has accepted yet."""
        if self.upgraded:
            self._transport.offer(data)

    def admit(self) -> None:
        """Let a peer that has shown who it is send as much as any other."""
        self._transport.limit(self._bounds)
        self._inbox.bound(self._bounds.inbox_messages, self._bounds.inbox_bytes)
        if self._pause is not None and self._inbox.half_empty:
            self._resume()

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Answer the handshake, unless the peer was let in before; the phase must be HANDSHAKE."""
        if not self.welcomed:
            self._transport.accept(subprotocol, headers)
            self._behaviour.answered(101)
        self.phase = OPEN

    def reject(self, status: int, headers: RawHeaders = (), body: bytes = b"") -> None:
        """Refuse the handshake with an HTTP response, or a peer that was let in with a close code.

        Nothing happens once it was accepted.
        """
        if self.phase is not HANDSHAKE:
            return
        if self.welcomed:
            self._end(code_of_status(status), body.decode(errors="replace"))
        else:
            self._transport.reject(status, headers, body)
            self._behaviour.answered(status)
            self._enter_over(Ending(1006, f"the handshake was refused with {status}"))

    @property
    def upgraded(self) -> bool:
        """Whether the peer's handshake was answered with 101, and it is not over."""
        return self.phase is OPEN or (self.phase is HANDSHAKE and self.welcomed)

    async def send(self, data: Data) -> bool:
        """Send a message, and wait while the peer is too far behind; False where it is over.

        The message is on its way before the first suspension; cancelling takes nothing back.

        Raises:
            InvalidText: The text holds a lone surrogate.
        """
        sent = self.send_nowait(data)
        return True if sent else await self.finish_send(sent)

    def send_nowait(self, data: Data) -> bool | None:
        """Send a message; True, unless there is more to do, by `finish_send`.

        None: it was sent, and something is to be waited for. False: it is over.

        Raises:
            InvalidText: The text holds a lone surrogate.
        """
        check_text(data)
        if self.ending is not None:
            return False
        if self._transport.offer(data):
            self._crowded = True
            return None
        self._turns += 1
        return True if self._turns % CHECKPOINT_EVERY else None

    async def finish_send(self, sent: bool | None) -> bool:
        """Wait for what `send_nowait` left to wait for, and tell whether it is not over."""
        crowded, self._crowded = self._crowded, False
        if crowded and sent is None:
            return await self.caught_up()
        await checkpoint()
        return sent is None

    async def caught_up(self) -> bool:
        """Wait while the peer is too far behind, up to the send timeout; False where it is over."""
        with anyio.move_on_after(self._bounds.send_timeout) as scope:
            await self._transport.drained()
        if scope.cancelled_caught:
            self._blame(1013, "too slow")
            self._end(1013, "too slow")
        return self.ending is None

    async def receive(self, *, resume: bool = True) -> Data | None:
        """Wait for the next message; None once all were read and the connection is over.

        Where it makes room for more, the driver reads on, if it may `resume`. Cancelling loses no
        message. One task at a time: look at `receiving` before.
        """
        inbox = self._inbox
        self.receiving = True
        try:
            self._turns += 1
            if not self._turns % CHECKPOINT_EVERY:
                # First, for it may be cancelled: no message is in hand yet.
                await checkpoint()
            while (data := inbox.get()) is None:
                if self.ending is not None:
                    await checkpoint()
                    return None
                await inbox.reader.wait()
        finally:
            self.receiving = False
        if self._pause is not None and resume and inbox.half_empty:
            self._resume()
        return data

    def close(self, code: int, reason: str = "") -> None:
        """End it from our side: what is unread is dropped; nothing happens once it is over."""
        if self.phase is HANDSHAKE:
            self.reject(403)
        elif self.phase is OPEN:
            self._inbox.clear()
            self._end(code, reason, "left")

    def close_on_fault(self, code: int, reason: str) -> None:
        """End it because of what the peer did: what is unread is dropped."""
        self._blame(code, reason)
        self.close(code, reason)

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task that ends with the handler, and whose crash is the connection's."""
        self.life.start_soon(function, *args)

    # ------------------------------------------------------------------ the driver's side

    def deliver(self, data: Data) -> None:
        """Take one message of the peer."""
        if self.phase is not OPEN and not self.upgraded:
            return
        full = self._inbox.put(data)
        if full and self._pause is None:
            self._transport.pause_reading()
            longest = min(self._bounds.pause_timeout, self._transport.longest_pause)
            self._pause = self.life.surroundings.timers.call_later(longest, self._unread)

    def disconnected(self, code: int, reason: str) -> None:
        """Take the end of the connection from the peer's side."""
        if self.phase is not OVER:
            # With 1000 a client says that it has done what it came for (RFC 6455 section 7.4.1).
            self._enter_over(Ending(code, reason), "left" if code == 1000 else "lost")
            self._cancel_if_wanted()

    def failed(self, code: int, reason: str) -> None:
        """Take the end that the driver has made, for what the peer sent or did not send."""
        self._blame(code, reason)
        self.disconnected(code, reason)

    # ------------------------------------------------------------------ everybody else's side

    def offer(self, data: Data) -> bool:
        """Send a message, and tell whether the peer is too far behind now; False once it is over.

        The message can be sent: whoever encodes for many connections checks it once.
        """
        return self.phase is OPEN and self._transport.offer(data)

    @property
    def share(self) -> Callable[[Shared], bool]:
        """What sends a message that others get too, as `offer` does; it does nothing once over."""
        return self._transport.share

    async def drained(self) -> None:
        """Wait until the peer has read enough, or is gone; cancelling is safe."""
        await self._transport.drained()

    def end(self, code: int, reason: str = "") -> None:
        """End it on somebody else's behalf, after what was sent.

        A handshake is refused with 403, or with 401 in place of 4401 and the like.
        """
        if self.upgraded:
            self._blame(code, reason)
            self._end(code, reason)
        else:
            self.reject(status_of_code(code))
        self._cancel_if_wanted()

    @property
    def memberships(self) -> dict[str, Member]:
        """What it has joined, or is about to, by topic; they end with it."""
        if self._memberships is None:
            self._memberships = {}
        return self._memberships

    @property
    def over(self) -> Once:
        """Its actor has ended."""
        if self._over is None:
            self._over = Once()
        return self._over

    @property
    def life(self) -> Life:
        """Its life as an actor, from the start of its handler until it is completely gone.

        Raises:
            ActorStopped: It does not live.
        """
        if self._life is None:
            raise ActorStopped(self.path)
        return self._life

    @property
    def error(self) -> BaseException | None:
        """The error that its handler crashed with, if it did."""
        return self._error if self._life is None else self._life.error

    def ref(self) -> Ref[Send | Close]:
        """Give an address at which others send to the peer, or close."""
        return Ref(self)

    def put_nowait(self, item: object) -> None:
        """Carry out a `Send` or a `Close`, now.

        A peer that is so far behind that its outbox is full is closed with 1013.
        """
        order = item.message if isinstance(item, Question) else item
        if self.phase is OVER:
            raise ActorStopped(self.path)
        match order:
            case Send(payload):
                if self.phase is HANDSHAKE:
                    raise NotHandled(f"{self.path} has not accepted its handshake yet")
                data = self._behaviour.encode(payload)
                check_text(data)
                if self._transport.offer(data):
                    self.end(1013, "too slow")
            case Close(code, reason):
                self.close(code, reason)
                self._cancel_if_wanted()
            case _:
                raise TypeError(f"{self.path} takes Send and Close, not {order!r}")
        if isinstance(item, Question):
            item.answer.give(None)

    async def put(self, item: object) -> None:
        """Carry out a `Send` or a `Close`; there is no mailbox to wait for."""
        self.put_nowait(item)

    @property
    def slot(self) -> Slot | None:
        """Its place in the tree, while it lives."""
        return None if self._life is None else self._life.slot

    @property
    def timers(self) -> None:
        """None: it answers in the asker's turn."""
        return

    @property
    def asking(self) -> None:
        """Nobody: what it is asked is answered in the asker's turn, whatever its handler does."""
        return

    def refused(self, message: object, error: NotHandled) -> None:
        """Drop what was told to a connection that is over: that is in the nature of peers."""

    def watch(self, monitor: Monitor) -> None:
        """Tell the monitor of the end of the connection."""
        if self._life is None:
            monitor.fire(NOPROC)
        else:
            self._life.watch(monitor)

    # ------------------------------------------------------------------ the runtime's side

    @property
    def port(self) -> Connection:
        """Itself: it has no mailbox."""
        return self

    def embody(self, life: Life) -> Connection:
        """Be the body of the actor: a connection lives once."""
        self._life, self.path = life, life.slot.path
        return self

    def refuse(self, status: int = 503) -> None:
        """Be no actor, or none any more: a handshake that waits is told to come back later."""
        self._put_off(status)
        self.over.happen()

    def live(self) -> Awaitable[None]:
        """Run the handler."""
        life = self.life
        life.started()
        if life.stopping is None:
            return self._behaviour.handle(self)
        self.stop()  # told to before its first step: the peer hears why
        return nothing()

    def on_end(self, reason: Exit) -> None:
        """Tell the peer how the handler has ended."""
        self._drop_pause()
        if reason.abnormal:
            self._fail(self.life.error)
        else:
            self.reject(403)
            self.close(1000)

    def stop(self) -> None:
        """Close after what was sent; what was received can still be read."""
        self._end(self._behaviour.stop_code, kind="drained")
        self._put_off(503)
        self._cancel_if_wanted()

    # ------------------------------------------------------------------ ends

    def vacated(self) -> None:
        """Take note that it has ended for good."""
        # Its life knows its place, and its place knows it: without this cut, only the garbage
        # collector would free a connection.
        self._error, self._life = self.error, None
        self.refuse()

    def _put_off(self, status: int) -> None:
        if self.phase is HANDSHAKE:
            self.reject(status, [(b"retry-after", retry_after().encode())])

    def _fail(self, error: BaseException | None) -> None:
        told = error is not None and self._behaviour.debug
        text = f"{type(error).__name__}: {error}" if told else ""
        self.reject(500, body=text.encode(errors="replace"))
        self._end(1011, text, "crashed")

    def _end(self, code: int, reason: str = "", kind: LeftKind = "lost") -> None:
        if self.upgraded:
            reason = clip_reason(reason).decode()
            self._enter_over(Ending(code, reason), kind)
            self._transport.close(code, reason)

    def _blame(self, code: int, reason: str) -> None:
        """Log what the peer did, if that is why it ends now."""
        if self.phase is not OVER and is_fault(code):
            peer = self._behaviour.peer
            told = {
                "kind": "mistake",
                "actor": self.path,
                "peer": peer,
                "code": code,
                "reason": reason,
            }
            logger.info("%s is closed with %d: %s", self.path, code, reason, extra=told)

    def _enter_over(self, ending: Ending, kind: LeftKind = "lost") -> None:
        self.phase = OVER
        self.ending = ending
        if logger.isEnabledFor(logging.DEBUG):
            code, reason = ending.code, ending.reason
            told = {"kind": "over", "actor": self.path, "code": code, "reason": reason}
            logger.debug("%s is over: %d %s", self.path, code, reason, extra=told)
        self._drop_pause()
        self._inbox.reader.wake()
        if self._memberships:
            for member in list(self._memberships.values()):
                member.leave(Left(kind, ending.code))

    def _unread(self) -> None:
        self.end(1008, "too many unread messages")

    def _cancel_if_wanted(self) -> None:
        """Cancel the handler of a connection that somebody else has ended, if it asked for that."""
        life = self._life
        if self._behaviour.cancel_on_disconnect and life is not None and self.phase is OVER:
            life.cancel(life.stopping or NORMAL)

    def _resume(self) -> None:
        self._drop_pause()
        self._transport.resume_reading()

    def _drop_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None


class MeteredConnection(Connection):
    """A connection whose peer may send messages so often, and is closed with 1008 beyond.

    A class of its own, so that the others pay nothing for it, by message or by connection.
    """

    __slots__ = ("_budget",)

    def __init__(
        self, transport: Transport, behaviour: Behaviour, bounds: Bounds, rate: Rate
    ) -> None:
        super().__init__(transport, behaviour, bounds)
        self._budget = Bucket(rate)

    def deliver(self, data: Data) -> None:
        """Take one message of the peer, if it does not come too soon."""
        if self.phase is OPEN and not self._budget.take(self.life.surroundings.clock()):
            self.end(1008, "too many messages")
        super().deliver(data)
