"""The first message of a client that has put no token into its handshake, as browsers cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from herdwick.actors import Bounds, Connection, Data, Phase, size_of
from herdwick.protocol import SUBPROTOCOL, Reply, encode

from .errors import WebSocketDisconnectError
from .http import HTTPError
from .tokens import TOKEN_CHARACTERS

if TYPE_CHECKING:
    from .websocket import WebSocket

MOST_BYTES: Final = TOKEN_CHARACTERS + 1024
"""How long the message may be: the longest token, and what stands around it."""


class Shown(msgspec.Struct):
    """A token as JSON; a `refresh` of herdwick.v1 is one too."""

    token: str
    ref: int | None = None
    """What the client wants to be answered by, if at all."""

    def __repr__(self) -> str:
        """Show no token: an error may quote this."""
        return f"Shown(ref={self.ref})"

    def answer(self, connection: Connection) -> None:
        """Tell the client that it is known now, if it has asked for that."""
        if self.ref is not None:
            connection.send_early(encode(Reply(self.ref)))


_decoder: Final = msgspec.json.Decoder(Shown)


async def first_token(socket: WebSocket, bounds: Bounds) -> Shown:
    """Let the client in, within `bounds`, and wait for its first message; cancelling is safe.

    Raises:
        HTTPError: 401: the message is no token; 413: it is too long.
        WebSocketDisconnectError: The client has left.
    """
    connection = socket.connection
    if connection.phase is Phase.HANDSHAKE:
        offered = socket.subprotocols
        connection.welcome(SUBPROTOCOL if SUBPROTOCOL in offered else None, bounds)
    data = await connection.receive(resume=False)
    if data is None:
        assert connection.ending is not None
        raise WebSocketDisconnectError(connection.ending.code, connection.ending.reason)
    return read(data)


def read(data: Data) -> Shown:
    """Find the token in a message: its whole text, or the field `token` of a JSON object.

    Raises:
        HTTPError: 401: there is none; 413: it is too long.
    """
    if size_of(data) > MOST_BYTES:
        raise HTTPError(413, "the first message has to be a token")
    if isinstance(data, str):
        text = data.strip()
        if not text.startswith("{"):
            return Shown(text)
        try:
            return _decoder.decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            pass
    raise HTTPError(401, "the first message has to be a token")
