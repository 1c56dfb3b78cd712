"""The client of herdwick.v1, on asyncio and on trio: for tests, and for services.

    async with Client("ws://127.0.0.1:8000/live") as client:
        async with client.join("chat:42", params={"name": "Ada"}) as room:
            await room.push({"text": "hello"})
            async for event in room:
                ...

General layout, from the bottom:

    errors, events, options   the words of it: what goes wrong, what a member is told, the bounds
    comeback                  pure: when to come back, and when to stay away
    presence, inbox           who is present; the events that nobody has taken yet
    question, membership      what waits for an answer; one topic over many connections: no I/O
    wire                      one WebSocket over a byte stream
    conversation              one connection: a task that reads, one that writes, who gets what
    link                      one connection after the other
    room, client              the faces of all this

What is said on the wire: docs/reference/herdwick-v1.md.
"""

from pathlib import Path
from typing import Final

from herdwick.runtime import NotHandled, Unanswered

from .client import Client
from .errors import (
    AnswerTimeout,
    ConnectionLost,
    GaveUp,
    HandshakeRefused,
    MembershipEnded,
    NoToken,
    NotRunning,
    NotSent,
    ProtocolMismatch,
    Refused,
    SendTimeout,
    StayedAway,
    Unreachable,
    Untrusted,
)
from .events import Event, Gap, GapReason, Message, Metas, PresenceChanged, Rejoined
from .link import Token
from .options import Options
from .room import Messages, Room

JAVASCRIPT: Final = Path(__file__).with_name("herdwick.js")
"""The same client for browsers and node, without dependencies, for an application to serve:

    @app.get("/herdwick.js")
    async def client() -> Response:
        return file(JAVASCRIPT, content_disposition="inline")
"""

__all__ = [
    "JAVASCRIPT",
    "AnswerTimeout",
    "Client",
    "ConnectionLost",
    "Event",
    "Gap",
    "GapReason",
    "GaveUp",
    "HandshakeRefused",
    "MembershipEnded",
    "Message",
    "Messages",
    "Metas",
    "NoToken",
    "NotHandled",
    "NotRunning",
    "NotSent",
    "Options",
    "PresenceChanged",
    "ProtocolMismatch",
    "Refused",
    "Rejoined",
    "Room",
    "SendTimeout",
    "StayedAway",
    "Token",
    "Unanswered",
    "Unreachable",
    "Untrusted",
]
