"""Herdwick's own server, on asyncio and on trio, and what runs applications on it or on uvicorn.

The layers, from the sockets inwards:

    listener     binds, accepts, stops gracefully; `hosting` keeps it in the background
    visit        one TCP connection: TLS, then HTTP requests, then perhaps a WebSocket
    http         HTTP/1.1 over h11; `exchange` is one request as ASGI events
    streams      drives one WebSocket over a byte stream; `ticker` keeps the deadlines
    connection   one WebSocket without I/O: what is true of it whatever carries it
    assembly, keepalive, outbox, frames, handshake, scope    its parts, without I/O too

And around it, what the command line does:

    serving      `run`: either server, until a signal stops it; `signals`, `uvicorn`, `logs`, `tls`
    target       `module:app` as text, and what can be wrong with it; `essence` of a traceback
    reload       starts again when a source changes
    command      `herdwick run`
"""

from .listener import Listener, listen, serve
from .serving import CannotListen, NotAnApplication, run
from .sockets import PortInUse
from .tls import CertificateUnusable
from .visit import Served

__all__ = [
    "CannotListen",
    "CertificateUnusable",
    "Listener",
    "NotAnApplication",
    "PortInUse",
    "Served",
    "listen",
    "run",
    "serve",
]
