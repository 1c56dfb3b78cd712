"""`run`: serve one application until a signal asks to stop."""

import importlib
import logging
import signal
import socket
import ssl as tls
import sys
from collections.abc import Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    nullcontext,
)
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import anyio

from herdwick.runtime import RestartLimitReached, Watchdog
from herdwick.websocket import Application

from .listener import serve
from .logs import Level, LogFormat, log_lines
from .signals import STOP_SIGNALS, StopSignals
from .sockets import PortInUse, bind
from .tls import File, load_certificate

Backend: TypeAlias = Literal["asyncio", "trio"]

ALARM_AFTER: Final = 5.0
"""Seconds for which the loop may be blocked before that is an alarm."""

logger: Final = logging.getLogger("herdwick.server")


class CannotListen(OSError):
    """The address is not one of this machine, or the port needs rights."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}, port {port}: {reason}")
        self.host = host
        """Where it was to listen."""
        self.port = port
        """At which port."""
        self.reason = reason
        """What the system says."""


class NotAnApplication(TypeError):
    """What is to be served is not a herdwick application."""

    def __init__(self, name: str, found: object) -> None:
        if isinstance(found, type):
            advice = "make an instance of it, and name that"
        elif callable(found):
            advice = "run it under its own server, or mount it: `app.mount('/', ...)`"
        else:
            advice = "give the `Application` itself"
        kind = f"the class {found.__name__}" if isinstance(found, type) else _article(found)
        super().__init__(f"{name} is {kind}, not a herdwick Application: {advice}")
        self.name = name
        """What it was called, such as `module:app`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where and how an application is served."""

    backend: Backend = "asyncio"
    host: str = "127.0.0.1"
    port: int = 8000
    ssl: tls.SSLContext | None = None
    log_level: Level | None = "info"
    log_format: LogFormat = "text"
    access_log: bool = False
    blocked_after: float | None = 0.25
    stop_timeout: float = 30.0
    signals: Sequence[signal.Signals] = STOP_SIGNALS

    def __post_init__(self) -> None:
        if self.backend not in ("asyncio", "trio"):
            raise ValueError(f"backend is {self.backend!r}; it must be 'asyncio' or 'trio'")
        whole = isinstance(self.port, int)  # pyright: ignore[reportUnnecessaryIsInstance]  # not all check types
        if not (whole and 0 <= self.port <= 65535):
            raise ValueError(f"port is {self.port!r}; it must be a whole number from 0 to 65535")
        if self.log_format not in ("text", "json"):
            raise ValueError(f"log_format is {self.log_format!r}; it must be 'text' or 'json'")
        if self.blocked_after is not None and not 0 < self.blocked_after < float("inf"):
            raise ValueError(
                f"blocked_after is {self.blocked_after!r}; it must be more than 0 seconds, or None"
            )


def run(
    app: Application,
    *,
    backend: Backend = "asyncio",
    host: str = "127.0.0.1",
    port: int = 8000,
    ssl_certfile: File | None = None,
    ssl_keyfile: File | None = None,
    log_level: Level | None = "info",
    log_format: LogFormat = "text",
    access_log: bool = False,
    blocked_after: float | None = 0.25,
    stop_timeout: float = 30.0,
) -> None:
    """Serve an application until SIGINT or SIGTERM: by uvicorn on asyncio, by our own on trio.

    A stop is graceful: every WebSocket gets what was sent before and is closed with 1012,
    requests are answered, then the application stops. A second signal, or `stop_timeout` seconds,
    end the process at once. Call it in the main thread; elsewhere no signals are received.

    Args:
        app: What to serve.
        backend: The event loop; on asyncio it is uvloop, where that is installed.
        host: An address or a name of this machine; `0.0.0.0` for all addresses.
        port: 0 picks a free one; the first log line tells it.
        ssl_certfile: A PEM file with the certificate and its chain, for https and wss.
        ssl_keyfile: A PEM file with its key, if that is not in `ssl_certfile`.
        log_level: What to log to stderr; None leaves logging to the program.
        log_format: How: lines of text, or `json`, an object on each line.
        access_log: Whether each request and each handshake has a line, whatever the level.
        blocked_after: Seconds for which a handler may block the event loop before the log shows
            where, and after 5 s an alarm (`Watchdog`); None looks at nothing.
        stop_timeout: Seconds that a graceful stop may take.

    Raises:
        NotAnApplication: `app` is something else.
        PortInUse: Somebody listens there already.
        CannotListen: This machine has no such address, or the port needs rights.
        CertificateUnusable: A file is missing, or is not what it should be.
        RestartLimitReached: An actor kept failing, and all above it gave up.
        Exception: What else the application raised when it started or stopped.
    """
    if not isinstance(app, Application):  # pyright: ignore[reportUnnecessaryIsInstance]  # not all check types
        raise NotAnApplication("app", app)
    settings = Settings(
        backend=backend,
        host=host,
        port=port,
        ssl=load_certificate(ssl_certfile, ssl_keyfile),
        log_level=log_level,
        log_format=log_format,
        access_log=access_log,
        blocked_after=blocked_after,
        stop_timeout=stop_timeout,
    )
    run_with(app, settings)


def run_with(app: Application, settings: Settings) -> None:
    """Serve an application until a signal asks to stop; see `run`."""
    backend = settings.backend
    stop = StopSignals(settings.signals, settings.stop_timeout)
    lines = log_lines(settings.log_level, settings.log_format, access_log=settings.access_log)
    with lines, stop:
        try:
            host = partial(_host, app, settings, stop)
            anyio.run(host, backend=backend, backend_options=_options(backend))
        except RestartLimitReached as error:
            told = {"kind": "gave_up", "reason": str(error)}
            logger.critical("the application gave up: %s", error, extra=told)
            raise


def _options(backend: Backend) -> dict[str, object]:
    if backend == "trio" or sys.platform == "win32":
        return {}
    try:
        importlib.import_module("uvloop")  # an extra
    except ImportError:
        return {}
    return {"use_uvloop": True}


async def _host(app: Application, settings: Settings, stop: StopSignals) -> None:
    started = False

    def give_up_start() -> None:
        if not started:
            starting.cancel()

    stop.attach()
    with ExitStack() as watch, anyio.CancelScope() as starting:
        stop.asked.then(give_up_start)
        async with _serving(app, settings, await _bind(settings)) as url:
            started = True
            # Until the server has ended; at the start nobody waits to be served.
            watch.enter_context(_watched(app, settings.blocked_after))
            text = "serving on %s (%s); Ctrl-C stops it"
            logger.info(text, url, settings.backend, extra={"kind": "serving"})
            await stop.asked.wait()
            assert stop.first is not None
            text = "%s: stopping; a second one ends at once"
            logger.info(text, stop.first.name, extra={"kind": "stopping"})
    logger.info("stopped", extra={"kind": "stopped"})


async def _bind(settings: Settings) -> list[socket.socket]:
    try:
        return await bind(settings.host, settings.port)
    except PortInUse:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotListen(settings.host, settings.port, reason.lower()) from error


def _serving(
    app: Application, settings: Settings, sockets: Sequence[socket.socket]
) -> AbstractAsyncContextManager[str]:
    if settings.backend == "trio":
        return serve(app, sockets=sockets, ssl=settings.ssl)
    from .uvicorn import serve_by_uvicorn  # on trio it is not even imported

    return serve_by_uvicorn(app, sockets, ssl=settings.ssl)


def _watched(app: Application, after: float | None) -> AbstractContextManager[object]:
    if after is None:
        return nullcontext()
    return Watchdog(app.events, warn_after=after, alarm_after=max(after, ALARM_AFTER))


def _article(found: object) -> str:
    name = type(found).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
