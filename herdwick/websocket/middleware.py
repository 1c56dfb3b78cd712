"""Middlewares: functions around the handshake and the handler, the same for both kinds."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from .http import Response
from .request import Request

Next: TypeAlias = Callable[[Request], Awaitable[Response | None]]
"""The rest of the chain: the middlewares that follow, and the handler."""

Middleware: TypeAlias = Callable[[Request, Next], Awaitable[Response | None]]
"""`async def middleware(request, handler)`: calls `await handler(request)` and returns its answer.

For a WebSocket, `request` is the handshake, `request.websocket` the connection, and the answer is
None; a response returned before `accept` refuses the handshake.
"""


def chain(middlewares: Sequence[Middleware], handler: Next) -> Next:
    """Put the middlewares around a handler, the first one outermost."""
    for middleware in reversed(middlewares):
        handler = _around(middleware, handler)
    return handler


def _around(middleware: Middleware, handler: Next) -> Next:
    async def call(request: Request) -> Response | None:
        return await middleware(request, handler)

    return call
