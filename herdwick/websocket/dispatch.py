"""From a request to its handler and back: route, middlewares, auth, binding, errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import anyio

from herdwick.actors import Connection, JoinRefused, Phase
from herdwick.routing import Match, Table
from herdwick.runtime import AskTimeout, NotFound, NotHandled, TooManyChildren

from .access import log_refusal
from .auth import Guard
from .binding import Handler
from .ends import is_end, only_disconnects
from .errors import NotRunning, WebSocketDisconnectError
from .first_message import first_token
from .http import HTTPError, Response, to_response
from .identity import Identity
from .middleware import Middleware, chain
from .mount import Mounted, Mounts, inner_scope, run_socket
from .origin import OriginPolicy
from .request import Request
from .rooms import key_of
from .routes import WEBSOCKET, Endpoint, find, not_found
from .users import Users

ExceptionHandler: TypeAlias = Callable[[Request, Any], Awaitable[Response | None]]

logger: Final = logging.getLogger("herdwick")

RETRY_AFTER: Final = "1"
"""Seconds after which an actor that was full, or between two lives, may be asked again."""


class Dispatcher:
    """Finds the handler of each request and runs it, with all that stands around it."""

    def __init__(self, table: Table[Endpoint], origins: OriginPolicy, users: Users) -> None:
        self.table = table
        self.users = users
        self.origins = origins
        self.guard = Guard()
        self.mounts = Mounts()
        self.middlewares: list[Middleware] = []
        self.exception_handlers: dict[type[Exception], ExceptionHandler] = {}

    def resolve(self, request: Request, method: str) -> Match[Endpoint] | None:
        """Find the route of a request; None where there is none, or the path is malformed."""
        try:
            return find(self.table, method, route_path(request))
        except HTTPError:
            return None  # the same look-up raises it where it is answered

    async def respond(self, request: Request) -> Response:
        """Answer an HTTP request; an error is answered too.

        Raises:
            Exception: What a handler raised and nobody handles; to be answered with 500.
        """
        try:
            try:
                response = await self._answer(request, self.resolve(request, request.method))
            except Exception as error:
                handler = self._handler_of(error)
                if handler is None:
                    raise
                response = await handler(request, error)
        except Exception as error:
            refusal = refusal_of(error, request)
            if refusal is None:
                raise
            return refusal.response()
        return to_response(response)

    async def serve(
        self, request: Request, match: Match[Endpoint] | None, connection: Connection
    ) -> None:
        """Run the handler of a WebSocket: the body of its connection's actor.

        The frames between here and the handler are few, for each connection that waits keeps them.

        Raises:
            Exception: What the handler raised and nobody handles: a crash of the connection.
        """
        try:
            self._check_origin(request)
            try:
                if match is None or self.middlewares:
                    response = await self._answer(request, match)
                else:
                    # The arguments in no name of this frame, which lives as long as the handler.
                    result = await match.endpoint(await self._arguments(request, match))
                    response = _answer_of(match, result)
            except WebSocketDisconnectError:
                raise
            except Exception as error:
                handler = self._handler_of(error)
                if handler is None:
                    raise
                response = await handler(request, error)
        except WebSocketDisconnectError:  # the end of most connections
            if connection.phase is not Phase.OVER:
                raise
            response = None
        except Exception as error:
            response = _refused(error, request, connection)
            if response is None and not is_end(error, connection):
                raise
        finally:
            request.websocket = None  # cuts the cycle: nothing waits for the collector
        if response is not None and connection.phase is Phase.HANDSHAKE:
            body = await response.read()
            connection.reject(response.status, response.headers.raw(), body)

    async def refresh(self, request: Request, token: str) -> Identity:
        """Let the client of an open WebSocket show a new token; from here on it counts.

        It is looked for where a handshake would have it: in `Authorization`, and in the
        subprotocols. It has to meet the rule of the handler, as the handshake had.

        Raises:
            HTTPError: 401 or 403: it is not valid, not enough, or somebody else's; 429: its user
                has as many connections as may be. The old one still counts.
        """
        match = self.resolve(request, WEBSOCKET)
        if match is None:
            raise HTTPError(403, "a mounted application does not take new tokens")
        renewed = await self._identify(request, token, match.endpoint.handler)
        if request.identity is not None and key_of(request.identity) != key_of(renewed):
            raise HTTPError(403, "the token is somebody else's")
        if request.websocket is not None:
            self.users.enter(renewed, request.websocket.connection)  # first: it may refuse
            request.identity = renewed
        return renewed

    async def _identify(self, request: Request, token: str, handler: Handler) -> Identity:
        """Tell whose token it is, as if it had come with the handshake.

        Raises:
            HTTPError: 401 or 403: it is not valid, or not enough for this handler.
        """
        if not token or not token.isascii() or not token.isprintable():
            raise HTTPError(401, "the token is not valid")  # no header could carry it
        shown = request.with_token(token)
        await self.guard.admit(shown, handler)
        if shown.identity is None:
            raise HTTPError(401, "the token is not valid")
        return shown.identity

    async def _admit(self, request: Request, endpoint: Endpoint) -> None:
        """Let a request pass to its handler or not, by its handshake or by its first message.

        Raises:
            HTTPError: 401 or 403, and others of authentication.
            WebSocketDisconnectError: The client has left before it was known.
        """
        try:
            await self.guard.admit(request, endpoint.handler)
            return
        except HTTPError as refusal:
            if refusal.status != 401 or not endpoint.takes_first_message:
                raise
        assert request.websocket is not None
        assert endpoint.socket is not None
        connection, shown = request.websocket.connection, None
        with anyio.move_on_after(endpoint.socket.limits.auth_timeout):
            shown = await first_token(request.websocket, endpoint.socket.strangers)
            request.identity = await self._identify(request, shown.token, endpoint.handler)
            self.users.enter(request.identity, connection)  # it may refuse, so it is told after
            shown.answer(connection)
            connection.admit()
            return
        if shown is None:
            raise HTTPError(401, "there was no token in time")
        # The token may be good: the client is not to throw it away.
        raise HTTPError(503, "the token could not be judged in time")

    def _check_origin(self, request: Request) -> None:
        refusal = self.origins.refusal(request.scheme, request.raw_headers)
        if refusal is not None:
            raise HTTPError(403, refusal)

    def _answer(
        self, request: Request, match: Match[Endpoint] | None
    ) -> Awaitable[Response | None]:
        """Call the handler, with the middlewares around it."""
        if not self.middlewares:
            return self._call(request, match)
        return chain(self.middlewares, partial(self._call, match=match))(request)

    async def _call(self, request: Request, match: Match[Endpoint] | None) -> Response | None:
        if match is None:
            return await self._elsewhere(request)
        arguments = await self._arguments(request, match)
        return _answer_of(match, await match.endpoint(arguments))

    async def _arguments(self, request: Request, match: Match[Endpoint]) -> dict[str, object]:
        """Let a request pass to its handler or not, and give the handler's arguments."""
        request.route_values = match.values
        endpoint = match.endpoint
        if self.guard.configured or endpoint.asks_auth:
            await self._admit(request, endpoint)
        if request.websocket is not None and request.identity is not None:
            self.users.enter(request.identity, request.websocket.connection)
        return await endpoint.binder(request)

    async def _elsewhere(self, request: Request) -> Response | None:
        """Hand a request without a route to what is mounted at its path, or refuse it."""
        socket = request.websocket
        path = route_path(request)
        mount = self.mounts.find(unquote(path))
        if mount is None:
            method = WEBSOCKET if socket else request.method
            find(self.table, method, path)
            raise not_found(self.table, method, path)
        prefix, app = mount
        if socket is None:
            return Mounted(app, prefix)
        await run_socket(app, inner_scope(socket.scope, prefix), socket.connection)
        return None

    def _handler_of(self, error: Exception) -> ExceptionHandler | None:
        if only_disconnects(error):
            return None  # a normal end
        for kind in type(error).__mro__:
            if kind in self.exception_handlers:
                return self.exception_handlers[kind]
        return None


