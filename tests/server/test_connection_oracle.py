"""Random streams of frames, cut at random: our connection agrees with `websockets`'."""

import codecs
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from herdwick.actors import Data
from herdwick.server.connection import WebSocketConnection
from herdwick.server.frames import apply_mask
from herdwick.websocket import Limits

LIMIT = 300


@dataclass
class Outcome:
    """What a stream came to."""

    messages: list[Data] = field(default_factory=list[Data])
    ends: list[int] = field(default_factory=list[int])
    pongs: list[bytes] = field(default_factory=list[bytes])
    closes: list[bytes] = field(default_factory=list[bytes])

    def deliver(self, data: Data) -> None:
        self.messages.append(data)

    def disconnected(self, code: int, reason: str) -> None:
        self.ends.append(code)

    failed = disconnected


def build(first: int, masked: bool, payload: bytes) -> bytes:
    length = len(payload)
    size = bytes([length]) if length < 126 else bytes([126]) + length.to_bytes(2, "big")
    if not masked:
        return bytes([first]) + size + payload
    mask = b"\x13\x57\x9b\xdf"
    return bytes([first, size[0] | 0x80]) + size[1:] + mask + apply_mask(payload, mask)


def build_payload(code: int, reason: bytes) -> bytes:
    return code.to_bytes(2, "big") + reason


texts = st.text(max_size=40).map(str.encode)
payloads = st.one_of(texts, st.binary(max_size=40), st.binary(min_size=120, max_size=LIMIT + 5))
codes = st.sampled_from([1000, 1001, 1003, 1005, 1006, 1011, 1014, 1015, 2999, 3000, 4999, 5000])
closes = st.one_of(
    st.just(b""),
    st.builds(build_payload, codes, st.binary(max_size=9)),
    st.builds(build_payload, codes, texts),
    st.binary(max_size=130),
)
sound = st.one_of(
    st.builds(build, st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80]), st.just(True), texts),
    st.builds(build, st.sampled_from([0x82, 0x02, 0x00, 0x80]), st.just(True), payloads),
    st.builds(build, st.sampled_from([0x89, 0x8A]), st.just(True), st.binary(max_size=125)),
)
odd = st.one_of(
    st.builds(build, st.integers(0, 255), st.booleans(), payloads),
    st.builds(build, st.just(0x88), st.just(True), closes),
)
streams = st.lists(st.one_of(sound, sound, sound, odd), max_size=15)


class Oracle:
    """`websockets`' connection, fed frame by frame: it does not join fragments or check text."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.closed_by_us = False
        self._protocol = ServerProtocol(state=OPEN, max_size=LIMIT)
        self._parts: list[bytes] = []
        self._decoder: codecs.IncrementalDecoder | None = None

    def close(self) -> None:
        if not self._protocol.close_expected():
            self._protocol.send_close(1000)
            self.closed_by_us = True

    def feed(self, frame: bytes) -> None:
        if frame[0] & 0x78 and len(frame) > LIMIT - sum(map(len, self._parts)):
            # `websockets` holds control frames against the limit of the message between whose
            # fragments they stand, and looks at reserved bits after the size; we do neither.
            reject()
        self._protocol.receive_data(frame)
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._join(event)

    def finish(self) -> Outcome:
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            # We take a close frame between two fragments, as a control frame that RFC 6455
            # section 5.4 allows there; `websockets` answers it with 1002.
            self.outcome.ends.append(protocol.close_rcvd.code)
        elif protocol.close_sent is not None and not self.closed_by_us:
            self.outcome.ends.append(protocol.close_sent.code)
        else:
            self.outcome.ends.append(1006)
        read(protocol.data_to_send(), self.outcome)
        return self.outcome

    def _join(self, event: Frame) -> None:
        if event.opcode is not Opcode.CONT:
            text = event.opcode is Opcode.TEXT
            self._decoder = codecs.getincrementaldecoder("utf-8")() if text else None
        self._parts.append(bytes(event.data))
        try:
            if self._decoder is not None:
                self._decoder.decode(bytes(event.data), event.fin)
        except UnicodeDecodeError:
            self._protocol.fail(1007)
            return
        if event.fin:
            whole, self._parts = b"".join(self._parts), []
            if not self.closed_by_us:
                self.outcome.messages.append(whole if self._decoder is None else whole.decode())


def expect(frames: list[bytes], closing_at: int | None) -> Outcome:
    oracle = Oracle()
    for index, frame in enumerate(frames):
        if index == closing_at:
            oracle.close()
        oracle.feed(frame)
    return oracle.finish()


def read(chunks: list[bytes], outcome: Outcome) -> None:
    """Note what the server sent, as `websockets`' client reads it."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN)
    client.receive_data(b"".join(chunks))
    for event in client.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.PONG:
            outcome.pongs.append(bytes(event.data))
        elif event.opcode is Opcode.CLOSE:
            outcome.closes.append(bytes(event.data)[:2])


def observe(frames: list[bytes], cuts: list[int], closing_at: int | None) -> Outcome:
    """Feed our connection, cut anywhere but where it closes."""
    outcome = Outcome()
    connection = WebSocketConnection(Limits(message_bytes=LIMIT))
    connection.receiver = outcome
    connection.accept(b"", 0.0)
    split = len(frames) if closing_at is None else closing_at
    feed(connection, b"".join(frames[:split]), cuts)
    if split < len(frames):
        connection.close(1000, "", 0.0)
        feed(connection, b"".join(frames[split:]), cuts)
    sent: list[bytes] = []
    while connection.outbox:
        sent.append(connection.outbox.take())
        connection.outbox.written()
    read(sent, outcome)
    connection.lost()
    return outcome


def feed(connection: WebSocketConnection, data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in pairwise(edges):
        connection.receive(data[start:stop], 0.0)


cut_places = st.lists(st.integers(0, 10_000), max_size=12)


@settings(max_examples=300)
@given(frames=streams, cuts=cut_places)
def test_our_connection_agrees_with_websockets(frames: list[bytes], cuts: list[int]) -> None:
    expected = expect(frames, None)

    observed = observe(frames, cuts, None)

    assert observed.messages == expected.messages
    assert observed.ends == expected.ends
    assert observed.pongs == expected.pongs
    if not closed_between_fragments(frames):
        assert observed.closes == expected.closes


@settings(max_examples=300)
@given(frames=streams, cuts=cut_places, closing_at=st.integers(0, 5))
def test_it_agrees_after_our_own_close_too(
    frames: list[bytes], cuts: list[int], closing_at: int
) -> None:
    expected = expect(frames, closing_at)

    observed = observe(frames, cuts, closing_at)

    assert observed.ends == expected.ends
    assert observed.messages == expected.messages


def closed_between_fragments(frames: list[bytes]) -> bool:
    """Tell whether `websockets` would call a close frame an error that we do not."""
    oracle = ServerProtocol(state=OPEN, max_size=LIMIT)
    for frame in frames:
        oracle.receive_data(frame)
    return "incomplete fragmented message" in str(oracle.parser_exc)


@settings(max_examples=300)
@given(frames=st.lists(sound, max_size=10))
def test_each_byte_alone_says_the_same_as_all_at_once(frames: list[bytes]) -> None:
    data = b"".join(frames)

    by_byte = observe(frames, list(range(len(data))), None)

    assert by_byte == observe(frames, [], None)
