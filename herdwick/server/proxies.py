"""What trusted proxies say of the client in X-Forwarded-For and -Proto, read as uvicorn does."""

import os
from contextlib import suppress
from typing import Any, Final, cast

from herdwick.websocket import Scope

from .head import Head
from .scope import Handshake

TRUSTED: Final = "127.0.0.1"


class Proxies:
    """Those whose headers count: their addresses and networks, `*` for all.

    None takes the environment variable FORWARDED_ALLOW_IPS, with commas between; without it, this
    machine alone is trusted.
    """

    def __init__(self, trusted: str | list[str] | None = None) -> None:
        # Not before a server runs: it brings all of uvicorn.
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        if trusted is None:
            trusted = os.environ.get("FORWARDED_ALLOW_IPS", TRUSTED)
        self._middleware = ProxyHeadersMiddleware(_nothing, trusted_hosts=trusted)

    def adapt(self, handshake: Handshake) -> None:
        """Correct a handshake, if a trusted proxy has passed it on."""
        if was_forwarded(handshake.head):
            self._correct(handshake.scope)

    def adapt_scope(self, scope: Scope, head: Head) -> None:
        """Correct the scope of a request, if a trusted proxy has passed it on."""
        if was_forwarded(head):
            self._correct(scope)

    def _correct(self, scope: Scope) -> None:
        running = self._middleware(cast(Any, scope), cast(Any, None), cast(Any, None))
        with suppress(StopIteration):
            running.send(None)  # it changes the scope, and waits for nothing


def was_forwarded(head: Head) -> bool:
    """Tell whether somebody says whom a request is forwarded for."""
    return b"x-forwarded-for" in head.values or b"x-forwarded-proto" in head.values


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Be the application behind the middleware."""
