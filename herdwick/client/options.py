"""The bounds of a client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How long a client waits, and how much it holds; times are in seconds."""

    connect_timeout: float = 10.0
    """For one try: the token, the TCP connection, TLS and the handshake together."""

    patience: float | None = None
    """Without a connection, after which the client gives up; None for no end."""

    quiet: float = 25.0
    """Without a byte from the server, after which the client asks for a sign of life."""

    sign_of_life: float = 10.0
    """For the server to give it; then the connection is taken for lost."""

    close_timeout: float = 2.0
    """For the server to answer the close frame, when the client's block is left."""

    buffer: int = 1024
    """Events that a room holds; reading pauses at half of it, see `Room`."""

    max_message_bytes: int = 16 * 1024 * 1024
    """The longest message that the server may send."""

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "quiet", "sign_of_life", "close_timeout"):
            value: float = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} is {value:g}; it must be more than 0 seconds")
        if self.patience is not None and not self.patience >= 0:
            raise ValueError(f"patience is {self.patience:g}; it must be 0 seconds or more")
        if self.buffer < 2:
            raise ValueError(f"buffer is {self.buffer}; it must be 2 events or more")
        if self.max_message_bytes < 1:
            raise ValueError(f"max_message_bytes is {self.max_message_bytes}; it must be positive")
