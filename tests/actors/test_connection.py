"""A connection as an actor, between a handler and a hand-written transport."""

import asyncio
import gc
import logging
import weakref

import anyio
import anyio.lowlevel
import pytest

from herdwick.actors import Close, Connection, Data, Ending, Phase, Send
from herdwick.runtime import ActorStopped, ForeignCancellation, NotHandled
from tests.actors.fakes import BOUNDS, FakeTransport, Line, Plain, bounded, connected
from tests.runtime.samples import Door, settle, task_named


async def listen(connection: Connection) -> None:
    """Accept, and read until the end."""
    connection.accept(None, ())
    while await connection.receive() is not None:
        pass


async def hang(connection: Connection) -> None:
    """Accept, and read nothing."""
    connection.accept(None, ())
    await anyio.sleep_forever()


async def wait(connection: Connection) -> None:
    """Neither accept nor refuse."""
    await anyio.sleep_forever()


# ---------------------------------------------------------------------- phases


async def test_a_handler_that_returns_closes_with_1000() -> None:
    async def greet(connection: Connection) -> None:
        connection.accept(None, ())
        assert connection.phase is Phase.OPEN
        assert await connection.send("hello")

    async with connected(greet) as line:
        await line.over()

        assert line.journal == ["accept", "close 1000"]
        assert line.transport.outbox == ["hello"]
        assert line.connection.ending == Ending(1000)
        assert line.events.last_exit.reason.kind == "normal"


async def test_a_handler_that_never_accepts_refuses_with_403() -> None:
    async def ignore(connection: Connection) -> None:
        pass

    async with connected(ignore) as line:
        await line.over()

        assert line.journal == ["reject 403"]
        assert line.connection.phase is Phase.OVER


async def test_a_handler_may_refuse_in_its_own_words() -> None:
    async def refuse(connection: Connection) -> None:
        connection.reject(429, (), b"later")
        connection.reject(500)

    async with connected(refuse) as line:
        await line.over()

        assert line.journal == ["reject 429 later"]


async def test_a_handler_that_closes_before_it_accepts_refuses_with_403() -> None:
    async def close(connection: Connection) -> None:
        connection.close(1000)

    async with connected(close) as line:
        await line.over()

        assert line.journal == ["reject 403"]


async def test_an_error_before_the_handshake_was_answered_refuses_with_500() -> None:
    async def fail(connection: Connection) -> None:
        raise ValueError("secret")

    async with connected(fail) as line:
        await line.over()

        assert line.journal == ["reject 500"]
        assert isinstance(line.connection.error, ValueError)


async def test_an_error_after_it_closes_with_1011_and_keeps_its_text_to_itself() -> None:
    async def fail(connection: Connection) -> None:
        connection.accept(None, ())
        raise ValueError("secret")

    async with connected(fail) as line:
        await line.over()

        assert line.journal == ["accept", "close 1011"]
        assert line.events.last_exit.reason.error == "ValueError: secret"


async def test_in_debug_mode_the_peer_is_told_the_error_as_far_as_it_fits() -> None:
    async def fail(connection: Connection) -> None:
        connection.accept(None, ())
        raise ValueError("ü" * 200)

    async with connected(fail, debug=True) as line:
        await line.over()

        assert line.connection.ending is not None
        reason = line.connection.ending.reason
        assert reason.startswith("ValueError: üüü")
        assert 121 <= len(reason.encode()) <= 123


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_whatever_a_handler_raises_ends_its_connection_only(error: BaseException) -> None:
    async def fail(connection: Connection) -> None:
        connection.accept(None, ())
        raise error

    async with connected(fail) as line:
        await line.over()
        await settle()

        assert line.journal == ["accept", "close 1011"]
        assert line.system.running


async def test_a_second_close_does_nothing() -> None:
    async def close(connection: Connection) -> None:
        connection.accept(None, ())
        connection.close(4000, "first")
        connection.close(4001, "second")

    async with connected(close) as line:
        await line.over()

        assert line.journal == ["accept", "close 4000 first"]
        assert line.connection.ending == Ending(4000, "first")


# ---------------------------------------------------------------------- receive


