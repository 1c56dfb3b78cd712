"""Monitors: who is told when an actor ends, of what, and when."""

from collections.abc import Hashable

import anyio
import pytest

from herdwick.runtime import (
    LATER,
    NOPROC,
    Actor,
    Ask,
    AskError,
    Backoff,
    Child,
    Context,
    Crashed,
    Down,
    Dynamic,
    Event,
    Exit,
    Exited,
    Later,
    Message,
    Ref,
    Reply,
    Restarting,
    on,
    watch,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Events,
    Help,
    Note,
    Notes,
    Order,
    Quit,
    Wait,
    one,
    running,
)


class Monitor(Message):
    """Monitor this one."""

    ref: Ref[Order]
    tag: Hashable = None


class Demonitor(Message):
    """Monitor this one no more."""

    ref: Ref[Order]


class Seen(Ask[list[str]]):
    """What came, notes and Downs?"""


class Watcher(Actor[Monitor | Demonitor | Seen | Note | Wait]):
    """Monitors whom it is told to, and writes down what it hears."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def on_down(self, down: Down) -> None:
        tag = "" if down.tag is None else f", {down.tag}"
        self.seen.append(f"{down.ref.path} {down.reason.kind}{tag}")

    @on(Monitor)
    async def monitor(self, message: Monitor) -> None:
        self.ctx.monitor(message.ref, tag=message.tag)

    @on(Demonitor)
    async def demonitor(self, message: Demonitor) -> None:
        self.ctx.demonitor(message.ref)

    @on(Seen)
    async def tell_all(self, message: Seen) -> list[str]:
        return self.seen

    @on(Note)
    async def note(self, message: Note) -> None:
        self.seen.append(message.text)

    @on(Wait)
    async def wait(self, message: Wait) -> None:
        await message.door.passed()


WATCHER = Child(Watcher)
LASTING = Child(Diary).named("lasting")
BRIEF = Child(Diary).named("brief").policy(restart="temporary")


async def test_a_down_comes_once_with_its_reason_and_its_tag() -> None:
    async with running(BRIEF, WATCHER) as system:
        ref, watcher = system.ref(BRIEF), system.ref(WATCHER)
        await watcher.ask(Monitor(ref, "mine"))
        ref.tell(Quit())
        await settle()

        assert await watcher.ask(Seen()) == ["root/brief normal, mine"]


async def test_a_restart_makes_a_down_too_and_the_next_life_is_not_watched() -> None:
    async with running(LASTING, WATCHER) as system:
        ref, watcher = system.ref(LASTING), system.ref(WATCHER)
        await watcher.ask(Monitor(ref))
        for _ in range(2):
            ref.tell(Crash())
            await settle()

        assert await watcher.ask(Seen()) == ["root/lasting crash"]


async def test_the_next_life_is_watched_where_it_is_monitored_again() -> None:
    class Loyal(Watcher):
        async def on_down(self, down: Down) -> None:
            await super().on_down(down)
            await anyio.sleep(1)  # until it is there again
            self.ctx.monitor(down.ref)

    child = Child(Loyal)
    async with running(LASTING, child) as system:
        await system.ref(child).ask(Monitor(system.ref(LASTING)))
        for _ in range(3):
            system.ref(LASTING).tell(Crash())
            await anyio.sleep(2)

        assert await system.ref(child).ask(Seen()) == ["root/lasting crash"] * 3


async def test_who_monitors_one_that_is_dead_already_is_told_through_its_mailbox() -> None:
    async with running(BRIEF, WATCHER) as system:
        ref, watcher, door = system.ref(BRIEF), system.ref(WATCHER), Door()
        await ref.ask(Quit())
        await settle()
        for order in (Wait(door), Monitor(ref, "late"), Note("told before the Down")):
            watcher.tell(order)
        door.open()

        assert await watcher.ask(Seen()) == ["told before the Down", "root/brief noproc, late"]


async def test_a_down_comes_after_everything_that_the_dead_one_had_sent() -> None:
    class Chatty(Diary):
        @on(Note)
        async def note(self, message: Note) -> None:
            for text in ("a", "b"):
                self.ctx.system.ref(WATCHER).tell(Note(text))
            raise ValueError

        async def on_stop(self, reason: Exit) -> None:
            self.ctx.system.ref(WATCHER).tell(Note("goodbye"))

    chatty = Child(Chatty).named("chatty")
    async with running(chatty, WATCHER) as system:
        watcher = system.ref(WATCHER)
        await watcher.ask(Monitor(system.ref(chatty)))
        system.ref(chatty).tell(Note("go"))
        await settle()

        assert await watcher.ask(Seen()) == ["a", "b", "goodbye", "root/chatty crash"]


async def test_a_full_mailbox_takes_a_down_in_its_order() -> None:
    child, door = Child(Watcher).policy(mailbox=1), Door()
    async with running(BRIEF, child) as system:
        ref, watcher = system.ref(BRIEF), system.ref(child)
        await watcher.ask(Monitor(ref))
        watcher.tell(Wait(door))
        await settle()
        assert [watcher.tell(Note("told")), watcher.tell(Note("refused"))] == [True, False]
        ref.tell(Quit())
        await settle()
        door.open()
        await settle()

        assert await watcher.ask(Seen()) == ["told", "root/brief normal"]


async def test_a_down_is_never_evicted_and_takes_no_room() -> None:
    child, door = Child(Watcher).policy(mailbox=1, overflow="drop_oldest"), Door()
    async with running(BRIEF, child) as system:
        ref, watcher = system.ref(BRIEF), system.ref(child)
        await watcher.ask(Monitor(ref))
        watcher.tell(Wait(door))
        ref.tell(Quit())
        await settle()
        for text in "abc":
            watcher.tell(Note(text))
        door.open()
        await settle()

        assert await watcher.ask(Seen()) == ["root/brief normal", "c"]


async def test_who_monitors_no_more_is_not_told() -> None:
    async with running(BRIEF, WATCHER) as system:
        ref, watcher = system.ref(BRIEF), system.ref(WATCHER)
        for order in (Monitor(ref), Monitor(ref, "tagged"), Demonitor(ref)):
            await watcher.ask(order)
        ref.tell(Quit())
        await settle()

        assert await watcher.ask(Seen()) == []


async def test_monitoring_no_more_takes_a_down_back_that_is_queued() -> None:
    async with running(BRIEF, LASTING, WATCHER) as system:
        ref, watcher, door = system.ref(BRIEF), system.ref(WATCHER), Door()
        await watcher.ask(Monitor(ref))
        await watcher.ask(Monitor(system.ref(LASTING)))
        for order in (Wait(door), Demonitor(ref), Note("kept")):
            watcher.tell(order)
        ref.tell(Quit())
        system.ref(LASTING).tell(Crash())
        await settle()
        door.open()

        assert await watcher.ask(Seen()) == ["kept", "root/lasting crash"]


async def test_to_monitor_one_twice_is_to_be_told_once_and_twice_under_two_tags() -> None:
    async with running(BRIEF, LASTING, WATCHER) as system:
        ref, watcher = system.ref(BRIEF), system.ref(WATCHER)
        for tag in (None, None, "a", "b", "a"):
            await watcher.ask(Monitor(ref, tag))
        ref.tell(Quit())
        await settle()

        brief = "root/brief normal"
        assert await watcher.ask(Seen()) == [brief, f"{brief}, a", f"{brief}, b"]


async def test_a_class_without_on_down_may_not_monitor() -> None:
    class Deaf(Actor[Monitor]):
        @on(Monitor)
        async def monitor(self, message: Monitor) -> None:
            self.ctx.monitor(message.ref)

    deaf = Child(Deaf)
    async with running(LASTING, deaf) as system:
        with pytest.raises(Crashed, match="would not hear of its end") as caught:
            await system.ref(deaf).ask(Monitor(system.ref(LASTING)))

        assert isinstance(caught.value.__cause__, TypeError)


async def test_a_function_receives_a_down() -> None:
    got: list[Note | Down] = []

    async def watcher(ctx: Context[Note | Down]) -> None:
        ctx.monitor(ctx.system.ref(BRIEF), tag=1)
        while True:
            got.append(await ctx.receive())

    async with running(BRIEF, Child(watcher)) as system:
        ref = system.ref(BRIEF)
        await settle()
        ref.tell(Quit("enough"))
        await settle()

        assert got == [Down(ref, Exit("shutdown", "enough"), 1)]


# ---------------------------------------------------------------------- watch


async def test_a_watch_calls_once() -> None:
    downs: list[Down] = []
    async with one(LASTING) as (ref, _):
        watch(ref, downs.append, tag="mine")
        for _ in range(2):
            ref.tell(Crash("boom"))
            await settle()

        assert downs == [Down(ref, Exit("crash", "ValueError: boom"), "mine")]


async def test_a_watch_of_one_that_is_dead_already_calls_at_once() -> None:
    downs: list[Down] = []
    async with one(BRIEF) as (ref, _):
        await ref.ask(Quit())
        await settle()

        watch(ref, downs.append)

        assert downs == [Down(ref, NOPROC)]


async def test_a_watch_that_was_cancelled_calls_nobody() -> None:
    downs: list[Down] = []
    async with one(BRIEF) as (ref, _):
        monitor = watch(ref, downs.append)
        monitor.cancel()
        monitor.cancel()
        ref.tell(Quit())
        await settle()
        monitor.cancel()

        assert downs == []


async def test_the_end_of_a_system_is_told_to_those_who_watch() -> None:
    downs: list[Down] = []
    async with one(LASTING) as (ref, _):
        watch(ref, downs.append)

    assert [down.reason.kind for down in downs] == ["shutdown"]


# ---------------------------------------------------------------------- first, and last


async def test_helpers_have_ended_and_the_hook_is_done_before_a_down() -> None:
    journal: list[str] = []
    async with one(Child(Diary, journal)) as (ref, _):
        await ref.ask(Help())
        watch(ref, lambda down: journal.append("down"))
        ref.tell(Crash())
        await settle()

    assert journal[1:4] == ["diary's helper was cancelled", "diary stopped: crash", "down"]


async def test_a_down_comes_before_the_event_of_the_exit() -> None:
    order: list[str] = []

    def exited(event: Event) -> None:
        if isinstance(event, Exited):
            order.append("exited")

    child = Child(Diary)
    async with running(child) as system:
        system.events.subscribe(exited)
        watch(system.ref(child), lambda down: order.append("down"))
        system.ref(child).tell(Crash())
        await settle()

        assert order == ["down", "exited"]


async def test_promised_answers_have_failed_before_a_down() -> None:
    class Promising(Actor[Notes | Quit]):
        @on(Notes)
        async def notes(self, message: Notes) -> Later:
            replies.append(self.ctx.defer(message))
            return LATER

        @on(Quit)
        async def quit(self, message: Quit) -> None:
            self.ctx.stop()

    replies, wanted = list[Reply[list[str]]](), list[bool]()
    child = Child(Promising)
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)

        async def ask() -> None:
            with pytest.raises(Crashed):
                await ref.ask(Notes())

        tasks.start_soon(ask)
        await settle()
        watch(ref, lambda down: wanted.append(replies[0].wanted))
        ref.tell(Quit())
        await settle()

        assert wanted == [False]


async def test_the_mailbox_was_dealt_with_before_a_down() -> None:
    letters: list[int] = []
    child = Child(Diary).policy(queued="drop")
    async with running(child) as system:
        events = Events(system)
        watch(system.ref(child), lambda down: letters.append(len(events)))
        for order in (Crash(), Note("a"), Note("b")):
            system.ref(child).tell(order)
        await settle()

        assert letters == [3]  # the crash, and the two that were dropped


async def test_nobody_is_found_under_the_name_of_one_that_has_ended_when_a_down_comes() -> None:
    pool = Dynamic("pool", Diary)
    found: list[object] = []
    async with running(pool) as system:
        ref = await system.get(pool, name="mine")

        def look(down: Down) -> None:
            found.append(system.find(pool, name="mine"))
            found.append(system.which_children(pool))
            found.append(ref.tell(Note("too late")))

        watch(ref, look)
        ref.tell(Quit())
        await settle()

        assert found == [None, (), False]


async def test_one_that_comes_back_is_found_and_its_questions_bounce_when_a_down_comes() -> None:
    child = Child(Diary).policy(backoff=Backoff(min=1, jitter=0))
    errors, kept = list[AskError](), list[bool]()
    async with running(child) as system, anyio.create_task_group() as tasks:
        ref = system.ref(child)

        async def ask() -> None:
            with pytest.raises(Restarting) as caught:
                await ref.ask(Notes())
            errors.append(caught.value)

        def look(down: Down) -> None:
            kept.append(ref.tell(Note("kept")))
            tasks.start_soon(ask)

        watch(ref, look)
        ref.tell(Crash())
        await anyio.sleep(2)

        assert len(errors) == 1
        assert kept == [True]
        assert await ref.ask(Notes()) == ["kept"]


async def test_a_watch_that_fails_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(down: Down) -> None:
        raise ValueError("boom")

    downs: list[Down] = []
    async with one(LASTING) as (ref, events):
        watch(ref, fail)
        watch(ref, downs.append)
        ref.tell(Crash())
        await settle()

        assert ref.incarnation == 2
        assert len(downs) == 1
        assert events.kinds() == ["root/lasting 1 crash"]
    assert "who watches root/lasting failed on its end" in caplog.text
