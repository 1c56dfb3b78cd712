"""One WebSocket connection without I/O: frames, limits, closing."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from herdwick.actors import Data, IllegalCloseCode
from herdwick.server.connection import Phase, WebSocketConnection
from herdwick.server.frames import build, build_close
from herdwick.websocket import Limits
from tests.server.wire import close, frame, text


@dataclass
class Peer:
    """Both ends of a connection under test: its receiver, and what it has written."""

    connection: WebSocketConnection
    messages: list[Data] = field(default_factory=list[Data])
    ends: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    on_message: Callable[[Data], object] | None = None

    def deliver(self, data: Data) -> None:
        assert not self.ends
        self.messages.append(data)
        if self.on_message is not None:
            self.on_message(data)

    def disconnected(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))

    failed = disconnected

    def written(self) -> bytes:
        """Take all that the connection wants to write."""
        data = b""
        while self.connection.outbox:
            data += self.connection.outbox.take()
            self.connection.outbox.written()
        return data


def opened(limits: Limits | None = None) -> tuple[WebSocketConnection, Peer]:
    connection = WebSocketConnection(limits or Limits())
    peer = Peer(connection)
    connection.receiver = peer
    connection.accept(b"101", 0.0)
    assert peer.written() == b"101"
    return connection, peer


# Messages.


def test_text_and_bytes_are_delivered_as_they_came() -> None:
    connection, peer = opened()

    connection.receive(text("hé") + frame(2, b"\xff") + frame(1) + frame(2), 0.0)

    assert peer.messages == ["hé", b"\xff", "", b""]


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 200_000])
def test_a_message_of_any_size_is_delivered(size: int) -> None:
    connection, peer = opened()

    connection.receive(frame(2, b"a" * size), 0.0)

    assert peer.messages == [b"a" * size]


def test_a_dribbled_message_is_delivered_once_it_is_whole() -> None:
    connection, peer = opened()
    data = text("hello") + frame(2, b"a" * 300)

    for index in range(len(data)):
        connection.receive(data[index : index + 1], 0.0)
        assert len(peer.messages) == (index >= 10) + (index == len(data) - 1)

    assert peer.messages == ["hello", b"a" * 300]


def test_fragments_are_joined_with_control_frames_between_them() -> None:
    connection, peer = opened()
    parts = [
        frame(1, "hé".encode()[:2], fin=False),
        frame(9, b"ping"),
        frame(0, "hé".encode()[2:], fin=False),
        frame(10),
        frame(0, b"!"),
    ]

    connection.receive(b"".join(parts), 0.0)

    assert peer.messages == ["hé!"]
    assert peer.written() == build(10, b"ping")


def test_messages_after_fragments_take_the_fast_path_again() -> None:
    connection, peer = opened()

    connection.receive(frame(2, b"a", fin=False) + frame(0, b"b") + text("c"), 0.0)

    assert peer.messages == [b"ab", "c"]


# Rules.


def test_a_message_over_the_limit_is_refused_at_its_header() -> None:
    connection, peer = opened(Limits(message_bytes=1000))

    connection.receive(frame(2, bytes(1001))[:4], 0.0)

    assert peer.ends == [(1009, "message over 1000 bytes")]
    assert peer.written() == build_close(1009, "message over 1000 bytes")


def test_the_limit_holds_for_small_messages_too() -> None:
    connection, peer = opened(Limits(message_bytes=3))

    connection.receive(text("abc") + text("abcd"), 0.0)

    assert peer.messages == ["abc"]
    assert peer.ends[0][0] == 1009


def test_the_limit_holds_for_the_sum_of_fragments() -> None:
    connection, peer = opened(Limits(message_bytes=10))

    connection.receive(frame(2, bytes(6), fin=False) + frame(0, bytes(5), fin=False), 0.0)

    assert peer.ends[0][0] == 1009


def test_a_flood_of_empty_fragments_is_refused() -> None:
    connection, peer = opened(Limits(message_fragments=3))

    connection.receive(frame(1, fin=False) + frame(0, fin=False) * 3, 0.0)

    assert peer.ends == [(1008, "over 3 fragments")]


def test_a_message_of_exactly_as_many_fragments_is_taken() -> None:
    connection, peer = opened(Limits(message_fragments=3))

    connection.receive(frame(1, fin=False) + frame(0, fin=False) + frame(0), 0.0)

    assert peer.messages == [""]


@pytest.mark.parametrize(
    "data",
    [
        frame(0, b"a"),
        frame(1, b"a", fin=False) + frame(1, b"b"),
        b"\x81\x00",
        b"\xc1\x80",
        b"\x83\x80",
        frame(8, b"\x03"),
        close(1005),
    ],
)
def test_broken_rules_are_1002(data: bytes) -> None:
    connection, peer = opened()

    connection.receive(data, 0.0)

    assert [code for code, _ in peer.ends] == [1002]
    assert peer.written()[2:4] == (1002).to_bytes(2, "big")


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"\xff"),
        frame(1, b"a" * 200 + b"\xff"),
        frame(1, b"\xff", fin=False),
        frame(1, b"\xc3", fin=False) + frame(0, b"a"),
        frame(1, b"\xc3", fin=False) + frame(0),
        frame(1, b"\xed\xa0\x80"),
        frame(8, b"\x03\xe8\xff"),
    ],
)
def test_text_that_is_not_utf_8_is_1007(data: bytes) -> None:
    connection, peer = opened()

    connection.receive(data, 0.0)

    assert [code for code, _ in peer.ends] == [1007]
    assert peer.messages == []


def test_nothing_is_read_after_a_failure() -> None:
    connection, peer = opened()

    connection.receive(text("a") + b"\x83\x80" + text("b"), 0.0)
    connection.receive(text("c"), 0.0)

    assert peer.messages == ["a"]
    assert connection.lingering
    assert not connection.finished
    peer.written()
    assert connection.finished


# Control frames.


def test_pings_are_answered_in_order_before_waiting_messages() -> None:
    connection, peer = opened()
    connection.offer("a")

    connection.receive(frame(9, b"1") + frame(9, b"2"), 0.0)

    assert peer.written() == build(10, b"1") + build(10, b"2") + build(1, b"a")


def test_only_the_newest_pongs_are_owed_to_a_peer_that_does_not_read() -> None:
    connection, peer = opened()

    for second in range(100):
        connection.receive(frame(9, b"%d" % second), float(second))

    assert peer.written() == b"".join(build(10, b"%d" % second) for second in range(68, 100))


def test_fifty_control_frames_at_once_are_taken_and_no_more() -> None:
    connection, peer = opened()

    connection.receive(frame(9) * 50, 0.0)
    assert peer.ends == []
    connection.receive(frame(10), 0.0)

    assert peer.ends == [(1008, "too many control frames")]


def test_ten_control_frames_a_second_are_taken_for_ever() -> None:
    connection, peer = opened()

    for tenth in range(1000):
        connection.receive(frame(9), tenth / 10)

    assert peer.ends == []


# Closing.


def test_the_peer_s_close_is_answered_with_its_code_and_reason() -> None:
    connection, peer = opened()
    connection.offer("last")

    connection.receive(text("a") + close(4001, "bye") + text("b"), 0.0)

    assert peer.messages == ["a"]
    assert peer.ends == [(4001, "bye")]
    assert peer.written() == build(1, b"last") + build_close(4001, "bye")
    assert connection.finished
    assert not connection.lingering


def test_a_close_without_a_code_is_1005() -> None:
    connection, peer = opened()

    connection.receive(close(), 0.0)

    assert peer.ends == [(1005, "")]
    assert peer.written() == b"\x88\x00"


def test_a_close_between_two_fragments_is_taken() -> None:
    connection, peer = opened()

    connection.receive(frame(1, b"a", fin=False) + close(1001), 0.0)

    assert peer.ends == [(1001, "")]


def test_our_close_waits_for_the_peer_s_and_discards_messages() -> None:
    connection, peer = opened()
    connection.offer("last")

    connection.close(1000, "done", 0.0)
    connection.close(1011, "again", 0.0)
    connection.receive(text("ignored") + frame(9, b"ignored"), 1.0)

    assert peer.written() == build(1, b"last") + build_close(1000, "done")
    assert connection.phase is Phase.CLOSING
    connection.receive(close(1000, "done"), 1.0)
    assert peer.ends == [(1000, "done")]
    assert peer.messages == []
    assert peer.written() == b""
    assert connection.finished


def test_a_peer_that_does_not_answer_our_close_is_dropped() -> None:
    connection, peer = opened(Limits(close_timeout=5.0))

    connection.close(1000, "", 10.0)

    assert connection.deadline == 15.0
    connection.tick(14.9)
    assert peer.ends == []
    connection.tick(15.0)
    assert peer.ends == [(1006, "")]
    assert connection.phase is Phase.OVER


def test_closing_both_at_once_ends_once() -> None:
    connection, peer = opened()

    connection.close(1012, "", 0.0)
    connection.receive(close(1000), 0.0)

    assert peer.ends == [(1000, "")]
    assert peer.written() == build_close(1012)


def test_rules_broken_after_our_close_end_it_without_a_second_close() -> None:
    connection, peer = opened()

    connection.close(1000, "", 0.0)
    connection.receive(b"\x83\x80", 0.0)

    assert peer.ends == [(1006, "")]
    assert peer.written() == build_close(1000)


def test_an_illegal_close_code_is_refused_and_closes_nothing() -> None:
    connection, _ = opened()

    with pytest.raises(IllegalCloseCode):
        connection.close(1006, "", 0.0)

    assert connection.phase is Phase.OPEN


@pytest.mark.parametrize("end", [WebSocketConnection.lost, WebSocketConnection.ended])
def test_a_lost_connection_is_1006_once(end: Callable[[WebSocketConnection], None]) -> None:
    connection, peer = opened()
    connection.offer("never read")

    connection.receive(text("a") + text("torn")[:3], 0.0)
    end(connection)
    end(connection)

    assert peer.messages == ["a"]
    assert peer.ends == [(1006, "")]
    assert connection.finished
    assert peer.written() == b""


def test_what_waits_still_goes_out_to_a_peer_that_closed_its_half() -> None:
    connection, peer = opened()
    connection.receive(close(1000), 0.0)

    connection.ended()

    assert peer.written() == build_close(1000)


def test_nothing_is_offered_to_a_connection_that_closes() -> None:
    connection, peer = opened()
    connection.close(1000, "", 0.0)
    peer.written()

    assert not connection.offer("too late")

    assert peer.written() == b""


def test_a_message_handler_may_close_in_the_middle_of_a_read() -> None:
    connection, peer = opened()
    peer.on_message = lambda data: connection.close(1000, "", 0.0)

    connection.receive(text("a") + text("b") + close(1000), 0.0)

    assert peer.messages == ["a"]
    assert peer.ends == [(1000, "")]


def test_a_message_handler_may_abort_in_the_middle_of_a_read() -> None:
    connection, peer = opened()
    peer.on_message = lambda data: connection.abort()

    connection.receive(text("a") + text("b"), 0.0)

    assert peer.messages == ["a"]
    assert connection.phase is Phase.OVER


# Pausing.


def test_a_pause_in_the_middle_of_a_read_keeps_the_rest() -> None:
    connection, peer = opened()
    peer.on_message = lambda data: connection.pause()

    connection.receive(text("a") + text("b") + text("c")[:4], 0.0)
    assert peer.messages == ["a"]
    assert connection.held
    connection.receive(text("c")[4:], 0.0)
    assert peer.messages == ["a"]
    peer.on_message = None
    connection.resume(0.0)
    connection.receive(b"", 0.0)

    assert peer.messages == ["a", "b", "c"]
    assert not connection.held


def test_closing_ends_a_pause() -> None:
    connection, peer = opened()
    connection.pause()
    connection.receive(text("discarded") + close(1000), 0.0)

    connection.close(1008, "", 0.0)
    assert not connection.held
    connection.receive(b"", 0.0)

    assert peer.messages == []
    assert peer.ends == [(1000, "")]


# The handshake.


def test_bytes_before_the_answer_are_kept() -> None:
    connection = WebSocketConnection(Limits())
    peer = connection.receiver = Peer(connection)

    assert not connection.held
    connection.receive(text("early"), 0.0)
    assert connection.held
    connection.accept(b"101", 0.0)
    connection.receive(b"", 0.0)

    assert peer.messages == ["early"]


def test_a_rejection_goes_out_and_ends_it() -> None:
    connection = WebSocketConnection(Limits())
    peer = connection.receiver = Peer(connection)

    connection.reject(b"403", 0.0)
    connection.accept(b"101", 0.0)
    connection.receive(text("ignored"), 0.0)

    assert peer.written() == b"403"
    assert connection.finished
    assert peer.messages == []


# Deadlines.


def test_a_silent_peer_is_pinged_and_then_closed_with_1011() -> None:
    connection, peer = opened(Limits(ping_interval=20.0, ping_timeout=10.0))

    assert connection.deadline == 20.0
    connection.tick(19.0)
    assert peer.written() == b""
    connection.tick(20.0)
    assert peer.written() == b"\x89\x00"
    assert connection.deadline == 30.0
    connection.tick(30.0)

    assert peer.ends == [(1011, "no answer to a ping")]
    assert peer.written() == build_close(1011, "no answer to a ping")


def test_any_byte_is_a_sign_of_life() -> None:
    connection, peer = opened(Limits(ping_interval=20.0, ping_timeout=10.0))
    connection.tick(20.0)
    peer.written()

    connection.receive(text("torn")[:1], 29.0)
    connection.tick(30.0)

    assert peer.ends == []
    assert connection.deadline == 49.0


def test_a_paused_peer_owes_no_pong() -> None:
    connection, peer = opened(Limits(ping_interval=20.0, ping_timeout=10.0))
    connection.tick(20.0)

    connection.pause()
    assert connection.deadline is None
    connection.tick(100.0)
    connection.receive(b"\x81", 100.0)
    assert connection.deadline is None
    connection.resume(200.0)

    assert peer.ends == []
    assert connection.deadline == 220.0


def test_without_a_ping_interval_nothing_is_due() -> None:
    connection, peer = opened(Limits(ping_interval=None))

    connection.tick(1e9)

    assert connection.deadline is None
    assert peer.written() == b""


def test_without_a_ping_timeout_silence_is_pinged_for_ever() -> None:
    connection, peer = opened(Limits(ping_interval=20.0, ping_timeout=None))

    for moment in range(20, 200, 20):
        connection.tick(float(moment))
        assert peer.written() == b"\x89\x00"

    assert peer.ends == []


# Back-pressure.


def test_the_outbox_tells_when_it_is_over_its_bound() -> None:
    connection, peer = opened(Limits(outbox_bytes=10))

    assert not connection.offer(b"12345678")
    assert connection.offer(b"1")
    assert connection.outbox.over
    peer.written()
    assert not connection.outbox.over


def test_the_limits_of_a_route_hold_in_the_place_of_the_others() -> None:
    connection = WebSocketConnection(Limits(outbox_bytes=10, ping_interval=20.0, close_timeout=5.0))
    connection.limit(Limits(outbox_bytes=100, ping_interval=7.0, close_timeout=3.0))
    connection.accept(b"101", 0.0)
    connection.outbox.take()
    connection.outbox.written()

    assert not connection.offer(b"123456789")
    assert connection.deadline == 7.0
    connection.close(1000, "", 1.0)
    assert connection.deadline == 4.0


def test_control_frames_pass_an_outbox_over_its_bound() -> None:
    connection, peer = opened(Limits(outbox_bytes=10))
    connection.offer(bytes(100))

    connection.receive(frame(9, b"?"), 0.0)

    assert peer.written().startswith(build(10, b"?"))
