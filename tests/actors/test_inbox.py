"""The inbox: order, and when it is full and half empty."""

import anyio
import pytest

from herdwick.actors import Data
from herdwick.actors.inbox import Inbox
from tests.runtime.samples import settle


def filled(*messages: Data, most_messages: int = 4, most_bytes: int = 100) -> Inbox:
    inbox = Inbox(most_messages, most_bytes)
    for message in messages:
        inbox.put(message)
    return inbox


def test_messages_come_out_in_the_order_in_which_they_came_in() -> None:
    inbox = filled("a", b"b", "c")

    assert [inbox.get() for _ in range(3)] == ["a", b"b", "c"]


@pytest.mark.parametrize(
    ("messages", "full", "half_empty"),
    [
        (["a"] * 2, False, True),
        (["a"] * 3, False, False),
        (["a"] * 4, True, False),
        ([b"x" * 50], False, True),
        ([b"x" * 51], False, False),
        (["x" * 100], True, False),
        (["x" * 1000], True, False),
    ],
)
def test_it_is_full_by_number_or_by_bytes(
    messages: list[Data], full: bool, half_empty: bool
) -> None:
    inbox = filled(*messages[:-1])

    assert (inbox.put(messages[-1]), inbox.half_empty) == (full, half_empty)


def test_what_was_read_or_dropped_no_longer_counts() -> None:
    inbox = filled("x" * 60, "x" * 60)
    inbox.get()
    assert (inbox.put("x"), len(inbox)) == (False, 2)

    inbox.clear()
    assert inbox.get() is None
    assert (inbox.half_empty, len(inbox)) == (True, 0)


async def test_a_reader_is_woken_by_a_message() -> None:
    inbox, got = filled(), list[Data]()

    async def read() -> None:
        await inbox.reader.wait()
        message = inbox.get()
        assert message is not None
        got.append(message)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await settle()
        inbox.put("hello")

    assert got == ["hello"]


async def test_a_cancelled_reader_leaves_the_inbox_as_it_was() -> None:
    inbox = filled()

    with anyio.move_on_after(0):
        await inbox.reader.wait()
    inbox.put("kept")

    assert inbox.get() == "kept"


def test_text_counts_as_the_bytes_that_it_has_on_the_wire() -> None:
    inbox = filled(most_bytes=100)

    assert inbox.put("é" * 50)
    inbox.get()
    assert inbox.half_empty
