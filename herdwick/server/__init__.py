"""Herdwick's own server, on asyncio and on trio, and what runs applications on it or on uvicorn.

The layers, from the sockets inwards:

    listener     binds, accepts, stops gracefully; `hosting` keeps it in the background
    gate         the first bytes of a connection, without I/O: a handshake, or other HTTP
    visit        other HTTP over one TCP connection, and TLS; `http` speaks HTTP/1.1 over h11,
                 `exchange` is one request as ASGI events
    carrier      what carries one WebSocket, the drivers' common half; `ticker` keeps the deadlines,
                 `pace` the outboxes that wait, and when to write
    protocols    the driver over asyncio's transports, for uvicorn
    requests     uvicorn's HTTP behind it, held to our rules
    poller       the driver over one epoll
    streams      the driver over any byte stream: TLS, and where there is no epoll
    connection   one WebSocket without I/O: what is true of it whatever carries it
    assembly, keepalive, outbox, frames    its parts; head, handshake, scope    how it begins
    proxies      what trusted proxies say of the client
    lobby        which connections make room for others, where descriptors run short

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
