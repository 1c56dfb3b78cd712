"""The shapes of ASGI 3, as far as they are passed through."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
"""What a request or a handshake is, as the server tells it."""

ASGIEvent: TypeAlias = MutableMapping[str, Any]
"""One thing that server and application tell each other, by its `type`."""

ASGIReceive: TypeAlias = Callable[[], Awaitable[ASGIEvent]]
"""Waits for the next event of the server."""

ASGISend: TypeAlias = Callable[[ASGIEvent], Awaitable[None]]
"""Hands an event to the server."""

ASGIApp: TypeAlias = Callable[[Scope, ASGIReceive, ASGISend], Awaitable[None]]
"""An ASGI 3 application, such as one to mount."""
