"""The application: routes and supervised actors behind one ASGI entry."""

from __future__ import annotations

import inspect
import logging
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeAlias, TypeVar, overload

import rodi
from guardpost import AuthenticationStrategy, AuthorizationStrategy

from herdwick.actors import Behaviour, Bounds, Connection, Transport
from herdwick.routing import ParamTypes, Prefix, Table
from herdwick.runtime import (
    ActorStopped,
    Child,
    Dynamic,
    Event,
    Events,
    GaveUp,
    OnStuck,
    Pool,
    PoolSupervision,
    Ref,
    Supervisable,
    Supervisor,
    System,
)

from .asgi import drive
from .asgi_types import ASGIApp, ASGIEvent, ASGIReceive, ASGISend, Scope
from .binding import Handler, describe
from .dispatch import Dispatcher, ExceptionHandler
from .errors import NotRunning
from .files import StaticFiles
from .http import HTTPError
from .limits import Limits
from .middleware import Middleware
from .origin import OriginPolicy
from .request import Request
from .routes import WEBSOCKET, Endpoint, Routes, SocketOptions, check_async
from .websocket import WebSocket

P = ParamSpec("P")
H = TypeVar("H", bound=Handler)
Q = TypeVar("Q")
Lifespan: TypeAlias = Callable[[], AsyncGenerator[None]]
E = TypeVar("E", bound=ExceptionHandler)
L = TypeVar("L", bound=Lifespan)

logger: Final = logging.getLogger("herdwick")