def _answer_of(match: Match[Endpoint], result: object) -> Response | None:
    """Give what a handler's result says to the client; of a WebSocket's, a refusal alone."""
    if match.endpoint.socket is None:
        return to_response(result)
    return result if isinstance(result, Response) else None


def _refused(error: Exception, request: Request, connection: Connection) -> Response | None:
    """Give the answer to a handshake that ends with an error, if that is no crash.

    The refusal may be the error itself, which knows the frame that holds it: so it has one of its
    own, and only the collector would free the connection otherwise.
    """
    if connection.phase is Phase.OVER and isinstance(error, HTTPError):
        return error.response()  # nobody is left to be told
    if connection.phase is not Phase.HANDSHAKE:
        return None
    refusal = refusal_of(error, request)
    if refusal is None:
        return None
    if refusal is error and refusal.status < 500:  # what is told of other errors is told already
        log_refusal(request, refusal.status, str(error))
    return refusal.response()


def refusal_of(error: Exception, request: Request) -> HTTPError | None:
    """Give what an error tells the client, if it is no crash of the handler.

    A question that no actor got to is worth another try, 503; one that was not answered in time
    is 504. So gRPC's UNAVAILABLE and DEADLINE_EXCEEDED are told over HTTP.
    """
    match error:
        case HTTPError():
            return error
        case NotHandled() if not isinstance(error, NotFound):  # which is the program's mistake
            refusal = HTTPError(503, headers={"retry-after": RETRY_AFTER})
        case TooManyChildren() | NotRunning():
            refusal = HTTPError(503, headers={"retry-after": RETRY_AFTER})
        case AskTimeout():
            refusal = HTTPError(504)
        case JoinRefused(retry_after=None):
            refusal = HTTPError(403)
        case JoinRefused(retry_after=seconds) if seconds is not None:
            refusal = HTTPError(503, headers={"retry-after": str(ceil(seconds))})
        case _:
            return None
    path, status = request.path, refusal.status
    told = {"kind": "unavailable", "peer": request.client_ip, "path": path, "status": status}
    level = logging.INFO if isinstance(error, JoinRefused) else logging.WARNING
    logger.log(level, "%s answered with %d: %s", path, status, error, extra=told)
    return refusal


def route_path(request: Request) -> str:
    """Give the path that routes are matched with: percent-encoded, below the `root_path`.

    Whole segments are cut off, and only if they are the root's: some hosts have done so already.
    """
    root = request.root_path.rstrip("/")
    if not root:
        return request.raw_path
    segments = request.raw_path.split("/")
    below = root.count("/") + 1
    if unquote("/".join(segments[:below])) != root:
        return request.raw_path
    return "/" + "/".join(segments[below:])
