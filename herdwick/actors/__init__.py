"""Ready-made actors: the connection. They know the runtime, and no HTTP, ASGI or paths.

General layout:

    transport    what carries a connection, and what its messages go to: protocols
    inbox        the messages of a peer that nobody has read yet
    connection   the actor: the handler is its body, the port is for everybody else
"""

from .connection import Behaviour, Bounds, Close, Connection, Ending, Phase, Send
from .transport import Data, RawHeaders, Receiver, Transport, size_of

__all__ = [
    "Behaviour",
    "Bounds",
    "Close",
    "Connection",
    "Data",
    "Ending",
    "Phase",
    "RawHeaders",
    "Receiver",
    "Send",
    "Transport",
    "size_of",
]
