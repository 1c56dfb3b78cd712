"""The `herdwick` command."""

import signal
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from math import inf, nan
from pathlib import Path
from typing import Final, get_args

from herdwick.runtime import RestartLimitReached

from .essence import essence
from .logs import Level, LogFormat
from .reload import MissingExtra, Reloader
from .serving import Backend, CannotListen, NotAnApplication, Settings, run_with
from .signals import STOP_SIGNALS
from .sockets import PortInUse
from .target import Target, TargetError
from .tls import CertificateUnusable, load_certificate

MISTAKES: Final = (
    CannotListen,
    CertificateUnusable,
    MissingExtra,
    NotAnApplication,
    PortInUse,
    TargetError,
)
"""What a person can mend by another command line: one sentence and exit code 2."""


class Options(Namespace):
    """The command line of `herdwick run`."""

    target: str
    backend: Backend
    host: str
    port: int
    reload: bool
    reloaded: bool
    factory: bool
    app_dir: Path
    log_level: Level
    log_format: LogFormat
    access_log: bool
    blocked_after: float | None
    stop_timeout: float
    ssl_certfile: str | None
    ssl_keyfile: str | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit code.

    0 after an ordered stop, 1 where the application failed, 2 where the command line is wrong.

    Raises:
        SystemExit: The arguments are wrong, or ask for help.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments, Options())
    try:
        if options.reload and not options.reloaded:
            return _reload(options, arguments)
        return _serve(options)
    except MISTAKES as error:
        return _fail(2, error.strerror or str(error) if isinstance(error, OSError) else str(error))
    except KeyboardInterrupt:  # before the signals are taken over
        return 128 + signal.SIGINT


def build_parser() -> ArgumentParser:
    """Make the parser of the whole command line."""
    parser = ArgumentParser(
        prog="herdwick", description="WebSocket servers made of supervised actors."
    )
    parser.add_argument("--version", action="version", version=f"herdwick {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="run")
    run = commands.add_parser("run", allow_abbrev=False, help="serve an application until Ctrl-C")
    run.add_argument("target", metavar="module:app", help="where the application is: main:app")
    run.add_argument("--backend", choices=get_args(Backend), default="asyncio")
    run.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all addresses")
    run.add_argument("--port", type=_port, default=8000, help="0 picks a free one")
    run.add_argument("--reload", action="store_true", help="restart when Python files change")
    run.add_argument("--reloaded", action="store_true", help=SUPPRESS)
    run.add_argument("--factory", action="store_true", help="app is a function that makes it")
    run.add_argument("--app-dir", type=_directory, default=".", help="where to import from")
    run.add_argument("--log-level", choices=get_args(Level), default="info")
    run.add_argument("--log-format", choices=get_args(LogFormat), default="text")
    run.add_argument("--access-log", action="store_true", help="a line for each request")
    run.add_argument(
        "--blocked-after", type=_limit, default=0.25, metavar="S", help="'off' looks at nothing"
    )
    run.add_argument(
        "--stop-timeout", type=_seconds, default=30.0, metavar="S", help="for a graceful stop"
    )
    run.add_argument("--ssl-certfile", metavar="FILE", help="a certificate with its chain, as PEM")
    run.add_argument("--ssl-keyfile", metavar="FILE", help="its key, if it is not in there")
    return parser


def _version() -> str:
    try:
        return version("herdwick")
    except PackageNotFoundError:  # on the path, but not installed
        return "of unknown version"


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not 0 < seconds < inf:
        raise ArgumentTypeError(f"{text!r} is no time; give a number of seconds above 0")
    return seconds


def _limit(text: str) -> float | None:
    return None if text == "off" else _seconds(text)


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise ArgumentTypeError(f"{text!r} is no directory")
    return Path(text).resolve()


def _reload(options: Options, arguments: Sequence[str]) -> int:
    Target.parse(options.target)
    again = [each for each in arguments if each != "--reload"]
    command = [sys.executable, "-m", "herdwick", *again, "--reloaded"]
    Reloader(command, options.app_dir).run()
    return 0


def _serve(options: Options) -> int:
    if options.reloaded:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the reloader tells us by SIGTERM
    ssl = load_certificate(options.ssl_certfile, options.ssl_keyfile)
    app = Target.parse(options.target).load(options.app_dir, factory=options.factory)
    settings = Settings(
        backend=options.backend,
        host=options.host,
        port=options.port,
        ssl=ssl,
        log_level=options.log_level,
        log_format=options.log_format,
        access_log=options.access_log,
        blocked_after=options.blocked_after,
        stop_timeout=options.stop_timeout,
        signals=(signal.SIGTERM,) if options.reloaded else STOP_SIGNALS,
    )
    try:
        run_with(app, settings)
    except MISTAKES:
        raise
    except RestartLimitReached:  # logged already
        return 1
    except Exception as error:
        if options.log_level == "debug":
            raise
        return _fail(1, f"the application failed: {essence(error)}")
    return 0


def _fail(code: int, text: str) -> int:
    print(f"herdwick: error: {text}", file=sys.stderr)
    return code
