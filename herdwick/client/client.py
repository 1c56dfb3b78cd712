"""The client: one connection to a server, renewed as often as it takes, for any number of rooms."""

from __future__ import annotations

import random as chance
import re
import ssl as tls
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import anyio
import msgspec
from websockets import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from herdwick.protocol import encode

from .errors import AnswerTimeout, NotRunning, SendTimeout
from .link import Link, Token, check_token
from .membership import Membership, Phase
from .options import Options
from .room import Room
from .wire import Address

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Client:
    """Speaks herdwick.v1 with a server, on asyncio and on trio.

    Entering its block connects, and tries again until there is a connection or a reason to give
    up; leaving it closes with 1000. Between the two a lost connection is renewed, and each room
    joined again from where it stood. One connection carries all rooms; any task inside of the
    block may use the client.

    Args:
        url: Where to connect to, beginning with ws:// or wss://.
        token: Offered as the subprotocol `bearer.<token>`: the token itself, or a function that is
            asked for one before each handshake. After the server has closed with 4401 it has to
            give another one. An `OSError` of it counts as a try that failed; any other ends the
            client.
        first_message: Send the token as the first message, and not with the handshake, for routes
            with `auth(first_message=True)`: it may then hold any characters.
        headers: Sent with each handshake.
        ssl: For wss://, in place of the default context, which trusts the system's authorities.
        options: How long to wait, and how much to hold.
        random: Gives a number from 0 to 1, for the jitter.

    Raises:
        ValueError: The URL, the token or a header can never be sent; or there is no token for the
            first message.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        first_message: bool = False,
        headers: Mapping[str, str] = _NO_HEADERS,
        ssl: tls.SSLContext | None = None,
        options: Options | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._url = url
        self._options = options or Options()
        if first_message and token is None:
            raise ValueError("there is no token to send as the first message; pass `token`")
        if isinstance(token, str) and not first_message:
            check_token(token)
        uri = _parsed(url)
        if uri.secure and ssl is None:
            ssl = tls.create_default_context()
        secured = ssl if uri.secure else None
        address = Address(uri, _checked(headers), secured, self._options.max_message_bytes)
        self._link = Link(url, address, token, self._options, random, first_message=first_message)
        self._stack = AsyncExitStack()
        self._entered = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as the client knows."""
        return self._link.connected

    async def __aenter__(self) -> Self:
        """Connect; a client can be entered once.

        It tries as long as it takes, or as `Options.patience` allows. Cancelling is safe.

        Raises:
            GaveUp: The server does not want this client, or was not reached within
                `Options.patience`.
            RuntimeError: It was entered before.
        """
        if self._entered:
            raise RuntimeError(f"the client of {self._url} was entered already; make another one")
        self._entered = True
        await self._stack.enter_async_context(self._running())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all memberships, and close with 1000; it takes `Options.close_timeout` at most."""
        await self._stack.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def join(
        self,
        topic: str,
        *,
        params: Mapping[str, object] | msgspec.Struct | None = None,
        since: str | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Room]:
        """Become a member of a topic, and stay it as long as the block lasts.

        Cancelling it while it waits leaves no membership behind.

        Args:
            topic: The name of the topic.
            params: What the room is told of the one who joins.
            since: A position to resume from; what has come since is told first, or a `Gap`.
            timeout: Seconds to wait for the membership; None for no end, for the client goes on
                trying.

        Raises:
            Refused: The server says no. It is not tried again: see `retry_after`.
            AnswerTimeout: The server did not answer in time.
            SendTimeout: There was no connection in time.
            MembershipEnded: The server has put this member out at once.
            GaveUp: The client is over, or became so.
            NotRunning: The client's block was not entered, or is left.
        """
        membership = Membership(topic, _plain(params), since, self._options.buffer)
        encode(membership.join(0))  # what cannot be encoded is this caller's mistake
        self._link.enter(membership)
        try:
            await self._settle(membership, timeout)
            yield Room(membership, self._link)
        finally:
            self._link.leave(membership)

    async def refresh(self, token: str | None = None, *, timeout: float | None = 5.0) -> None:
        """Show a new token before the old one expires; without a connection, the next one does.

        Args:
            token: The new token, which replaces a fixed one; None to ask the client's function.
            timeout: Seconds to wait for the answer; None for no end.

        Raises:
            Refused: The server does not take it; it goes by the old one.
            AnswerTimeout: The server did not answer in time.
            GaveUp: The client is over.
            ValueError: There is no new token, or it cannot be offered as a subprotocol.
        """
        await self._link.refresh(token, timeout)

    async def _settle(self, membership: Membership, timeout: float | None) -> None:
        with anyio.move_on_after(timeout):
            await membership.settled.wait()
        if membership.error is not None:
            raise membership.error.with_traceback(None)
        if not membership.settled:
            assert timeout is not None
            late = AnswerTimeout if self.connected else SendTimeout
            raise late(membership.topic, timeout)
        if membership.phase is Phase.OVER:
            raise NotRunning(self._url)

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[None]:
        failure: BaseException | None = None
        # Shielded: a cancellation ends the block first, and its goodbye needs the connection.
        # The end of the block is the end of this scope too.
        alive = anyio.CancelScope(shield=True)
        async with anyio.create_task_group() as tasks:
            try:
                tasks.start_soon(self._live, alive)
                await self._link.wait_connected()
                yield
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # raised outside: the group would wrap it
                failure = error
            finally:
                # Shielded: whoever cancels, the server is told that the client leaves.
                with anyio.move_on_after(self._options.close_timeout, shield=True):
                    await self._link.close()
                alive.cancel()
        if failure is not None:
            raise failure

    async def _live(self, alive: anyio.CancelScope) -> None:
        with alive:
            await self._link.run()


def _parsed(url: str) -> WebSocketURI:
    try:
        return parse_uri(url)
    except InvalidURI as error:
        raise ValueError(f"{url!r} is no address of a WebSocket: {error}") from error


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} has characters that HTTP does not allow")
    return dict(headers)


def _plain(params: Mapping[str, object] | msgspec.Struct | None) -> dict[str, Any]:
    return msgspec.convert(msgspec.to_builtins(params or {}), dict[str, Any])
