"""The errors: what they are, what they say, and which facts they hold."""

import pytest

from herdwick.runtime import (
    ActorStopped,
    AskError,
    AskTimeout,
    ChildStands,
    Crashed,
    Deadlock,
    Exit,
    Expired,
    ForeignCancellation,
    MailboxFull,
    NoReply,
    NotFound,
    NotHandled,
    Rejected,
    Restarting,
    RestartLimitReached,
    StartFailed,
    TooManyChildren,
    Unanswered,
)

NOT_HANDLED = [
    ActorStopped("root/a"),
    Restarting("root/a"),
    NotFound("root/a"),
    MailboxFull("root/a", 10),
    Expired("root/a", 5),
]
UNANSWERED = [
    Crashed("root/a", Exit("crash", "ValueError: boom")),
    AskTimeout("root/a", 5),
    NoReply("root/a", "Get"),
]
OTHERS = [
    Rejected("no"),
    StartFailed("root/a", "no disk"),
    RestartLimitReached("root/a", 3, 5),
    ChildStands("root/a", "running", "terminate it first"),
    ForeignCancellation("root/a"),
]


def name(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", NOT_HANDLED, ids=name)
def test_what_is_safe_to_ask_again_has_one_base(error: Exception) -> None:
    assert isinstance(error, NotHandled)
    assert isinstance(error, AskError)
    assert not isinstance(error, Unanswered)


@pytest.mark.parametrize("error", UNANSWERED, ids=name)
def test_what_may_have_been_handled_has_the_other_base(error: Exception) -> None:
    assert isinstance(error, Unanswered)
    assert isinstance(error, AskError)
    assert not isinstance(error, NotHandled)


def test_a_deadlock_is_neither_but_a_question_without_an_answer() -> None:
    error = Deadlock(["root/a", "root/b", "root/a"])

    assert isinstance(error, AskError)
    assert not isinstance(error, NotHandled | Unanswered)


@pytest.mark.parametrize("error", OTHERS, ids=name)
def test_a_rejection_and_the_errors_of_supervision_are_no_failed_questions(
    error: Exception,
) -> None:
    assert not isinstance(error, AskError)


def test_what_came_too_late_and_no_other_is_a_timeout_error() -> None:
    late = [error for error in [*NOT_HANDLED, *UNANSWERED] if isinstance(error, TimeoutError)]

    assert [name(error) for error in late] == ["Expired", "AskTimeout"]


def test_a_pool_that_is_full_is_a_start_that_failed() -> None:
    assert isinstance(TooManyChildren("root/rooms/4", 3), StartFailed)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ActorStopped("root/a"), "root/a has stopped and takes no more messages"),
        (Restarting("root/a"), "root/a is restarting; ask again"),
        (
            NotFound("a"),
            "a is in no part of this tree; a child is found by the very spec that stands in it, "
            "and a supervisor's children while it runs",
        ),
        (
            MailboxFull("root/a", 10),
            "root/a has 10 messages waiting; use `send` to wait for room",
        ),
        (Expired("root/a", 0.5), "root/a did not get to the question within 0.5 s"),
        (
            Crashed("root/a", Exit("crash", "ValueError: boom")),
            "root/a ended before it answered: crash (ValueError: boom)",
        ),
        (AskTimeout("root/a", 5.0), "root/a did not answer within 5 s"),
        (
            NoReply("root/a", "Get"),
            "root/a handled Get and gave no answer; return one, or take "
            "`reply = ctx.defer(message)`, return LATER and call the reply later",
        ),
        (
            Deadlock(["root/a", "root/b", "root/a"]),
            "a question would wait for itself: root/a asks root/b asks root/a; use `tell`, or let "
            "a helper task ask (`ctx.start_soon`)",
        ),
        (Rejected("not today"), "rejected: not today"),
        (StartFailed("root/a", "no disk"), "root/a did not start: no disk"),
        (
            TooManyChildren("root/rooms/4", 3),
            "root/rooms/4 did not start: there are 3 children already",
        ),
        (
            RestartLimitReached("root/a", 3, 5.0),
            "root/a failed more than 3 times in 5 s; its supervisor stops",
        ),
        (
            RestartLimitReached("root/a", 3, None),
            "root/a failed more than 3 times in a row; its supervisor stops",
        ),
        (
            ChildStands("root/a", "running", "terminate it first"),
            "root/a is running; terminate it first",
        ),
        (
            ForeignCancellation("root/a"),
            "root/a was cancelled from outside; stop an actor through its supervisor, never by "
            "`task.cancel()`",
        ),
    ],
    ids=lambda value: name(value) if isinstance(value, Exception) else "",
)
def test_an_error_says_what_happened_and_to_whom(error: Exception, text: str) -> None:
    assert str(error) == text


def test_a_deadlock_holds_its_cycle() -> None:
    assert Deadlock(["root/a", "root/a"]).cycle == ("root/a", "root/a")


def test_a_full_mailbox_holds_whose_it_is_and_its_size() -> None:
    error = MailboxFull("root/a", 10)

    assert (error.actor, error.capacity) == ("root/a", 10)


def test_a_crash_holds_who_and_the_reason() -> None:
    error = Crashed("root/a", Exit("killed"))

    assert (error.actor, error.reason) == ("root/a", Exit("killed"))


def test_a_limit_that_was_reached_holds_the_child_and_the_moments() -> None:
    error = RestartLimitReached("root/a", 2, 5.0, [1.0, 2.5])

    assert (error.child, error.restarts, error.period) == ("root/a", 2, 5.0)
    assert error.restarted_at == (1.0, 2.5)


def test_a_rejection_holds_its_error() -> None:
    reason = ValueError("not today")

    assert Rejected(reason).error is reason
