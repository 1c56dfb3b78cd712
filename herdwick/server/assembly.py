"""The fragments of one message, put together within its limits (RFC 6455 section 5.4)."""

import codecs
from typing import Final

from herdwick.actors import Bounds, Data

from .frames import (
    CONTINUATION,
    INVALID_PAYLOAD,
    POLICY,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameError,
    Header,
)

_utf8: Final = codecs.getincrementaldecoder("utf-8")


def decode(payload: bytes) -> str:
    """Decode a text payload, which is its UTF-8 check.

    Raises:
        FrameError: 1007.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_PAYLOAD, "text is not UTF-8") from None


class Assembly:
    """The message whose first fragment has come and whose last one has not, if there is one.

    Text is decoded fragment by fragment, so that bad UTF-8 ends the connection at once.
    """

    __slots__ = ("_binary", "_bytes", "_decoder", "_fragments", "_text", "limits", "pending")

    def __init__(self, limits: Bounds) -> None:
        self.limits = limits
        # Between the first and the last fragment of a message.
        self.pending = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._binary: list[bytes] = []
        self._text: list[str] = []
        self._bytes = 0
        self._fragments = 0

    def check(self, header: Header) -> None:
        """Check a data frame by its header, before its payload is buffered.

        Raises:
            FrameError: 1009 over the size limit, 1002 out of order, 1008 too many fragments.
        """
        if self._bytes + header.payload > self.limits.message_bytes:
            raise FrameError(TOO_BIG, f"message over {self.limits.message_bytes} bytes")
        if self.pending is not (header.opcode == CONTINUATION):
            expected = "expected a continuation" if self.pending else "unexpected continuation"
            raise FrameError(PROTOCOL_ERROR, expected)
        if self._fragments >= self.limits.message_fragments:
            raise FrameError(POLICY, f"over {self.limits.message_fragments} fragments")

    def add(self, header: Header, payload: bytes) -> Data | None:
        """Take a checked frame, and give the message if it is whole now.

        Raises:
            FrameError: 1007 where text is not UTF-8.
        """
        if header.fin and not self.pending:
            return decode(payload) if header.opcode == TEXT else payload
        if not self.pending:
            self.pending = True
            self._decoder = _utf8() if header.opcode == TEXT else None
        self._bytes += len(payload)
        self._fragments += 1
        self._append(payload, header.fin)
        return self._whole() if header.fin else None

    def _append(self, payload: bytes, final: bool) -> None:
        if self._decoder is None:
            self._binary.append(payload)
            return
        try:
            self._text.append(self._decoder.decode(payload, final))
        except UnicodeDecodeError:
            raise FrameError(INVALID_PAYLOAD, "text is not UTF-8") from None

    def _whole(self) -> Data:
        data = b"".join(self._binary) if self._decoder is None else "".join(self._text)
        self.pending = False
        self._binary, self._text = [], []
        self._bytes = self._fragments = 0
        return data
