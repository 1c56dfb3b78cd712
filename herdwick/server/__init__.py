"""Herdwick's own server, on asyncio and on trio.

The layers, from the sockets inwards:

    listener     binds, accepts, stops gracefully
    visit        one TCP connection: TLS, then HTTP requests, then perhaps a WebSocket
    http         HTTP/1.1 over h11; `exchange` is one request as ASGI events
    streams      drives one WebSocket over a byte stream; `ticker` keeps the deadlines
    connection   one WebSocket without I/O: what is true of it whatever carries it
    assembly, keepalive, outbox, frames, handshake, scope    its parts, without I/O too
"""

from .frames import IllegalCloseCode
from .listener import Listener, listen, serve
from .sockets import PortInUse
from .visit import Served

__all__ = [
    "IllegalCloseCode",
    "Listener",
    "PortInUse",
    "Served",
    "listen",
    "serve",
]