async def test_messages_are_received_in_order_and_then_the_end() -> None:
    got: list[Data | None] = []

    async def read(connection: Connection) -> None:
        connection.accept(None, ())
        while (message := await connection.receive()) is not None:
            got.append(message)
        got.append(await connection.receive())

    async with connected(read) as line:
        await settle()
        line.connection.deliver("a")
        line.connection.deliver(b"b")
        line.connection.disconnected(4001, "bye")
        await line.over()

        assert got == ["a", b"b", None]
        assert line.connection.ending == Ending(4001, "bye")
        assert line.journal == ["accept"]


async def test_cancelling_receive_loses_no_message() -> None:
    got: list[Data] = []

    async def read(connection: Connection) -> None:
        connection.accept(None, ())
        while connection.ending is None or len(got) < 300:
            with anyio.move_on_after(0):
                message = await connection.receive()
                assert message is not None
                got.append(message)

    async with connected(read, bounds=bounded(inbox_messages=1000, inbox_bytes=10000)) as line:
        await settle_busy()
        for number in range(300):
            line.connection.deliver(str(number))
        line.connection.disconnected(1000, "")
        await line.over()

    assert got == [str(number) for number in range(300)]


async def settle_busy() -> None:
    """Let others run, one of which never rests."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def test_a_receive_that_is_under_way_can_be_seen() -> None:
    async with connected(listen) as line:
        await settle()
        assert line.connection.receiving

        line.connection.disconnected(1000, "")
        await line.over()
        assert not line.connection.receiving


async def test_messages_before_the_handshake_and_after_the_end_are_dropped() -> None:
    door, got = Door(), list[Data]()

    async def read(connection: Connection) -> None:
        await door.passed()
        connection.accept(None, ())
        while (message := await connection.receive()) is not None:
            got.append(message)

    async with connected(read) as line:
        line.connection.deliver("too early")
        door.open()
        await settle()
        line.connection.deliver("in time")
        line.connection.disconnected(1000, "")
        line.connection.deliver("too late")
        await line.over()

        assert got == ["in time"]


async def test_our_own_close_drops_what_is_unread() -> None:
    door, got = Door(), list[Data | None]()

    async def close(connection: Connection) -> None:
        connection.accept(None, ())
        await door.passed()
        connection.close(1000)
        got.append(await connection.receive())

    async with connected(close) as line:
        await settle()
        line.connection.deliver("unread")
        door.open()
        await line.over()

        assert got == [None]


async def test_a_handler_that_reads_all_the_time_lets_others_run() -> None:
    counted: list[int] = []

    async def read(connection: Connection) -> None:
        await listen(connection)
        counted.append(-1)

    async with connected(read, bounds=bounded(inbox_messages=10_000, inbox_bytes=100_000)) as line:
        await settle()
        for _ in range(1000):
            line.connection.deliver("x")
        line.connection.disconnected(1000, "")
        for number in range(5):
            await anyio.lowlevel.checkpoint()
            counted.append(number)
        await line.over()

    assert counted == [0, 1, 2, 3, 4, -1]


# ---------------------------------------------------------------------- a full inbox


async def test_a_full_inbox_pauses_reading_and_a_half_empty_one_resumes_it() -> None:
    door, got = Door(), list[Data]()

    async def read(connection: Connection) -> None:
        connection.accept(None, ())
        await door.passed()
        for _ in range(2):
            message = await connection.receive()
            assert message is not None
            got.append(message)
        await anyio.sleep_forever()

    async with connected(read) as line:
        await settle()
        for message in "abcd":
            line.connection.deliver(message)
        assert line.journal == ["accept", "pause"]

        door.open()
        await settle()

        assert got == ["a", "b"]
        assert line.journal == ["accept", "pause", "resume"]


async def test_one_big_message_fills_the_inbox_too() -> None:
    async with connected(hang) as line:
        await settle()
        line.connection.deliver("x" * 100)

        assert line.journal == ["accept", "pause"]


async def test_what_arrives_in_spite_of_the_pause_is_kept() -> None:
    door, got = Door(), list[Data]()

    async def read(connection: Connection) -> None:
        connection.accept(None, ())
        await door.passed()
        while (message := await connection.receive()) is not None:
            got.append(message)

    async with connected(read) as line:
        await settle()
        for message in "abcdef":
            line.connection.deliver(message)
        door.open()
        await settle()

        assert got == list("abcdef")
        assert line.journal == ["accept", "pause", "resume"]


async def test_a_pause_that_takes_too_long_closes_with_1008() -> None:
    async with connected(hang, bounds=bounded(pause_timeout=1e-9)) as line:
        await settle()
        for message in "abcd":
            line.connection.deliver(message)
        await settle()

        assert line.journal == ["accept", "pause", "close 1008 too many unread messages"]


async def test_a_carrier_that_bears_no_pause_closes_with_1008_sooner() -> None:
    async with connected(hang, longest_pause=0) as line:
        await settle()
        for message in "abcd":
            line.connection.deliver(message)
        await settle()

        assert line.journal[-1] == "close 1008 too many unread messages"


async def test_a_pause_that_has_ended_in_time_closes_nothing() -> None:
    door = Door()

    async def read(connection: Connection) -> None:
        connection.accept(None, ())
        await door.passed()
        while await connection.receive() is not None:
            pass

    async with connected(read, bounds=bounded(pause_timeout=0.1)) as line:
        fired = anyio.Event()
        await settle()
        for message in "abcd":
            line.connection.deliver(message)
        door.open()
        line.system.timers.call_later(0.15, fired.set)
        await fired.wait()

        assert line.journal == ["accept", "pause", "resume"]


async def test_pauses_leave_no_timers_behind_when_connections_end() -> None:
    async with connected(hang) as line:
        await settle()
        for message in "abcd":
            line.connection.deliver(message)
        line.connection.disconnected(1006, "")
        await settle()

        assert line.journal == ["accept", "pause"]


# ---------------------------------------------------------------------- send


async def test_send_beyond_the_bound_waits_for_room() -> None:
    journal: list[str] = []

    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        assert await connection.send("one too many")
        journal.append("went on")

    async with connected(send, outbox=0) as line:
        await settle()
        assert (line.transport.outbox, journal) == (["one too many"], [])

        line.transport.drain()
        await line.over()
        assert journal == ["went on"]


async def test_a_peer_that_takes_nothing_is_closed_with_1013() -> None:
    results: list[bool] = []

    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        results.append(await connection.send("one too many"))
        results.append(await connection.send("never sent"))

    async with connected(send, outbox=0, bounds=bounded(send_timeout=1e-9)) as line:
        await line.over()

        assert results == [False, False]
        assert line.journal == ["accept", "close 1013 too slow"]
        assert line.transport.outbox == ["one too many"]


async def test_a_send_that_waits_learns_of_the_end() -> None:
    results: list[bool] = []

    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        results.append(await connection.send("one too many"))

    async with connected(send, outbox=0) as line:
        await settle()
        line.connection.disconnected(1006, "")
        line.transport.drain()
        await line.over()

        assert results == [False]


async def test_a_cancelled_send_takes_nothing_back() -> None:
    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connection.send("sent")
            await anyio.lowlevel.checkpoint()

    async with connected(send) as line:
        await line.over()

        assert line.transport.outbox == ["sent"]


async def test_a_handler_that_sends_all_the_time_lets_others_run() -> None:
    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        while await connection.send("x"):
            pass

    async with connected(send, outbox=1 << 40) as line:
        await settle_busy()
        line.connection.disconnected(1006, "")

        with anyio.fail_after(30):
            await line.over()


async def test_send_after_the_end_is_false_and_gives_the_turn_away() -> None:
    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        while connection.ending is None:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(TimeoutError), anyio.fail_after(0):
            while not await connection.send("x"):
                pass

    async with connected(send) as line:
        await settle_busy()
        line.connection.disconnected(1006, "")
        await line.over()

        assert line.transport.outbox == []


# ---------------------------------------------------------------------- the port


async def test_others_send_and_close_in_their_own_turn_whatever_the_handler_does() -> None:
    async with connected(hang) as line:
        await settle()
        ref = line.connection.ref()

        assert ref.tell(Send("one"))
        assert line.transport.outbox == ["one"]
        assert ref.tell(Close(4000, "enough"))
        assert line.journal == ["accept", "close 4000 enough"]
        assert ref.tell(Send("two")) is False


async def test_a_ref_of_the_slot_is_a_ref_of_the_connection() -> None:
    async with connected(hang) as line:
        await settle()

        assert line.slot.ref() == line.connection.ref()
        assert line.connection.ref().path == f"root/connections/{line.connection.name}"


async def test_others_may_ask_and_wait_until_it_is_done() -> None:
    async with connected(hang) as line:
        await settle()
        answer: object = await line.connection.ref().ask(Send(b"data"))

        assert answer is None
        await line.connection.ref().send(Send("more"))
        assert line.transport.outbox == [b"data", "more"]


async def test_others_cannot_send_before_the_handshake_is_answered() -> None:
    async with connected(wait) as line:
        await settle()
        ref = line.connection.ref()

        assert ref.tell(Send("too early")) is False
        with pytest.raises(NotHandled, match="has not accepted its handshake yet"):
            await ref.ask(Send("too early"))
        assert ref.tell(Close(1000))
        assert line.journal == ["reject 403"]


async def test_a_connection_that_is_over_is_not_asked() -> None:
    async with connected(listen) as line:
        await settle()
        line.connection.disconnected(1000, "")

        with pytest.raises(ActorStopped):
            await line.connection.ref().ask(Send("too late"))


async def test_a_peer_that_is_too_slow_for_what_others_send_is_closed_with_1013() -> None:
    async with connected(hang) as line:
        await settle()
        line.transport.most = 1
        ref = line.connection.ref()

        assert [ref.tell(Send(text)) for text in "abc"] == [True, True, False]
        assert line.journal == ["accept", "close 1013 too slow"]


def mistakes(caplog: pytest.LogCaptureFixture) -> list[tuple[object, ...]]:
    told = [vars(each) for each in caplog.records]
    return [
        (each["code"], each["reason"], each["peer"])
        for each in told
        if each.get("kind") == "mistake"
    ]


@pytest.mark.parametrize(
    ("code", "lines"), [(1008, 1), (1009, 1), (1013, 1), (4401, 1), (1001, 0), (1011, 0), (4000, 0)]
)
async def test_who_is_ended_for_what_it_did_has_one_line(
    code: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with connected(hang) as line:
            await settle()
            for _ in range(2):
                line.connection.end(code, "so")
            line.connection.close_on_fault(1007, "as well")

    assert mistakes(caplog) == [(code, "so", "192.0.2.1")] * lines


async def test_who_is_too_slow_for_its_handler_has_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def send(connection: Connection) -> None:
        connection.accept(None, ())
        await connection.send("one too many")

    with caplog.at_level(logging.INFO):
        async with connected(send, outbox=0, bounds=bounded(send_timeout=1e-9)) as line:
            await line.over()

    assert mistakes(caplog) == [(1013, "too slow", "192.0.2.1")]


async def test_what_the_driver_ends_has_a_line_only_where_the_peer_is_to_blame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        for code in (1002, 1011, 1006):
            async with connected(hang) as line:
                await settle()
                line.connection.failed(code, "so")

    assert mistakes(caplog) == [(1002, "so", "192.0.2.1")]


async def test_what_a_handler_or_a_peer_ends_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    async def close(connection: Connection) -> None:
        connection.accept(None, ())
        connection.close(1008, "the program's")

    with caplog.at_level(logging.INFO):
        async with connected(close) as line:
            await line.over()
        async with connected(hang) as line:
            await settle()
            line.connection.disconnected(1002, "the peer's")

    assert mistakes(caplog) == []


async def test_what_is_neither_send_nor_close_is_refused_to_the_caller() -> None:
    async with connected(hang) as line:
        await settle()

        with pytest.raises(TypeError, match="takes Send and Close, not 'hello'"):
            line.connection.ref().tell("hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert line.system.running


# ---------------------------------------------------------------------- tasks of a connection


async def test_the_crash_of_a_task_closes_with_1011() -> None:
    async def fail() -> None:
        raise ValueError("in the background")

    async def start(connection: Connection) -> None:
        connection.accept(None, ())
        connection.start_soon(fail)
        await anyio.sleep_forever()

    async with connected(start, debug=True) as line:
        await line.over()

        assert line.journal == ["accept", "close 1011 ValueError: in the background"]
        assert isinstance(line.connection.error, ValueError)


async def test_tasks_end_with_the_handler() -> None:
    journal: list[str] = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            journal.append("ended")

    async def start(connection: Connection) -> None:
        connection.accept(None, ())
        connection.start_soon(work)
        await settle()

    async with connected(start) as line:
        await line.over()

        assert journal == ["ended"]
        assert line.events.last_exit.reason.kind == "normal"
        with pytest.raises(ActorStopped):
            line.connection.start_soon(work)


# ---------------------------------------------------------------------- disconnects and stops


async def test_a_handler_learns_of_the_disconnect_when_it_looks() -> None:
    async with connected(hang) as line:
        await settle()
        line.connection.disconnected(1001, "away")
        await settle()

        assert line.connection.phase is Phase.OVER
        assert not line.slot.gone


async def test_a_handler_may_be_cancelled_by_the_disconnect() -> None:
    async with connected(hang, cancel_on_disconnect=True) as line:
        await settle()
        line.connection.disconnected(1001, "away")
        await line.over()

        assert line.events.last_exit.reason.kind == "normal"
        assert line.connection.ending == Ending(1001, "away")


async def test_a_disconnect_before_the_handshake_was_answered_is_the_end() -> None:
    async with connected(wait, cancel_on_disconnect=True) as line:
        await settle()
        line.connection.disconnected(1006, "")
        await line.over()

        assert line.journal == []


async def test_the_first_end_counts() -> None:
    async with connected(listen) as line:
        await settle()
        line.connection.close(4000)
        line.connection.disconnected(1005, "")

        assert line.connection.ending == Ending(4000)


async def test_a_stop_closes_with_1012_and_what_was_read_can_still_be_read() -> None:
    door, got = Door(), list[Data | None]()

    async def read(connection: Connection) -> None:
        connection.accept(None, ())
        await door.passed()
        while (message := await connection.receive()) is not None:
            got.append(message)

    async with connected(read, grace=3600) as line:
        await settle()
        line.connection.deliver("read")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.system.pool(line.pool).stop_children)
            await settle()
            assert line.journal == ["accept", "close 1012"]
            line.connection.deliver("too late")
            door.open()

        assert got == ["read"]
        assert line.events.last_exit.reason.kind == "shutdown"


@pytest.mark.parametrize("begun", [True, False])
async def test_a_stop_before_the_handshake_was_answered_refuses_with_503(begun: bool) -> None:
    async with connected(wait) as line:
        if begun:
            await settle()
        await line.system.pool(line.pool).stop_children()

        assert line.journal == ["reject 503"]


def test_a_connection_that_nobody_runs_refuses_with_503() -> None:
    transport = FakeTransport()
    connection = Connection(transport, Plain(wait), BOUNDS)

    connection.refuse()

    assert transport.journal == ["reject 503"]
    assert connection.over


@pytest.mark.asyncio_only
async def test_a_native_cancellation_closes_with_1011() -> None:
    async with connected(hang) as line:
        await settle()
        task_named(line.slot.path).cancel()
        await line.over()

        assert line.journal == ["accept", "close 1011"]
        assert isinstance(line.connection.error, ForeignCancellation)


@pytest.mark.asyncio_only
async def test_a_handler_that_raises_a_cancelled_error_of_its_own_is_a_crash() -> None:
    async def fail(connection: Connection) -> None:
        connection.accept(None, ())
        raise asyncio.CancelledError

    async with connected(fail) as line:
        await line.over()

        assert line.journal == ["accept", "close 1011"]
        assert line.events.last_exit.reason.kind == "crash"


async def test_connections_that_have_ended_are_freed_without_the_collector() -> None:
    async with connected(listen) as line:
        gc.collect()
        gc.disable()
        try:
            reference = await come_and_go(line)
            await settle()

            assert reference() is None
        finally:
            gc.enable()


async def come_and_go(line: Line) -> "weakref.ref[Connection]":
    connection = Connection(FakeTransport(), Plain(listen), BOUNDS)
    slot = line.system.spawn(line.pool, connection)
    await settle()
    connection.disconnected(1000, "")
    await slot.gone.wait()
    return weakref.ref(connection)
