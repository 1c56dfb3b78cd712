"""The mailbox: order, bounds, cancellation, closing."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.runtime import ActorStopped, Mailbox, MailboxFull
from tests.runtime.samples import settle


def filled(*messages: str, capacity: int | None = None) -> Mailbox:
    mailbox: Mailbox = Mailbox("greeter", capacity)
    for message in messages:
        mailbox.put_nowait(message)
    return mailbox


@given(st.lists(st.text(max_size=2)))
def test_messages_come_out_in_the_order_in_which_they_went_in(messages: list[str]) -> None:
    mailbox = filled(*messages)

    assert [mailbox.get_nowait() for _ in range(len(mailbox))] == messages


def test_a_full_mailbox_refuses_by_name_and_size() -> None:
    mailbox = filled("a", "b", capacity=2)

    with pytest.raises(MailboxFull, match="greeter has 2 messages waiting"):
        mailbox.put_nowait("c")


async def test_get_waits_for_the_first_message() -> None:
    mailbox = filled()
    got: list[object] = []

    async def reader() -> None:
        got.append(await mailbox.get())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await settle()
        mailbox.put_nowait("hello")

    assert got == ["hello"]


async def test_cancelling_get_loses_no_message() -> None:
    mailbox = filled()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mailbox.get)
        await settle()
        tasks.cancel_scope.cancel()

    mailbox.put_nowait("hello")

    assert await mailbox.get() == "hello"


async def test_a_message_that_comes_at_the_moment_of_a_cancellation_stays() -> None:
    mailbox = filled()
    got: list[object] = []

    async def reader() -> None:
        got.append(await mailbox.get())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await settle()
        mailbox.put_nowait("hello")
        tasks.cancel_scope.cancel()

    assert [*got, *mailbox.clear()] == ["hello"]


async def test_a_second_reader_is_refused() -> None:
    mailbox = filled()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mailbox.get)
        await settle()

        with pytest.raises(RuntimeError, match="one at a time"):
            await mailbox.get()

        tasks.cancel_scope.cancel()


async def test_put_waits_for_room_and_writers_keep_their_order() -> None:
    mailbox = filled("first", capacity=1)
    async with anyio.create_task_group() as tasks:
        for message in ("second", "third", "fourth"):
            tasks.start_soon(mailbox.put, message)
            await settle()

        assert [await mailbox.get() for _ in range(4)] == ["first", "second", "third", "fourth"]


async def test_a_writer_keeps_its_place_when_another_takes_the_room() -> None:
    mailbox = filled("first", capacity=1)
    async with anyio.create_task_group() as tasks:
        for message in ("second", "third"):
            tasks.start_soon(mailbox.put, message)
            await settle()

        first = mailbox.get_nowait()
        mailbox.put_nowait("in between")
        await settle()

        assert [first] + [await mailbox.get() for _ in range(3)] == [
            "first",
            "in between",
            "second",
            "third",
        ]


async def test_room_for_two_lets_two_writers_in() -> None:
    mailbox = filled("a", "b", capacity=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mailbox.put, "c")
        await settle()
        tasks.start_soon(mailbox.put, "d")
        await settle()

        mailbox.get_nowait()
        mailbox.get_nowait()

    assert mailbox.clear() == ["c", "d"]


async def test_cancelling_put_leaves_the_message_out_and_passes_the_turn_on() -> None:
    mailbox = filled("first", capacity=1)
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(mailbox.put, "never")
            await settle()
            tasks.start_soon(mailbox.put, "second")
            await settle()
            mailbox.get_nowait()  # it is the turn of the first writer, and in this moment
            impatient.cancel_scope.cancel()
        if len(mailbox) and (got := mailbox.get_nowait()) != "second":
            assert got == "never"  # it was faster than its cancellation

    assert mailbox.clear() in (["second"], [])


async def test_a_closed_mailbox_can_be_emptied_and_then_tells_its_end() -> None:
    mailbox = filled("last")

    mailbox.close()

    with pytest.raises(ActorStopped, match="greeter"):
        mailbox.put_nowait("too late")
    assert await mailbox.get() == "last"
    with pytest.raises(ActorStopped):
        await mailbox.get()


async def test_closing_ends_the_waits_of_reader_and_writers() -> None:
    empty, full = filled(), filled("a", capacity=1)
    ended: list[object] = []

    async def read() -> None:
        with pytest.raises(ActorStopped):
            await empty.get()
        ended.append("reader")

    async def write() -> None:
        with pytest.raises(ActorStopped):
            await full.put("b")
        ended.append("writer")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        tasks.start_soon(write)
        await settle()
        empty.close()
        full.close()

    assert sorted(map(str, ended)) == ["reader", "writer", "writer"]


async def test_a_reopened_mailbox_takes_messages_again() -> None:
    mailbox = filled()
    mailbox.close()

    mailbox.reopen()
    await mailbox.put("hello")

    assert await mailbox.get() == "hello"


async def test_clearing_makes_room_for_all_writers() -> None:
    mailbox = filled("a", "b", capacity=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mailbox.put, "c")
        tasks.start_soon(mailbox.put, "d")
        await settle()

        assert mailbox.clear() == ["a", "b"]

    assert sorted(map(str, mailbox.clear())) == ["c", "d"]
