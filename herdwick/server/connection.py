"""One WebSocket connection without I/O: bytes and moments in, messages and bytes out.

    driver                                connection                        actor
    receive(bytes, now)  ──────────────►  frames, fragments, limits  ────►  receiver.deliver
    lost()               ──────────────►  phase                      ────►  receiver.disconnected
    take(), written()    ◄──────────────  outbox                     ◄────  offer, close, abort
    deadline, tick(now)  ◄─────────────►  pings, close timeout       ◄────  pause, resume

There is no clock in here but the `now` that is passed in, in seconds. Nothing raises because the
peer is gone or misbehaves.
"""

from enum import Enum
from typing import Final

from herdwick.actors import Bounds, Data, Receiver, Shared

from .assembly import Assembly, decode
from .frames import (
    CLOSE,
    INTERNAL_ERROR,
    LOST,
    PING,
    POLICY,
    PONG,
    FrameError,
    apply_mask,
    build,
    build_close,
    build_data,
    parse_close,
    parse_header,
    unmask,
)
from .keepalive import Keepalive
from .outbox import Outbox

_PING_FRAME: Final = build(PING, b"")
_CONTROL_RATE: Final = 10.0  # control frames a second, see `_spend`
_CONTROL_BURST: Final = 50.0
_NEVER: Final = 0x7F  # below every second byte with a mask bit


class Phase(Enum):
    """Where a connection stands. It only ever moves down this list."""

    CONNECTING = "connecting"
    """The handshake waits for our answer; bytes are kept, not parsed."""

    OPEN = "open"
    """Messages travel both ways."""

    CLOSING = "closing"
    """Our close frame is in the outbox or sent, the peer's has not come; messages are discarded."""

    ENDING = "ending"
    """Nothing is read any more; what waits in the outbox still goes out."""

    OVER = "over"
    """Nothing goes either way."""


# Before Python 3.12, a look into an enum takes 0.1 µs, and a message took a dozen of them.
CONNECTING: Final = Phase.CONNECTING
OPEN: Final = Phase.OPEN
CLOSING: Final = Phase.CLOSING
ENDING: Final = Phase.ENDING
OVER: Final = Phase.OVER


class Nobody:
    """The receiver of a connection that has no actor."""

    def deliver(self, data: Data) -> None:
        """Take a message, and do nothing."""

    def disconnected(self, code: int, reason: str) -> None:
        """Take the end, and do nothing."""

    def failed(self, code: int, reason: str) -> None:
        """Take the end, and do nothing."""


NOBODY: Final = Nobody()


