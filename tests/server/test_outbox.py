"""What waits to be written to one peer."""

from hypothesis import given
from hypothesis import strategies as st

from herdwick.server.outbox import CHUNK, Outbox


def test_waiting_frames_are_joined_to_one_write() -> None:
    outbox = Outbox(100)
    outbox.put(b"ab")
    outbox.put(b"cd")

    assert outbox.take() == b"abcd"
    assert outbox.take() == b""


def test_what_is_being_written_counts_until_it_is_written() -> None:
    outbox = Outbox(3)
    outbox.put(b"abcd")

    outbox.take()

    assert outbox.over
    assert outbox.size == 4
    assert not outbox.settled
    outbox.written()
    assert not outbox.over
    assert outbox.settled


def test_a_large_outbox_is_written_in_chunks() -> None:
    outbox = Outbox(CHUNK)
    for _ in range(200):
        outbox.put(bytes(1000))

    assert len(outbox.take()) == 66_000


def test_what_is_cleared_is_never_written() -> None:
    outbox = Outbox(3)
    outbox.put(b"abcd")
    outbox.put_control(b"pong")

    outbox.clear()

    assert outbox.take() == b""
    assert not outbox.over
    assert outbox.settled


@given(frames=st.lists(st.binary(max_size=40_000), max_size=20))
def test_every_byte_is_written_once_and_in_order(frames: list[bytes]) -> None:
    outbox = Outbox(CHUNK)
    for frame in frames:
        outbox.put(frame)

    written = b""
    while outbox:
        written += outbox.take()
        outbox.written()

    assert written == b"".join(frames)
    assert outbox.size == 0
