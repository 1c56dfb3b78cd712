"""Who hears of a system's events, from when on, and until when."""

from herdwick.runtime import (
    NORMAL,
    SHUTDOWN,
    Child,
    DeadLetter,
    Event,
    Events,
    Exited,
    GaveUp,
    Pool,
    Restarted,
    Started,
    Supervisor,
    System,
)
from herdwick.testing import settle
from tests.runtime.samples import Crash, Diary


def test_to_leave_twice_changes_nothing() -> None:
    events, got = Events(), list[Event]()
    leave = events.subscribe(got.append)
    events.subscribe(got.append)

    leave()
    leave()
    events.exited("root/feed", 1, NORMAL, None)

    assert got == [Exited("root/feed", 1, NORMAL)]


def test_who_subscribes_twice_is_told_twice() -> None:
    events, got = Events(), list[Event]()
    events.subscribe(got.append)
    events.subscribe(got.append)

    events.started("root/feed", 1)

    assert got == [Started("root/feed", 1)] * 2


async def test_who_subscribes_before_the_start_misses_nothing() -> None:
    events, got = Events(), list[Event]()
    events.subscribe(got.append)

    async with System(Supervisor("root", Child(Diary)), events=events):
        pass

    assert got == [
        Started("root/Diary", 1),
        Started("root", 1),
        Exited("root/Diary", 1, SHUTDOWN),
        Exited("root", 1, SHUTDOWN),
    ]


async def test_the_stream_tells_of_starts_ends_restarts_dead_letters_and_giving_up() -> None:
    got: list[Event] = []
    pool = Pool("pool", max_restarts=1, period=60)
    async with System(Supervisor("root", pool)) as system:
        system.events.subscribe(got.append)
        ref = system.spawn(pool, Child(Diary).named("one")).ref()
        await settle()
        for _ in range(2):
            ref.tell(Crash())
            await settle()

        letter = DeadLetter("root/pool/one", Crash(), "crashed")
        first, second = [event for event in got if isinstance(event, Exited)]
        assert got == [
            Started("root/pool/one", 1),
            letter,
            first,
            Started("root/pool/one", 2),
            Restarted("root/pool/one", 2),
            letter,
            second,
            GaveUp("root/pool/one", 1, 60),
        ]
        assert [str(event.reason) for event in (first, second)] == [
            "crash (ValueError: boom)",
            "crash (ValueError: boom)",
        ]
