"""The stream of events, and what of it is logged."""

import logging

import pytest

from herdwick.runtime import (
    KILLED,
    NORMAL,
    Child,
    DeadLetter,
    Event,
    Events,
    Exit,
    Exited,
    GaveUp,
    Restarted,
    Started,
    StartFailed,
)
from tests.runtime import samples
from tests.runtime.samples import Crash, Diary, Incarnation, running, settle


def test_subscribers_get_each_event_until_they_leave() -> None:
    events, got = Events(), list[Event]()
    leave = events.subscribe(got.append)
    events.exited("root/feed", 1, NORMAL, None)

    leave()
    events.exited("root/feed", 2, NORMAL, None)

    assert got == [Exited("root/feed", 1, NORMAL, None)]


def test_a_subscriber_may_leave_while_it_is_told() -> None:
    events, got = Events(), list[str]()

    def once(event: Event) -> None:
        got.append("first")
        leave()

    leave = events.subscribe(once)
    events.subscribe(lambda event: got.append("second"))

    events.exited("root/feed", 1, NORMAL, None)
    events.exited("root/feed", 2, NORMAL, None)

    assert got == ["first", "second", "second"]


def test_a_subscriber_that_fails_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events, got = Events(), list[Event]()

    def fail(event: Event) -> None:
        raise ValueError("boom")

    events.subscribe(fail)
    events.subscribe(got.append)
    events.exited("root/feed", 1, NORMAL, None)

    assert len(got) == 1
    assert "a subscriber failed" in caplog.text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Exited("root/feed", 1, Exit("crash", "ValueError: boom")), "root/feed crashed: ValueErr"),
        (Exited("root/feed", 1, KILLED), "root/feed did not stop within its grace"),
        (Restarted("root/feed", 2), "root/feed restarted, incarnation 2"),
        (GaveUp("root/feed", 3, 5.0), "root/feed failed more than 3 times in 5 s"),
        (Exited("root/feed", 1, NORMAL), ""),
    ],
)
def test_what_an_operator_wants_to_see_is_logged(
    event: Event, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    Events().emit(event)

    assert text in caplog.text
    assert bool(caplog.text) is bool(text)


def test_a_traceback_is_logged_once_where_the_error_was(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    events.exited("root/feed", 1, Exit("crash", "…"), ValueError("boom"))
    events.exited("root", 1, Exit("crash", "…"), StartFailed("root/feed", "boom"))

    assert [bool(record.exc_info) for record in caplog.records] == [True, False]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


async def test_a_system_tells_of_exits_and_restarts() -> None:
    child = Child(Diary)
    async with running(child) as system:
        events = samples.Events(system)
        system.ref(child).tell(Crash("boom"))
        await settle()

        assert await system.ref(child).ask(Incarnation()) == 2

    exited, restarted, *rest = [e for e in events if not isinstance(e, DeadLetter | Started)]
    assert isinstance(exited, Exited)
    assert (exited.path, exited.incarnation) == ("root/Diary", 1)
    assert exited.reason == Exit("crash", "ValueError: boom")
    assert isinstance(exited.error, ValueError)
    assert restarted == Restarted("root/Diary", 2)
    assert [str(event.reason) for event in rest if isinstance(event, Exited)] == ["shutdown"] * 2
