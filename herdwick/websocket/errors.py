"""What can go wrong with a WebSocket.

WebSocketError
├── WebSocketDisconnectError      the connection is over
├── InvalidWebSocketStateError    not now: before accept, or a second accept
├── ConcurrentReceive             two tasks receive at once
├── UnexpectedMessage             text where bytes were asked for, or the other way round
└── InvalidMessage (ValueError)   a message that does not decode to what was asked for
"""

from .state import WebSocketState


class WebSocketError(Exception):
    """Anything that goes wrong with a WebSocket."""


class WebSocketDisconnectError(WebSocketError):
    """The connection is over: nothing more can be received or sent."""

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        ending = f": {reason}" if reason else ""
        super().__init__(f"the connection is over, close code {code}{ending}")
        self.code = code
        """The close code; 1005 where the peer gave none, 1006 where the connection was lost."""
        self.reason = reason
        """What the one who closed it said, often nothing."""


class InvalidWebSocketStateError(WebSocketError):
    """The operation is not allowed in this state; the connection survives."""

    def __init__(
        self,
        *,
        party: str = "server",
        current_state: WebSocketState,
        expected_state: WebSocketState,
        hint: str = "",
    ) -> None:
        super().__init__(
            f"the {party} side of the WebSocket is {current_state.name}, and this needs "
            f"{expected_state.name}" + (f"; {hint}" if hint else "")
        )
        self.party = party
        """Whose side of the connection is meant."""
        self.current_state = current_state
        """Where it stands."""
        self.expected_state = expected_state
        """Where it has to stand for the operation."""


class ConcurrentReceive(WebSocketError, RuntimeError):
    """A second task receives while another one waits: their messages would mix at random."""

    def __init__(self) -> None:
        super().__init__(
            "another task is receiving from this WebSocket already; receive in one task, "
            "and hand the messages on"
        )


class UnexpectedMessage(WebSocketError):
    """A text message came where a binary one was asked for, or the other way round.

    Unhandled, it closes the connection with 1003 (RFC 6455 section 7.4.1).
    """

    def __init__(self, expected: str, received: str) -> None:
        super().__init__(f"expected a {expected} message and received a {received} one")
        self.expected = expected
        """`text` or `binary`: what was asked for."""
        self.received = received
        """`text` or `binary`: what came."""


class InvalidMessage(WebSocketError, ValueError):
    """A message does not decode to what was asked for; the connection survives.

    Unhandled, it closes the connection with 1007 (RFC 6455 section 7.4.1).
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"the message does not decode: {detail}")
        self.detail = detail
        """What is wrong with it, and the path to where in the message."""


class NotRunning(RuntimeError):
    """Something needs the application's actors, and they have not been started."""

    def __init__(self) -> None:
        super().__init__(
            "the application is not running: it got no lifespan event; where it is mounted, put "
            "`async with app.running():` into the lifespan of the host"
        )
