"""Who has which connections open, and how long their identities are good for."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from herdwick.actors import Connection, Phase, check_close_code
from herdwick.runtime import Timer, Timers

from .identity import Identity
from .rooms import key_of

NOT_AUTHENTICATED: Final = 4401
"""The close code of a connection whose identity is good no more: come back with another one."""


class Users:
    """The users of an application, by the `id` of their identities, and their connections."""

    def __init__(self, timers: Callable[[], Timers]) -> None:
        self._timers = timers
        self._connections: dict[str, set[Connection]] = {}
        self._ids: dict[Connection, str] = {}
        self._expiries: dict[Connection, Timer] = {}
        self._known: set[Connection] = set()

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

    # ------------------------------------------------------------------ the application's side

    def enter(self, identity: Identity, connection: Connection) -> None:
        """Take note of whose connection it is; its identity's claim `exp` ends it."""
        if connection.phase is Phase.OVER:
            return
        if connection not in self._known:
            self._known.add(connection)
            connection.life.slot.gone.then(partial(self._gone, connection))
        self._leave(connection)
        user_id = key_of(identity)
        if user_id is not None:
            self._ids[connection] = user_id
            self._connections.setdefault(user_id, set()).add(connection)
        expires = expiry_of(identity)
        if expires is not None:
            end = partial(connection.end, NOT_AUTHENTICATED, "the token has expired")
            self._expiries[connection] = self._timers().call_later(expires - time.time(), end)

    def user_of(self, connection: Connection) -> str | None:
        """Tell whose connection it is."""
        return self._ids.get(connection)

    def _gone(self, connection: Connection) -> None:
        self._known.discard(connection)
        self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        expiry = self._expiries.pop(connection, None)
        if expiry is not None:
            expiry.cancel()
        user_id = self._ids.pop(connection, None)
        if user_id is not None:
            others = self._connections[user_id]
            others.discard(connection)
            if not others:
                del self._connections[user_id]


def expiry_of(identity: Identity) -> float | None:
    """Give when an identity is good no more, in seconds since 1970 (RFC 7519 section 4.1.4)."""
    claims: Any = identity.claims or {}
    expires = claims.get("exp")
    is_number = isinstance(expires, int | float) and not isinstance(expires, bool)
    return float(expires) if is_number else None
