"""What a close frame may say (RFC 6455 sections 5.5 and 7.4), and what a text message may hold."""

import os
from typing import Final

MOST_REASON_BYTES: Final = 123
"""The longest reason of a close frame: a control frame carries 125 bytes, the code takes two."""

# What may travel in a close frame: RFC 6455 section 7.4.1 and IANA's registry.
_REGISTERED = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})

_FAULTS: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1013})

_CODES: Final = {413: 1009, 503: 1013}


def retry_after() -> str:
    """Give what `Retry-After` says to who is refused for now: 5 to 15 seconds, at random.

    Those who are refused at once are not to come back at once.
    """
    return f"{5 + os.urandom(1)[0] % 11}"


class IllegalCloseCode(ValueError):
    """A close code that must not travel in a close frame."""

    def __init__(self, code: int) -> None:
        super().__init__(
            f"close code {code} must not be sent; use 1000, 1001, 1003, 1008, 1011, 1012, 1013, "
            "or 3000 to 4999 for codes of your own"
        )
        self.code = code
        """The code that was refused."""


class InvalidText(ValueError):
    """A text that UTF-8 cannot carry, and so no text message can."""

    def __init__(self, error: UnicodeEncodeError) -> None:
        super().__init__(f"the text cannot be sent: {error.reason} at position {error.start}")
        self.position: int = error.start
        """The index of the first character that cannot be sent."""


def is_legal_close_code(code: int) -> bool:
    """Tell whether `code` may travel in a close frame (RFC 6455 section 7.4)."""
    return code in _REGISTERED or 3000 <= code <= 4999


def is_fault(code: int) -> bool:
    """Tell whether a close code of ours says what the peer did, and not what we did."""
    return code in _FAULTS or 4400 <= code <= 4499


def check_close_code(code: int) -> None:
    """Let a code pass that may travel in a close frame.

    Raises:
        IllegalCloseCode: It may not.
    """
    if not is_legal_close_code(code):
        raise IllegalCloseCode(code)


def code_of_status(status: int) -> int:
    """Give the close code that says what a status does, to a peer whose handshake was answered.

    4401 stands for 401, and so do 4400 to 4499 for the others of the client's mistakes, but for
    413, which is 1009; 1013 stands for 503, and 1011 for all else.
    """
    code = _CODES.get(status)
    if code is not None:
        return code
    return 4000 + status if 400 <= status <= 499 else 1011


def status_of_code(code: int) -> int:
    """Give the status that says what a close code does, while the handshake can be answered."""
    return code - 4000 if 4400 <= code <= 4499 else 403


def check_text(data: str | bytes) -> None:
    """Let a message pass that can be sent.

    Raises:
        InvalidText: It is text that holds a lone surrogate.
    """
    if isinstance(data, str) and not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError as error:
            raise InvalidText(error) from None


def clip_reason(reason: str) -> bytes:
    """Encode a close reason, cut between two characters to at most 123 bytes."""
    encoded = reason.encode(errors="replace")
    if len(encoded) <= MOST_REASON_BYTES:
        return encoded
    return encoded[:MOST_REASON_BYTES].decode(errors="ignore").encode()
