"""The application: routes and supervised actors behind one ASGI entry."""

from __future__ import annotations

import inspect
import logging
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, overload

import rodi
from guardpost import AuthenticationStrategy, AuthorizationStrategy

from herdwick.actors import (
    Authorize,
    Connection,
    Disconnect,
    History,
    Identified,
    Position,
    PresenceOptions,
    Room,
    Slow,
    TopicKind,
    Transport,
    ids_of,
)
from herdwick.routing import ParamTypes, Prefix, Table, check_topic
from herdwick.runtime import (
    Child,
    Dynamic,
    Event,
    Events,
    GaveUp,
    OnStuck,
    Ref,
    Supervisable,
    Supervisor,
    System,
)

from .access import log_answer
from .asgi import drive
from .asgi_types import ASGIApp, ASGIEvent, ASGIReceive, ASGISend, Scope
from .binding import Handler, describe
from .checks import Hook
from .dispatch import Dispatcher, ExceptionHandler
from .errors import NotRunning
from .files import StaticFiles
from .health import Health
from .http import HTTPError
from .limits import Limits
from .middleware import Middleware
from .origin import OriginPolicy
from .request import Request
from .rooms import Rooms
from .routes import Endpoint, Routes, check_async, check_first_messages
from .sessions import Sessions
from .users import Users