class WebSocketConnection:
    """The server's side of one connection, from the accepted handshake to its end.

    `receiver` must be set before the first `receive`. It is called in the turn of `receive`,
    `lost` and `tick`, and may call `offer`, `close`, `abort`, `pause` and `resume` from there.
    """

    __slots__ = (
        "_assembly",
        "_buffer",
        "_close_by",
        "_control_budget",
        "_control_seen",
        "_fast_top",
        "_flowing",
        "_keepalive",
        "_limits",
        "_needed",
        "_paused",
        "lingering",
        "outbox",
        "phase",
        "receiver",
    )

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        self.receiver: Receiver = NOBODY
        """Who gets the messages, and the end; nobody before there is one, and after the end."""
        self.phase = CONNECTING
        self.outbox = Outbox(limits.outbox_bytes)
        # Whether the peer may still be sending what we do not read: the driver then closes its
        # own half first, since closing both would reset the connection under our last words.
        self.lingering = False
        self._keepalive = Keepalive(limits)
        self._assembly: Assembly | None = None  # made for the first frame off the fast path
        # A torn frame, or what came while nothing was parsed: a bytearray, once there is any.
        self._buffer: bytes | bytearray = b""
        self._needed = 0  # bytes that the torn frame will have
        self._close_by: float | None = None
        self._control_budget = _CONTROL_BURST
        self._control_seen = 0.0
        self._paused = False
        # Whether frames are parsed; and up to which second byte a frame takes the fast path.
        # Both follow from phase, pause and fragments: see `_steer`.
        self._flowing = False
        self._fast_top = _NEVER

    # What the driver asks.

    @property
    def held(self) -> bool:
        """Whether the driver should take no bytes from the peer for now."""
        return self._paused or (self.phase is CONNECTING and bool(self._buffer))

    @property
    def finished(self) -> bool:
        """Whether the driver can close: nothing will be read, nothing is left to write."""
        return self.phase is OVER or (self.phase is ENDING and self.outbox.settled)

    @property
    def deadline(self) -> float | None:
        """When `tick` should be called next; it may move later without notice."""
        if self._close_by is not None:
            return self._close_by
        return self._keepalive.deadline if self.phase is OPEN else None

    @property
    def _deaf(self) -> bool:
        """Whether nothing is read any more."""
        return self.phase is ENDING or self.phase is OVER

    # What the driver tells.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; b"" parses what came while nothing was parsed."""
        if self._deaf:
            return
        if data and not self._paused:
            self._keepalive.heard(now)
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer = b""
        self._needed = 0
        at = self._parse(data, now)
        if at < len(data) and not self._deaf:
            self._buffer = bytearray(memoryview(data)[at:])

    def lost(self) -> None:
        """Note that the connection is gone: on an error, after `abort`, and at last in any case."""
        self._drop()
        self._tell(LOST, "")

    def ended(self) -> None:
        """Note the end of the peer's bytes: a loss, unless there is only left to write."""
        if self.phase is not ENDING:
            self.lost()

    def tick(self, now: float) -> None:
        """Do what is due: a ping, a close for want of a pong, an abort."""
        if self._close_by is not None:
            if now >= self._close_by:
                self.lost()
        elif self.phase is OPEN:
            self._tick_open(now)

    # What the actor tells.

    def limit(self, limits: Bounds) -> None:
        """Go by other limits from here on."""
        self._limits = self._keepalive.limits = limits
        self.outbox.bound = limits.outbox_bytes
        if self._assembly is not None:
            self._assembly.limits = limits
        self._steer()

    def accept(self, response: bytes, now: float) -> None:
        """Open the connection; `response` is the whole 101. Does nothing a second time."""
        if self.phase is CONNECTING:
            self.outbox.put(response)
            self._keepalive.heard(now)
            self._enter(OPEN)

    def reject(self, response: bytes, now: float) -> None:
        """Answer the handshake with a whole HTTP response instead, and end."""
        if self.phase is CONNECTING:
            self.outbox.put(response)
            self._end(now, lingering=True)

    def offer(self, data: Data) -> bool:
        """Append a message to the outbox, and tell whether the outbox is over its bound."""
        if self.phase is not OPEN:
            return False
        return self.outbox.put(build_data(data))

    def close(self, code: int, reason: str, now: float) -> None:
        """Start the closing handshake, after what the outbox holds.

        Messages of the peer are discarded from here on, so a pause ends.

        Raises:
            IllegalCloseCode: The code must not be sent.
        """
        frame = build_close(code, reason)
        if self.phase is OPEN:
            self.outbox.put(frame)
            self._paused = False
            self._close_by = now + self._limits.close_timeout
            self._enter(CLOSING)

    def abort(self) -> None:
        """Drop the connection; the driver follows with `lost`."""
        self._drop()

    def pause(self) -> None:
        """Parse nothing and ask for no pong; how long that may last is the actor's to say."""
        if self.phase is OPEN and not self._paused:
            self._paused = True
            self._keepalive.pause()
            self._steer()

    def resume(self, now: float) -> None:
        """Parse again; the driver follows with `receive(b"", now)`, not in the actor's turn."""
        if self._paused:
            self._paused = False
            self._keepalive.heard(now)
            self._steer()

    # Frames.

    def _parse(self, data: bytes, now: float) -> int:
        """Handle the frames in `data`, and tell where the rest begins."""
        at, end = 0, len(data)
        try:
            while self._flowing and at < end - 1:
                first, second = data[at], data[at + 1]
                stop = at + second - 122  # two bytes of header, four of mask, second - 128
                if (first == 0x81 or first == 0x82) and 0x80 <= second <= self._fast_top:
                    if stop > end:
                        self._needed = stop - at
                        break
                    payload = apply_mask(data[at + 6 : stop], data[at + 2 : at + 6])
                    at = stop
                    self.receiver.deliver(decode(payload) if first == 0x81 else payload)
                else:
                    taken = self._take_frame(data, at, now)
                    if not taken:
                        break
                    at += taken
        except FrameError as error:
            self._fail(error.code, error.reason, now)
        return at

    def _take_frame(self, data: bytes, at: int, now: float) -> int:
        """Handle exactly one frame, and give its size; 0 while it is torn."""
        header = parse_header(data, at)
        if header is None:
            return 0
        assembly = self._assembly
        if header.opcode < CLOSE:
            if assembly is None:
                assembly = self._assembly = Assembly(self._limits)
            assembly.check(header)
        size = header.size + header.payload
        if len(data) - at < size:
            self._needed = size
            return 0
        payload = unmask(data, at + header.size - 4, header.payload)
        if assembly is not None and header.opcode < CLOSE:
            message = assembly.add(header, payload)
            self._steer()
            if message is not None and self.phase is OPEN:
                self.receiver.deliver(message)
        else:
            self._take_control(header.opcode, payload, now)
        return size

    def _take_control(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == CLOSE:
            self._take_close(payload, now)
            return
        self._spend(now)
        if opcode == PING and self.phase is OPEN:
            self.outbox.put_control(build(PONG, payload))

    def _take_close(self, payload: bytes, now: float) -> None:
        code, reason = parse_close(payload)
        if self.phase is OPEN:
            self.outbox.put(build(CLOSE, payload))
        self._end(now, lingering=False)
        self._tell(code, reason)

    def _spend(self, now: float) -> None:
        """Charge one ping or pong to the peer's budget of ten a second, fifty at once."""
        earned = (now - self._control_seen) * _CONTROL_RATE
        self._control_budget = min(_CONTROL_BURST, self._control_budget + earned) - 1
        self._control_seen = now
        if self._control_budget < 0:
            raise FrameError(POLICY, "too many control frames")

    # Time.

    def _tick_open(self, now: float) -> None:
        match self._keepalive.due(now):
            case "ping":
                self.outbox.put_control(_PING_FRAME)
            case "dead":
                self._fail(INTERNAL_ERROR, "no answer to a ping", now)
            case None:
                pass

    # Phases.

    def _fail(self, code: int, reason: str, now: float) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): a close frame, and nothing is read."""
        if self.phase is not OPEN:
            code, reason = LOST, ""
        else:
            self.outbox.put(build_close(code, reason))
        self._end(now, lingering=True)
        self._part().failed(code, reason)

    def _end(self, now: float, *, lingering: bool) -> None:
        self.lingering = lingering
        self._paused = False
        if self._close_by is None:
            self._close_by = now + self._limits.close_timeout
        self._buffer = b""
        self._enter(ENDING)

    def _drop(self) -> None:
        self._paused = False
        self._close_by = None
        self._buffer = b""
        self.outbox.clear()
        self._enter(OVER)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._steer()

    def _steer(self) -> None:
        self._flowing = not self._paused and self.phase in (OPEN, CLOSING)
        fragments = self._assembly is not None and self._assembly.pending
        fast = self.phase is OPEN and not fragments
        self._fast_top = 0x80 + min(125, self._limits.message_bytes) if fast else _NEVER

    def _tell(self, code: int, reason: str) -> None:
        self._part().disconnected(code, reason)

    def _part(self) -> Receiver:
        # Once; and it knows us, and we know it: without this cut, only the garbage collector would
        # free an ended connection.
        receiver, self.receiver = self.receiver, NOBODY
        return receiver


def framed(message: Shared) -> bytes:
    """Give the frame of a message that many get, and keep it for the others."""
    frame = message.frame = build_data(message.data)
    return frame
