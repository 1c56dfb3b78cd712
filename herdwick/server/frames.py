"""WebSocket frames as bytes: headers, masks, close payloads (RFC 6455 sections 5 and 7.4)."""

from dataclasses import dataclass
from typing import Final

from herdwick.actors import Data, check_close_code, clip_reason, is_legal_close_code

try:
    from websockets.speedups import apply_mask as apply_mask
except ImportError:  # pragma: no cover - where no C extension could be built
    from websockets.utils import apply_mask as apply_mask

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
LOST: Final = 1006
INVALID_PAYLOAD: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

CONTROL_BYTES: Final = 125
"""The longest payload of a control frame."""


class FrameError(Exception):
    """The peer broke a rule; the connection is closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the peer's frame is refused with {code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a frame from a client."""

    fin: bool
    opcode: int
    payload: int
    """Bytes of payload."""

    size: int
    """Bytes of the header itself, the mask included."""


def parse_header(buffer: bytes | bytearray, at: int = 0) -> Header | None:
    """Read the header of a client's frame at `at`, or None while too few bytes are there.

    The length is known, and checked, before the mask has arrived.

    Raises:
        FrameError: 1002 for what RFC 6455 section 5.2 and 5.5 forbids.
    """
    if len(buffer) - at < 2:
        return None
    first, second = buffer[at], buffer[at + 1]
    _check(first, second)
    length = second & 0x7F
    extended = 8 if length == 127 else 2 if length == 126 else 0
    if len(buffer) - at < 2 + extended:
        return None
    if extended:
        length = int.from_bytes(buffer[at + 2 : at + 2 + extended], "big")
        if length >= 1 << 63:
            raise FrameError(PROTOCOL_ERROR, "length over 63 bits")
    return Header(first >= 0x80, first & 0x0F, length, 6 + extended)


def _check(first: int, second: int) -> None:
    opcode = first & 0x0F
    if first & 0x70:
        raise FrameError(PROTOCOL_ERROR, "reserved bit set")
    if opcode not in OPCODES:
        raise FrameError(PROTOCOL_ERROR, "unknown opcode")
    if second < 0x80:
        raise FrameError(PROTOCOL_ERROR, "frame not masked")
    if opcode >= CLOSE and second & 0x7F > CONTROL_BYTES:
        raise FrameError(PROTOCOL_ERROR, "control frame too long")
    if opcode >= CLOSE and first < 0x80:
        raise FrameError(PROTOCOL_ERROR, "fragmented control frame")


_SHORT: Final = tuple(bytes((0x80 | TEXT, length)) for length in range(126))
"""The headers of short text frames, by the length of their payload: as most messages are."""


def unmask(buffer: bytes, at: int, length: int) -> bytes:
    """Take the payload whose mask stands at `at`, right before it."""
    return apply_mask(buffer[at + 4 : at + 4 + length], buffer[at : at + 4])


def build(opcode: int, payload: bytes) -> bytes:
    """Build a whole frame from the server: final and without a mask."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 1 << 16:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


def build_data(data: Data) -> bytes:
    """Build the frame of one message: text for `str`, binary for `bytes`.

    Raises:
        UnicodeEncodeError: The text holds a lone surrogate, which UTF-8 cannot carry.
    """
    if not isinstance(data, str):  # a mounted application may send any buffer
        return build(BINARY, data)
    payload = data.encode()
    return _SHORT[len(payload)] + payload if len(payload) < 126 else build(TEXT, payload)


def build_close(code: int, reason: str = "") -> bytes:
    """Build a close frame; 1005 stands for one without a code.

    Raises:
        IllegalCloseCode: The code must not be sent.
    """
    if code == NO_CODE:
        return build(CLOSE, b"")
    check_close_code(code)
    return build(CLOSE, code.to_bytes(2, "big") + clip_reason(reason))


def parse_close(payload: bytes) -> tuple[int, str]:
    """Read code and reason of a close frame; 1005 for an empty one.

    Raises:
        FrameError: 1002 for half a code or an illegal one, 1007 for a reason that is not UTF-8.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    try:
        reason = payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_PAYLOAD, "close reason is not UTF-8") from None
    if not is_legal_close_code(code):
        raise FrameError(PROTOCOL_ERROR, "illegal close code")
    return code, reason