P = ParamSpec("P")
H = TypeVar("H", bound=Handler)
Q = TypeVar("Q")
Lifespan: TypeAlias = Callable[[], AsyncGenerator[None]]
E = TypeVar("E", bound=ExceptionHandler)
L = TypeVar("L", bound=Lifespan)
V = TypeVar("V", bound=Hook)
C = TypeVar("C", bound=type[Room[Any]])

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
        drain_window: Seconds over which a stop spreads the closing of connections, so that their
            clients do not come back all at once.
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
        drain_window: float = 0.0,
        stop_timeout: float = 30.0,
        on_stuck: OnStuck = "wait",
    ) -> None:
        if not 0 <= drain_window < float("inf"):
            raise ValueError(f"drain_window is {drain_window:g}; it must be 0 seconds or more")
        self.services = rodi.Container()
        """What handlers may ask for by its type; register it before the routes that do."""
        self.events = Events()
        """What happens to the actors: starts, exits, restarts, giving up, dead letters. It can be
        subscribed to before the start, and lasts from one run to the next."""
        self.param_types = ParamTypes()
        """The types of route parameters; `register` adds one of your own."""
        table: Table[Endpoint] = Table(self.param_types)
        prefix = Prefix("/", self.param_types)
        super().__init__(table, [], self.services, prefix, limits or Limits())
        policy = OriginPolicy.of(origins, require_origin=require_origin)
        self.users = Users(lambda: self._running().timers, self.limits.connections_per_user)
        """Who has connections open, to end them."""
        self._rooms = Rooms(self.param_types)
        self._drain_window = drain_window
        self._dispatcher = Dispatcher(table, policy, self.users)
        self._sessions = Sessions(self._dispatcher, self._rooms, self.limits, debug=debug)
        self._lifespans: list[Lifespan] = []
        self._actors = Supervisor("services")
        self._new_system = partial(
            System, events=self.events, stop_timeout=stop_timeout, on_stuck=on_stuck
        )
        self._system: System | None = None

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

    def revalidate(self, hook: V) -> V:
        """Let an async function tell, again and again, whether the session of an identity holds.

        It is asked about each user who is connected within each `Limits.revalidate_interval`, once
        for all connections with the same claims, and whenever `users.revalidate` asks. Where it
        does not say True, raises, or takes over 10 s, these connections are closed with 4401; an
        error is logged. It is not asked at the handshake, which the authentication decides alone.

        Raises:
            RuntimeError: The application runs already, or has such a function.
            TypeError: The function is not async.
        """
        check_async(hook)
        if self._system is not None:
            raise RuntimeError("the application runs already; give it the hook before")
        self.users.check_by(hook, self.limits.revalidate_interval)
        return hook

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

    def serve_health(self, path: str = "/health") -> None:
        """Tell load balancers and process managers how it is, at `live` and `ready` below a path.

        `GET {path}/live` is answered with 200 as long as the process answers at all; `GET
        {path}/ready` with 200 while new connections are taken, else with 503: it has not started,
        drains, or has given up. No `@auth` and no policy stands before them. Middlewares do, and a
        route of yours with that path comes first.

        Raises:
            ValueError: The path is no path, or is taken.
        """
        self.mount(path, Health(lambda: self.ready))

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

    def room(
        self,
        pattern: str,
        /,
        *,
        history: History | None = None,
        presence: bool | PresenceOptions = False,
        slow: Slow = Disconnect(),  # noqa: B008 - frozen
        idle: float = 30.0,
        capacity: int = 1000,
        cool_down: float = 10.0,
    ) -> Callable[[C], C]:
        """Let a class make the rooms of the topics with these names, such as `game:{game_id}`.

        Its constructor gets the parameters of the pattern by their names, which is checked here. A
        room is there as soon as somebody joins, and is put away when nobody has needed it for
        `idle` seconds.

        Args:
            pattern: The names of the topics.
            history: What is kept of what is broadcast, for those who come back; None: nothing.
            presence: Whether it tells who is present, or how.
            slow: What follows when a member reads too slowly.
            idle: Seconds without members and without work after which it is put away.
            capacity: Pushes that may wait for it.
            cool_down: Seconds for which nobody may join after it has failed too often.

        Raises:
            RoutingError: The text is no pattern, or is taken.
            RoomMisdeclared: The class does not fit the pattern, or is no room (a `TypeError`).
            ValueError: An option is out of its range.
        """

        def add(room: C) -> C:
            self._declare(
                pattern,
                TopicKind(
                    pattern=pattern,
                    history=history,
                    presence=_presence(presence),
                    slow=slow,
                    room=room,
                    idle=idle,
                    capacity=capacity,
                    cool_down=cool_down,
                ),
            )
            return room

        return add

    def topic(
        self,
        pattern: str,
        /,
        *,
        history: History | None = None,
        presence: bool | PresenceOptions = False,
        slow: Slow = Disconnect(),  # noqa: B008 - frozen
        authorize: Authorize | None = None,
        idle: float = 30.0,
    ) -> None:
        """Declare what holds for the topics with these names, such as `chat:{room_id}`.

        A topic needs no declaration to be joined by a handler and broadcast to: it then keeps no
        history, and closes slow members with 1013.

        Args:
            pattern: The names of the topics.
            history: What is kept of what is broadcast, for those who come back; None: nothing.
            presence: Whether it tells who is present, or how.
            slow: What follows when a member reads too slowly.
            authorize: Raises `JoinRefused` unless somebody may join; `everyone` lets all. None:
                whom a handler lets; clients of herdwick.v1, which join by themselves, may not.
            idle: Seconds without members after which it is put away; its history stays.

        Raises:
            RoutingError: The text is no pattern, or is taken.
            ValueError: An option is out of its range.
        """
        self._declare(
            pattern,
            TopicKind(
                pattern=pattern,
                history=history,
                presence=_presence(presence),
                slow=slow,
                authorize=authorize,
                idle=idle,
            ),
        )

    def _declare(self, pattern: str, kind: TopicKind) -> None:
        if self._system is not None:
            raise RuntimeError("the application runs already; declare its topics before")
        self._rooms.declare(pattern, kind)

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
        self._sessions.expect()
        self._dispatcher.guard.check(self.handlers)
        check_first_messages(self._endpoints)
        realtime = self._rooms.open()
        beside: list[Supervisable] = [realtime.branch, realtime.announcer, *self.users.actors]
        branches = (self._actors, *beside, self._sessions.pool)
        system = self._new_system(Supervisor("root", *branches))
        realtime.serve(system)
        async with AsyncExitStack() as stack:
            for lifespan in self._lifespans:
                await stack.enter_async_context(asynccontextmanager(lifespan)())
            self._system = system
            self._sessions.open(system)
            stack.callback(self._stopped)
            await stack.enter_async_context(system)
            stack.callback(self.events.subscribe(self._watch, GaveUp))
            yield

    @property
    def ready(self) -> bool:
        """Whether it runs and takes new connections."""
        return self._sessions.ready

    @property
    def debug(self) -> bool:
        """Whether clients are told the errors of handlers."""
        return self._sessions.debug

    @property
    def connections(self) -> int:
        """How many WebSockets are open."""
        return len(self._sessions)

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

    def room_ref(self, room: Callable[P, Room[Q]], /, *args: P.args, **kwargs: P.kwargs) -> Ref[Q]:
        """Give the ref of a room, by its class and the arguments of its constructor.

        The room is started where it is not there. The ref stays valid whatever becomes of it: who
        speaks to a room that was put away wakes it again.

        Raises:
            RoomMisdeclared: The class was not declared with `app.room` (a `TypeError`).
            JoinRefused: An argument cannot stand in a topic's name, or no room can be started now.
            NotRunning: The application has not been started.
        """
        return self._rooms.hall(room, args, kwargs).ref()

    async def start(self, children: Dynamic[P, Q], /, *args: P.args, **kwargs: P.kwargs) -> Ref[Q]:
        """Start one more child of a supervised `Dynamic`, and wait until it is ready.

        Raises:
            StartFailed: Its start failed, took over 10 s, or there are too many already.
        """
        return await self._running().start(children, *args, **kwargs)

    async def drain(self, window: float | None = None) -> None:
        """Close all connections with 1012, and take no new ones; wait until they have ended.

        It spreads them evenly over `window` seconds, else the application's `drain_window`. What
        was sent before still goes out, and handlers have their grace, 5 s, to come to an end:
        replies under way are awaited. Handshakes are answered with 503 from here on, and `ready`
        is false. Our own servers call it at a signal; under another one the host does.
        """
        await self._sessions.drain(self._drain_window if window is None else window)

    async def broadcast(
        self,
        topic: str,
        payload: object,
        /,
        *,
        exclude: Identified | Iterable[Identified] = (),
        record: bool = True,
        key: str | None = None,
    ) -> Position | None:
        """Send to all members of a topic, from anywhere: an HTTP handler, an actor, a timer.

        It stands in the topic's order before the first suspension, and returns when it was offered
        to all members: none of them is waited for. Cancelling it takes nothing back.

        Args:
            topic: The name of the topic; without members and history, nobody ever hears of it.
            payload: Text or bytes, which travel as they are, or anything that can be encoded. Do
                not change it afterwards.
            exclude: WebSockets or members that are to hear nothing of it.
            record: Whether it goes into the topic's history, if there is one.
            key: What tells it from others, for those who may publish it twice: with the same key it
                is recorded, and sent, once within 5 minutes.

        Returns:
            Where it stands in the history; None where it is not recorded.

        Raises:
            NotEncodable: The payload cannot be encoded.
            InvalidTopic: There can be no topic of this name (a `ValueError`).
            ValueError: There is a key, and the topic has no history to keep it in.
            NotRunning: The application has not been started.
        """
        check_topic(topic)
        ids = ids_of(exclude)
        realtime = self._rooms.realtime
        return await realtime.broadcast(topic, payload, exclude=ids, record=record, key=key)

    def members(self, topic: str, /) -> int:
        """Tell how many members a topic has.

        Raises:
            NotRunning: The application has not been started.
        """
        found = self._rooms.realtime.topics.get(topic)
        return 0 if found is None else len(found.members)

    def presence(self, topic: str, /) -> Mapping[str, Mapping[str, object]]:
        """Tell who is present on a topic: by key, the meta of each connection, by its id.

        Raises:
            NotRunning: The application has not been started.
        """
        found = self._rooms.realtime.topics.get(topic)
        return {} if found is None or found.presences is None else found.presences

    # ------------------------------------------------------------------ servers

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Serve one ASGI scope: `lifespan`, `http` or `websocket`."""
        match scope["type"]:
            case "http":
                await self._respond(scope, receive, send)
            case "websocket":
                await drive(scope, receive, send, self.connect, self.limits)
            case "lifespan":
                # So a server's protocol finds what to connect to, past the ASGI side.
                scope.get("state", {})["herdwick"] = self
                await self._live(receive, send)
            case other:
                raise ValueError(f"the application does not speak ASGI {other!r}")

    def connect(self, request: Request, transport: Transport) -> Connection:
        """Take over a handshake: spawn its connection's actor, in the caller's turn.

        An application that does not run, or that drains, refuses it with 503.
        """
        return self._sessions.connect(request, transport)

    async def _respond(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        limits = self.limits
        size, patience = limits.body_bytes, limits.body_timeout
        request = Request(scope, receive, body_bytes=size, body_timeout=patience)
        started = False

        async def watched(event: ASGIEvent) -> None:
            nonlocal started
            if event["type"] == "http.response.start":
                log_answer(request, event["status"])
            started = True
            await send(event)

        try:
            response = await self._dispatcher.respond(request)
            await response(scope, receive, watched)
        except Exception as error:
            if started:
                raise  # too late for an answer: the server drops the connection
            method, path = request.method, request.path
            told = {"kind": "request_failed", "method": method, "path": path, "status": 500}
            logger.exception("%s %s failed", method, path, extra=told)
            answer = HTTPError(500, repr(error) if self.debug else "").response()
            await answer(scope, receive, watched)

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
                told = {"kind": "start_failed", "reason": str(error)}
                logger.error("the application did not start: %s", error, extra=told)
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            told = {"kind": "gave_up", "reason": str(error)}
            text = "the application gave up, and its server is asked to stop: %s"
            logger.critical(text, error, extra=told)
            os.kill(os.getpid(), signal.SIGTERM)
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _running(self) -> System:
        if self._system is None:
            raise NotRunning
        return self._system

    def _stopped(self) -> None:
        self._system = None
        self._sessions.close()
        self._rooms.close()

    def _watch(self, event: Event) -> None:
        if isinstance(event, GaveUp) and event.path.count("/") == 1:
            # The root itself is next, and takes the connections with it.
            self._sessions.give_up()


def _presence(presence: bool | PresenceOptions) -> PresenceOptions | None:
    if isinstance(presence, PresenceOptions):
        return presence
    return PresenceOptions() if presence else None


def _check_error(error: object) -> None:
    if not (isinstance(error, type) and issubclass(error, Exception)):
        raise TypeError(f"an exception handler is for a kind of Exception, not for {error!r}")