class Application(Routes):
    """What a project is made of: routes, middlewares, auth, and a tree of actors.

    It is an ASGI 3 application. Everything is registered before it starts; its actors run from
    the server's lifespan startup to its shutdown, or as long as `async with app.running()` does.

    Args:
        origins: Origins besides its own that browsers may open WebSockets from, such as
            `https://example.com`; `*` for all.
        require_origin: Refuse WebSockets without an Origin, which only browsers send.
        limits: What one peer may use, and how long it may take.
        debug: Tell clients the errors of handlers; never on a public server.
        stop_timeout: Seconds that the stop of all actors may take, as in `System`.
        on_stuck: What follows when an actor cannot be ended, as in `System`.
    """

    def __init__(
        self,
        *,
        origins: Iterable[str] = (),
        require_origin: bool = False,
        limits: Limits | None = None,
        debug: bool = False,
        stop_timeout: float = 30.0,
        on_stuck: OnStuck = "wait",
    ) -> None:
        self.limits = limits or Limits()
        self.debug = debug
        self.services = rodi.Container()
        """What handlers may ask for by its type; register it before the routes that do."""
        self.events = Events()
        """What happens to the actors: starts, exits, restarts, giving up, dead letters. It can be
        subscribed to before the start, and lasts from one run to the next."""
        self.param_types = ParamTypes()
        """The types of route parameters; `register` adds one of your own."""
        table: Table[Endpoint] = Table(self.param_types)
        super().__init__(table, [], self.services, Prefix("/", self.param_types))
        policy = OriginPolicy.of(origins, require_origin=require_origin)
        self._dispatcher = Dispatcher(table, policy)
        self._bounds = Bounds(
            inbox_messages=self.limits.inbox_messages,
            inbox_bytes=self.limits.inbox_bytes,
            pause_timeout=self.limits.pause_timeout,
            send_timeout=self.limits.send_timeout,
        )
        self._lifespans: list[Lifespan] = []
        self._actors = Supervisor("services")
        self._connections = Pool("connections")
        self._new_system = partial(
            System, events=self.events, stop_timeout=stop_timeout, on_stuck=on_stuck
        )
        self._system: System | None = None
        self._draining = False
        self._gave_up = False
        self._start_missing = True
        """Nobody has started it yet, and no line in the log has said so."""

    # ------------------------------------------------------------------ registration

    @property
    def middlewares(self) -> list[Middleware]:
        """Functions around every handshake, request and handler; the first is outermost."""
        return self._dispatcher.middlewares

    def exception_handler(self, error: type[Exception], /) -> Callable[[E], E]:
        """Let a function answer this kind of error, and those derived from it.

        It is called with the request and the error, for HTTP and WebSockets alike. A response
        that it returns answers a request, or refuses a handshake; once a WebSocket is accepted
        it may close it: `await request.websocket.close(4000)`.

        Raises:
            TypeError: It is no kind of error, or the function is not async.
        """
        _check_error(error)

        def add(handler: E) -> E:
            check_async(handler)
            self._dispatcher.exception_handlers[error] = handler
            return handler

        return add

    def lifespan(self, function: L) -> L:
        """Run an async generator function around the application: before and after its `yield`.

        If the actors give up, their error is raised at the `yield`: put what has to be cleaned up
        into a `finally`.

        Raises:
            TypeError: It is no async generator function.
        """
        if not inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{describe(function)} must be an async generator function: an `async def` with a "
                f"`yield`, and without `@asynccontextmanager`"
            )
        self._lifespans.append(function)
        return function

    def mount(self, path: str, app: ASGIApp) -> None:
        """Let another ASGI application answer what no route does below a path.

        It gets no lifespan events, and brings its own authentication: `@auth` and default
        policies are for routes.

        Raises:
            TypeError: It is no ASGI application.
            ValueError: The path is no path, or is taken.
        """
        if not callable(app):
            raise TypeError(f"cannot mount {app!r} at {path!r}; an ASGI application is callable")
        self._dispatcher.mounts.add(path, app)

    def serve_files(self, directory: str | Path, *, path: str = "/") -> None:
        """Serve the files of a directory below a path; `index.html` stands for the directory."""
        self.mount(path, StaticFiles(directory))

    def use_authentication(self) -> AuthenticationStrategy:
        """Give the authentication strategy, to add handlers to."""
        return self._dispatcher.guard.use_authentication(self.services)

    def use_authorization(self) -> AuthorizationStrategy:
        """Give the authorization strategy, to add policies to."""
        return self._dispatcher.guard.use_authorization(self.services)

    def supervise(self, *children: Supervisable) -> None:
        """Run actors beside the connections: started before the first, stopped after the last.

        Raises:
            RuntimeError: The application runs already.
            TypeError: One is no spec, but an actor class perhaps: write `Child(Counter)`.
            ValueError: Two have the same name, or one was given twice.
        """
        if self._system is not None:
            raise RuntimeError("the application runs already; supervise its actors before")
        self._actors = Supervisor("services", *self._actors.children, *children)

    # ------------------------------------------------------------------ while it runs

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start the actors and stop them again; a host that mounts the application enters this.

        Raises:
            AuthNotConfigured: A handler asks for an identity, and no strategy tells any.
            StartFailed: An actor did not start.
            RestartLimitReached: An actor kept failing, and all above it gave up; raised at the
                end of the block, which is cancelled.
        """
        if self._system is not None:
            raise RuntimeError("the application runs already; one loop at a time")
        self._start_missing = False
        self._dispatcher.guard.check(self.handlers)
        system = self._new_system(Supervisor("root", self._actors, self._connections))
        async with AsyncExitStack() as stack:
            for lifespan in self._lifespans:
                await stack.enter_async_context(asynccontextmanager(lifespan)())
            self._draining = self._gave_up = False
            self._system = system
            stack.callback(self._stopped)
            await stack.enter_async_context(system)
            stack.callback(self.events.subscribe(self._watch))
            yield

    @property
    def ready(self) -> bool:
        """Whether it runs and takes new connections."""
        return self._system is not None and self._system.running and not self._draining

    @property
    def connections(self) -> int:
        """How many WebSockets are open."""
        pool = self._pool()
        return 0 if pool is None else len(pool)

    @property
    def system(self) -> System:
        """The running tree of actors, for those who look after it.

        Raises:
            NotRunning: The application has not been started.
        """
        return self._running()

    def ref(self, child: Child[Q], /) -> Ref[Q]:
        """Give the ref of a supervised child; the spec itself is the key.

        Raises:
            NotFound: The child is not supervised by this application.
            NotRunning: The application has not been started.
        """
        return self._running().ref(child)

    @overload
    def get(self, path: str, /) -> Callable[[H], H]: ...
    @overload
    def get(
        self, children: Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[Ref[Q]]: ...
    def get(
        self, what: str | Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[H], H] | Awaitable[Ref[Q]]:
        """Answer GET requests at a path; or give the child of a `Dynamic` with these arguments.

        `@app.get("/path")` is the route, as `post` and the others are. `await app.get(devices, id)`
        gives the supervised child that these arguments have made, and starts it where there is
        none; however many call at once, one child is started, and all of them wait for it.

        Raises:
            StartFailed: Its start failed, took over 10 s, or there are too many already.
            NotRunning: The application has not been started.
        """
        if isinstance(what, str):
            return super().get(what)
        return self._running().get(what, *args, **kwargs)

    async def start(self, children: Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs) -> Ref[Q]:
        """Start one more child of a supervised `Dynamic`, and wait until it is ready.

        Raises:
            StartFailed: Its start failed, took over 10 s, or there are too many already.
        """
        return await self._running().start(children, *args, **kwargs)

    async def stop_connections(self) -> None:
        """Close all connections with 1012, and take no new ones; wait until they have ended.

        Their handlers have their grace, 5 s, to come to an end.
        """
        self._draining = True
        pool = self._pool()
        if pool is not None:
            await pool.stop_children()

    # ------------------------------------------------------------------ servers

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Serve one ASGI scope: `lifespan`, `http` or `websocket`."""
        match scope["type"]:
            case "http":
                await self._respond(scope, receive, send)
            case "websocket":
                await drive(scope, receive, send, self.connect, self.limits)
            case "lifespan":
                await self._live(receive, send)
            case other:
                raise ValueError(f"the application does not speak ASGI {other!r}")

    def connect(self, scope: Scope, transport: Transport) -> Connection:
        """Take over a handshake: spawn its connection's actor, in the caller's turn.

        An application that does not run, or that drains, refuses it with 503.
        """
        request = Request(scope)
        match = self._dispatcher.resolve(request, WEBSOCKET)
        socket = (match.endpoint.socket if match else None) or SocketOptions()
        behaviour = Behaviour(
            handle=partial(self._dispatcher.serve, request, match),
            encode=socket.codec.encode_payload,
            stop_code=self._stop_code,
            cancel_on_disconnect=socket.cancel_on_disconnect,
            debug=self.debug,
        )
        connection = Connection(transport, behaviour, self._bounds)
        request.websocket = WebSocket(request, connection, socket.codec, socket.on_invalid)
        self._spawn(connection)
        return connection

    def _spawn(self, connection: Connection) -> None:
        try:
            if not self.ready:
                raise NotRunning
            slot = self._running().spawn(self._connections, connection, context=copy_context())
        except (NotRunning, ActorStopped) as error:
            if self._start_missing:
                self._start_missing = False  # once: strangers decide how often they come
                logger.error("handshake refused with 503: %s", error)
            connection.refuse()
        else:
            slot.gone.then(connection.refuse)

    async def _respond(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        request = Request(scope, receive, body_bytes=self.limits.body_bytes)
        started = False

        async def watched(event: ASGIEvent) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            response = await self._dispatcher.respond(request)
            await response(scope, receive, watched)
        except Exception as error:
            if started:
                raise  # too late for an answer: the server drops the connection
            logger.exception("%s %s failed", request.method, request.path)
            answer = HTTPError(500, repr(error) if self.debug else "").response()
            await answer(scope, receive, send)

    async def _live(self, receive: ASGIReceive, send: ASGISend) -> None:
        """Follow the server's lifespan; an application that fails to start says why."""
        await receive()
        started = False
        try:
            async with self.running():
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            if not started:
                logger.error("the application did not start: %s", error)
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            logger.critical("the application gave up, and its server is asked to stop: %s", error)
            os.kill(os.getpid(), signal.SIGTERM)
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _running(self) -> System:
        if self._system is None:
            raise NotRunning
        return self._system

    def _pool(self) -> PoolSupervision | None:
        """Give the connections' supervisor; None before it starts, and when it has ended."""
        try:
            return self._running().pool(self._connections)
        except (NotRunning, ActorStopped):
            return None

    def _stopped(self) -> None:
        self._system = None

    def _watch(self, event: Event) -> None:
        if isinstance(event, GaveUp) and event.path.count("/") == 1:
            self._gave_up = True  # the root itself is next, and takes the connections with it

    def _stop_code(self) -> int:
        return 1011 if self._gave_up else 1012


def _check_error(error: object) -> None:
    if not (isinstance(error, type) and issubclass(error, Exception)):
        raise TypeError(f"an exception handler is for a kind of Exception, not for {error!r}")
