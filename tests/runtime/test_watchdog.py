"""The watchdog: who blocks the event loop, told while it does."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import anyio
import pytest
from blockbuster import BlockBuster

from herdwick.runtime import Actor, Blocked, Child, Context, Events, Message, Watchdog, on
from herdwick.runtime.watchdog import blocks, stood_still
from tests.runtime.samples import running
from tests.support.waiting import until

PATIENCE = 60.0


class Told(logging.Handler):
    """Lets whoever blocks go on once a line of an event is there."""

    def __init__(self, event: str) -> None:
        super().__init__()
        self.event = event
        self.there = threading.Event()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if record.__dict__.get("kind") == self.event:
            self.there.set()

    def block(self) -> None:
        """Block, as a handler must not, until the line is there."""
        end = time.monotonic() + PATIENCE
        while not self.there.is_set():
            assert time.monotonic() < end, "nobody has told of it"

    def lines(self, event: str) -> list[logging.LogRecord]:
        return [record for record in self.records if record.__dict__.get("kind") == event]


@contextmanager
def told(event: str) -> Generator[Told]:
    """Hear what the runtime logs, until the block ends."""
    handler, logger = Told(event), logging.getLogger("herdwick.runtime")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class Call(Message):
    function: Callable[[], None]


class Caller(Actor[Call]):
    @on(Call)
    async def call(self, message: Call) -> None:
        message.function()


CALLER = Child(Caller)


def dogs() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "herdwick watchdog"]


async def test_the_actor_that_blocks_the_loop_is_told_with_its_stack() -> None:
    with told("blocked") as log:
        async with running(CALLER) as system:
            with Watchdog(system.events, warn_after=0.02):
                await system.ref(CALLER).ask(Call(log.block))
                await until(lambda: log.lines("unblocked"))

    [record] = log.lines("blocked")
    assert record.levelno == logging.WARNING
    assert record.__dict__["actor"] == "root/Caller"
    assert record.getMessage() == (
        "root/Caller has blocked the event loop for 0.02 s: nobody else is served meanwhile"
    )
    assert "in block\n" in (record.stack_info or "")
    assert log.lines("blocked_long") == []


async def test_a_long_block_is_an_error_at_once_and_an_event_afterwards() -> None:
    got: list[Blocked] = []
    with told("blocked_long") as log:
        async with running(CALLER) as system:
            system.events.subscribe(
                lambda event: got.append(event) if isinstance(event, Blocked) else None, Blocked
            )
            with Watchdog(system.events, warn_after=0.02, alarm_after=0.04):
                await system.ref(CALLER).ask(Call(log.block))
                before = list(got)
                await until(lambda: got)

    [record] = log.lines("blocked_long")
    assert record.levelno == logging.ERROR
    assert before == []
    assert got[0].path == "root/Caller"
    assert got[0].duration >= 0.04
    assert "in block\n" in got[0].stack


async def test_a_helper_blocks_in_the_name_of_its_actor() -> None:
    async def feed(ctx: Context[Call]) -> None:
        call = await ctx.receive()

        async def help_out() -> None:
            call.function()

        ctx.start_soon(help_out)
        await ctx.receive()

    child = Child(feed)
    with told("blocked") as log:
        async with running(child) as system:
            with Watchdog(system.events, warn_after=0.02):
                system.ref(child).tell(Call(log.block))
                await until(lambda: log.lines("unblocked"))

    assert log.lines("blocked")[0].__dict__["actor"] == "root/feed"


async def test_an_actor_that_waits_for_a_program_is_told_though_it_waits_as_a_loop_does(
    no_blocking_calls: BlockBuster,
) -> None:
    no_blocking_calls.functions["os.read"].deactivate()
    with told("blocked") as log:

        def communicate() -> None:
            held, ours = os.pipe()

            def let_go() -> None:
                log.there.wait(PATIENCE)
                os.close(ours)

            threading.Thread(target=let_go).start()
            command = [sys.executable, "-c", "input()"]
            subprocess.run(command, stdin=held, capture_output=True, check=False)
            os.close(held)

        async with running(CALLER) as system:
            with Watchdog(system.events, warn_after=0.02):
                await system.ref(CALLER).ask(Call(communicate))
                await until(lambda: log.lines("unblocked"))

    no_blocking_calls.functions["os.read"].activate()
    [record] = log.lines("blocked")
    assert record.__dict__["actor"] == "root/Caller"
    assert "in communicate\n" in (record.stack_info or "")


async def test_what_is_no_actor_is_told_too() -> None:
    with told("blocked") as log, Watchdog(Events(), warn_after=0.02):
        log.block()
        await until(lambda: log.lines("unblocked"))

    [record] = log.lines("blocked")
    assert record.__dict__["actor"] is None
    assert record.getMessage().startswith("what is no actor has blocked the event loop")


async def test_each_block_is_told_once() -> None:
    with told("blocked") as log, Watchdog(Events(), warn_after=0.02):
        for _ in range(2):
            log.there.clear()
            log.block()
            await until(lambda: len(log.lines("unblocked")) == len(log.lines("blocked")))

    assert len(log.lines("blocked")) == 2


async def test_a_loop_that_is_not_blocked_is_left_in_peace_and_no_thread_stays() -> None:
    with told("blocked") as log, Watchdog(Events(), warn_after=10, alarm_after=10):
        asked = time.monotonic()
        await until(lambda: time.monotonic() > asked + 0.3)  # it asks each 0.1 s
        during = dogs()
    await until(lambda: not dogs())

    assert during == ["herdwick watchdog"]
    assert log.records == []


def test_a_loop_that_is_over_is_looked_at_no_more() -> None:
    dog = Watchdog(Events(), warn_after=10, alarm_after=10)

    async def enter() -> None:
        dog.__enter__()

    anyio.run(enter)
    for thread in threading.enumerate():
        if thread.name == "herdwick watchdog":
            thread.join(PATIENCE)

    assert dogs() == []


@pytest.mark.parametrize(("warn", "alarm"), [(0, 5), (-1, 5), (6, 5), (float("nan"), 5)])
def test_times_that_make_no_sense_are_refused(warn: float, alarm: float) -> None:
    with pytest.raises(ValueError, match="more than 0 seconds, and the alarm not the first"):
        Watchdog(Events(), warn_after=warn, alarm_after=alarm)


@pytest.mark.parametrize(
    ("waited", "worked", "still"),
    [
        (0.26, 0.01, False),  # a handler sleeps
        (0.26, 0.26, False),  # a handler computes
        (3.0, 2.9, False),  # a handler computes in C, and lets no thread run
        (3600.0, 0.1, True),  # the machine was asleep, or the process stopped
    ],
)
def test_a_process_that_stood_still_is_told_from_a_handler_that_blocks(
    waited: float, worked: float, *, still: bool
) -> None:
    assert stood_still(waited, worked, 0.25) is still


def frame_of(module: str) -> FrameType:
    """Give a frame of a module of that name."""
    names: dict[str, object] = {"__name__": module, "sys": sys}
    exec("def look(): return sys._getframe()\nframe = look()", names)  # noqa: S102
    frame = names["frame"]
    assert isinstance(frame, FrameType)
    return frame


@pytest.mark.parametrize(
    ("module", "blocking"),
    [
        ("shop", True),
        ("selectors", False),
        ("trio._core._io_epoll", False),
        ("pdb", False),
        ("_pydevd_bundle.pydevd_frame", False),
    ],
)
def test_neither_a_loop_that_waits_nor_a_debugger_blocks(module: str, *, blocking: bool) -> None:
    assert blocks(frame_of(module)) is blocking
