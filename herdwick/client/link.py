"""The client's way to the server: one connection after the other."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, TypeAlias

import anyio
import msgspec

from herdwick.protocol import SUBPROTOCOL, Push, Refresh
from herdwick.runtime import Once

from . import comeback
from .conversation import Conversation, Surroundings
from .errors import (
    ConnectionLost,
    GaveUp,
    HandshakeRefused,
    NoToken,
    NotRunning,
    ProtocolMismatch,
    Refused,
    StayedAway,
    Unreachable,
    Untrusted,
)
from .membership import Membership
from .options import Options
from .question import Question
from .wire import GONE, Address, Answered, Closed, Malformed, Wire, open_wire

Token: TypeAlias = str | Callable[[], Awaitable[str | None]]
"""What the server knows the client by, or where to get it anew for each connection."""

_OFFERABLE: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What may stand in a subprotocol: a token of RFC 9110 section 5.6.2."""


def check_token(token: str) -> str:
    """Give the token back.

    Raises:
        ValueError: It cannot be offered as a subprotocol.
    """
    if not _OFFERABLE.fullmatch(token):
        raise ValueError(
            "the token holds characters that no subprotocol may hold; send it in a header instead"
        )
    return token


class Link:
    """Connects, and connects again, until it is closed or there is a reason not to."""

    def __init__(
        self,
        url: str,
        address: Address,
        token: Token | None,
        options: Options,
        random: Callable[[], float],
        *,
        first_message: bool = False,
    ) -> None:
        self._url = url
        self._first_message = first_message
        """Whether the token goes out as the first message, not with the handshake."""
        self._address = address
        self._token = token
        self._options = options
        self._memberships: dict[str, Membership] = {}
        self._around = Surroundings(self._memberships, count(1), options, random, self._proved)
        self._conversation: Conversation | None = None
        self._decided = Once()
        """Happens with the first connection, or with the end."""
        self._over = False
        self._error: GaveUp | None = None
        self._expired: StayedAway | None = None
        """The last end by 4401, after which a connection without a new token is not tried."""
        self._shown: str | None = None
        """The last token that the server was shown, or is about to be."""
        self._refused: str | None = None
        """What it was at the last end by 4401."""
        self._tries = 0
        self._delay = 0.0
        self._lost_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as is known."""
        return self._conversation is not None

    async def run(self) -> None:
        """Live, until there is a reason not to come back."""
        self._lost_at = anyio.current_time()
        try:
            while not self._over:
                await self._attempt()
        except GaveUp as error:
            self._end(error)

    async def wait_connected(self) -> None:
        """Wait for the first connection; cancelling is safe.

        Raises:
            GaveUp: There will be none.
        """
        await self._decided.wait()
        if self._error is not None:
            raise self._error.with_traceback(None)

    async def close(self) -> None:
        """End all memberships and close with 1000; cancelling is safe."""
        self._end(None)
        if self._conversation is not None:
            self._conversation.close()
            await self._conversation.over.wait()

    # What members want.

    def enter(self, membership: Membership) -> None:
        """Make the client want to be a member, from now on.

        Raises:
            Refused: It is one already.
            GaveUp: The client is over.
            NotRunning: Its block was not entered, or is left.
        """
        self._check_running()
        topic = membership.topic
        if topic in self._memberships:
            message = "this client is in it already; let the tasks share that room"
            raise Refused(topic, "already_joined", message)
        self._memberships[topic] = membership
        if self._conversation is not None:
            self._conversation.join(membership)

    def leave(self, membership: Membership) -> None:
        """Make the client want it no more; nothing happens where it is over."""
        if self._memberships.get(membership.topic) is not membership:
            return
        del self._memberships[membership.topic]
        if self._conversation is not None:
            self._conversation.leave(membership)
        membership.end(None)

    async def push(
        self, membership: Membership, payload: msgspec.Raw, timeout: float | None
    ) -> msgspec.Raw:
        """Send the room a message, and wait for its answer."""
        ref = next(self._around.refs)
        question = Question(ref, Push(membership.topic, payload, ref))
        membership.push(question)
        if self._conversation is not None:
            self._conversation.nudge()
        try:
            return await question.wait(timeout)
        finally:
            if not question.sent and question in membership.unsent:
                membership.unsent.remove(question)
            self._forget(question)

    async def refresh(self, token: str | None, timeout: float | None) -> None:
        """Show a new token, here or with the next handshake."""
        self._check_running()
        source = self._token
        if token is None and callable(source):
            token = await source()
        if token is None:
            raise ValueError("there is no new token; pass one, or give the client a function")
        self._check(token)
        if self._conversation is not None:
            self._shown = token
            await self._show(self._conversation, token, timeout)
        if not callable(source):
            self._token = token

    def taken(self) -> None:
        """Read on, if that waited for somebody to take an event."""
        if self._conversation is not None:
            self._conversation.taken()

    def _check(self, token: str) -> None:
        """Raise a `ValueError` if the token cannot be shown."""
        if not self._first_message:
            check_token(token)

    async def _show(self, conversation: Conversation, token: str, timeout: float | None) -> None:
        ref = next(self._around.refs)
        question = Question(ref, Refresh(ref, token))
        conversation.ask(question)
        try:
            await question.wait(timeout)
        except ConnectionLost:
            pass  # the next handshake shows it
        finally:
            self._forget(question)

    def _forget(self, question: Question) -> None:
        if self._conversation is not None:
            self._conversation.forget(question)

    def _check_running(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._over or not self._decided:
            raise NotRunning(self._url)

    # From one connection to the next.

    def _proved(self) -> None:
        self._tries = 0

    def _end(self, error: GaveUp | None) -> None:
        if self._over:
            return
        self._over, self._error = True, error
        for membership in self._memberships.values():
            membership.end(error)
        self._memberships.clear()
        self._decided.happen()

    async def _attempt(self) -> None:
        await anyio.sleep(self._delay)
        try:
            wire = await self._open()
        except Answered as answer:
            if comeback.refuses_for_good(answer.status):
                raise HandshakeRefused(self._url, answer.status, answer.body) from None
            self._plan(answer, comeback.retry_after(answer.retry_after, time.time()))
        except (Closed, *GONE) as error:
            self._plan(error)
        else:
            await self._converse(wire)

    async def _open(self) -> Wire:
        try:
            with anyio.fail_after(self._options.connect_timeout):
                self._shown = token = await self._find_token()
                bearer = [] if token is None or self._first_message else [f"bearer.{token}"]
                return await open_wire(self._address, [SUBPROTOCOL, *bearer])
        except ssl.SSLCertVerificationError as error:
            raise Untrusted(self._url) from error
        except Malformed as error:
            raise ProtocolMismatch(self._url, str(error)) from error

    async def _find_token(self) -> str | None:
        try:
            token = await self._token() if callable(self._token) else self._token
            if token is not None:
                self._check(token)
        except OSError:
            raise  # as a server that is not reached: the next try may find it
        except Exception as error:
            raise NoToken(self._url) from error
        if self._expired is not None and token in (None, self._refused):
            raise self._expired
        return token

    async def _converse(self, wire: Wire) -> None:
        if wire.subprotocol != SUBPROTOCOL:
            wire.close(comeback.PROTOCOL_ERROR)
            await wire.aclose()
            raise ProtocolMismatch(self._url, f"it took the subprotocol {wire.subprotocol}")
        self._conversation = Conversation(wire, self._around)
        if self._first_message and self._shown is not None:
            ref = next(self._around.refs)
            self._conversation.ask(Question(ref, Refresh(ref, self._shown)))
        self._decided.happen()
        try:
            ending = await self._conversation.run()
        finally:
            self._conversation = None
            self._lost_at = anyio.current_time()
        if not self._over:
            self._judge(ending)

    def _judge(self, ending: Closed | Malformed) -> None:
        """Find out whether to come back."""
        if isinstance(ending, Malformed):
            raise ProtocolMismatch(self._url, str(ending))
        away = StayedAway(ending.code, ending.reason)
        if comeback.stays_away(ending.code):
            raise away
        if ending.code == comeback.TOKEN_EXPIRED:
            if not callable(self._token):
                raise away
            self._expired, self._refused = away, self._shown
        if ending.code in comeback.FAULTS:
            self._tries = max(self._tries, comeback.AFTER_A_FAULT - 1)
        self._plan(ending)

    def _plan(self, failure: Exception, at_least: float = 0.0) -> None:
        """Set the time of the next try, with full jitter."""
        self._tries += 1
        self._delay = at_least + comeback.wait_before(self._tries, self._around.random())
        patience, next_try = self._options.patience, anyio.current_time() + self._delay
        if patience is not None and next_try - self._lost_at > patience:
            raise Unreachable(self._url, patience) from failure
