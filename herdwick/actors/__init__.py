"""Ready-made actors: the connection. They know the runtime, and no HTTP, ASGI or paths.

General layout:

    transport    what carries a connection, and what its messages go to: protocols
    closing      what a close frame may say
    inbox        the messages of a peer that nobody has read yet
    connection   the actor: the handler is its body, the port is for everybody else
"""

from .closing import (
    IllegalCloseCode,
    InvalidText,
    check_close_code,
    check_text,
    clip_reason,
    is_legal_close_code,
)
from .connection import Behaviour, Bounds, Close, Connection, Ending, Phase, Send
from .transport import Data, RawHeaders, Receiver, Transport, size_of

__all__ = [
    "Behaviour",
    "Bounds",
    "Close",
    "Connection",
    "Data",
    "Ending",
    "IllegalCloseCode",
    "InvalidText",
    "Phase",
    "RawHeaders",
    "Receiver",
    "Send",
    "Transport",
    "check_close_code",
    "check_text",
    "clip_reason",
    "is_legal_close_code",
    "size_of",
]
