"""Who has which connections open, and how long their identities are good for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from herdwick.actors import Connection, Phase, check_close_code, retry_after
from herdwick.runtime import Child, Timer, Timers

from .checks import Checks, Hook, Owner
from .http import HTTPError
from .identity import Identity
from .rooms import key_of

NOT_AUTHENTICATED: Final = 4401
"""The close code of a connection whose identity is good no more: come back with another one."""


class Users:
    """The users of an application, by the `id` of their identities, and their connections."""

    def __init__(self, timers: Callable[[], Timers], most: int | None = None) -> None:
        self._timers = timers
        self._most = most
        """Connections that one user may have open; None: any number."""
        self._connections: dict[str, set[Connection]] = {}
        self._ids: dict[Connection, str] = {}
        self._identities: dict[Connection, Identity] = {}
        self._expiries: dict[Connection, Timer] = {}
        self._checks: Checks | None = None
        """What asks whether their sessions hold; None without a hook."""

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._connections

    def connections(self, user_id: str, /) -> int:
        """Tell how many connections a user has open."""
        return len(self._connections.get(user_id, ()))

    def disconnect(
        self, user_id: str, /, code: int = NOT_AUTHENTICATED, reason: str = "disconnected"
    ) -> int:
        """Close all connections of a user, and return how many there were.

        4401 tells clients to come back with another token only; 4403 to stay away. What was sent
        before still goes out; handlers see a `WebSocketDisconnectError` with this code.

        Raises:
            IllegalCloseCode: The code must not be sent.
        """
        check_close_code(code)
        connections = list(self._connections.get(user_id, ()))
        for connection in connections:
            connection.end(code, reason)
        return len(connections)

    async def revalidate(self, user_id: str, /) -> int:
        """Ask the hook of `Application.revalidate` about a user now.

        It is asked once for all connections with the same claims. Returns how many it has closed,
        with 4401.

        Raises:
            RuntimeError: The application has no such hook.
        """
        if self._checks is None:
            raise RuntimeError("there is nobody to ask; give a hook with `@app.revalidate`")
        return await self._judge(user_id)

    # ------------------------------------------------------------------ the application's side

    def enter(self, identity: Identity, connection: Connection) -> None:
        """Take note of whose connection it is; its identity's claim `exp` ends it.

        Raises:
            HTTPError: 429: this user has as many open as may be, and this is one more.
        """
        if connection.phase is Phase.OVER:
            return
        user_id = key_of(identity)
        self._check_number(user_id, connection)
        if connection not in self._identities:
            connection.life.slot.gone.then(partial(self._gone, connection))
            self._add(user_id, connection)
        elif user_id != self._ids.get(connection):
            self._remove(connection)
            self._add(user_id, connection)
        self._identities[connection] = identity
        self._expect_expiry(identity, connection)

    def check_by(self, hook: Hook, interval: float | None) -> None:
        """Ask a hook about each of them within each `interval`; None: only when `revalidate` does.

        Raises:
            RuntimeError: There is one already.
        """
        if self._checks is not None:
            raise RuntimeError("the application has a hook that revalidates; put both into one")
        self._checks = Checks(hook, interval, self._timers, self._judge)

    @property
    def actors(self) -> Sequence[Child[Any]]:
        """What has to run beside their connections."""
        return () if self._checks is None else (self._checks.child,)

    async def _judge(self, owner: Owner) -> int:
        """End the connections of somebody whose sessions hold no more; return how many."""
        assert self._checks is not None
        whose = self._connections.get(owner, ()) if isinstance(owner, str) else [owner]
        asked: list[tuple[Identity, bool]] = []
        ended = 0
        for connection in list(whose):
            identity = self._identities.get(connection)
            if identity is None:
                continue  # gone meanwhile
            holds = next((each for who, each in asked if who.claims == identity.claims), None)
            if holds is None:
                holds = await self._checks.holds(identity)
                asked.append((identity, holds))
            # Who has shown a new token meanwhile was judged by that one.
            if not holds and self._identities.get(connection) is identity:
                connection.end(NOT_AUTHENTICATED, "the session is over")
                ended += 1
        return ended

    def _check_number(self, user_id: str | None, connection: Connection) -> None:
        if self._most is None or user_id is None:
            return
        others = self._connections.get(user_id, ())
        if len(others) >= self._most and connection not in others:
            detail = f"this user has {self._most} connections open already"
            raise HTTPError(429, detail, {"retry-after": retry_after()})

    def _expect_expiry(self, identity: Identity, connection: Connection) -> None:
        self._forget_expiry(connection)
        expires = expiry_of(identity)
        if expires is not None:
            end = partial(connection.end, NOT_AUTHENTICATED, "the token has expired")
            self._expiries[connection] = self._timers().call_later(expires - time.time(), end)

    def _forget_expiry(self, connection: Connection) -> None:
        expiry = self._expiries.pop(connection, None)
        if expiry is not None:
            expiry.cancel()

    def _gone(self, connection: Connection) -> None:
        del self._identities[connection]
        self._forget_expiry(connection)
        self._remove(connection)

    def _add(self, user_id: str | None, connection: Connection) -> None:
        if user_id is not None:
            self._ids[connection] = user_id
            self._connections.setdefault(user_id, set()).add(connection)
        if self._checks is not None:
            self._checks.begin(user_id or connection)

    def _remove(self, connection: Connection) -> None:
        user_id = self._ids.pop(connection, None)
        if user_id is not None:
            others = self._connections[user_id]
            others.discard(connection)
            if others:
                return
            del self._connections[user_id]
        if self._checks is not None:
            self._checks.end(user_id or connection)


def expiry_of(identity: Identity) -> float | None:
    """Give when an identity is good no more, in seconds since 1970 (RFC 7519 section 4.1.4)."""
    claims: Any = identity.claims or {}
    expires = claims.get("exp")
    is_number = isinstance(expires, int | float) and not isinstance(expires, bool)
    return float(expires) if is_number else None
