"""How an actor ended, as data."""

import pytest

from herdwick.runtime import KILLED, NORMAL, SHUTDOWN, Exit
from herdwick.runtime.exit import Kind, crash


@pytest.mark.parametrize(
    ("kind", "abnormal"),
    [("normal", False), ("shutdown", False), ("noproc", False), ("crash", True), ("killed", True)],
)
def test_crashed_and_killed_are_abnormal(kind: Kind, abnormal: bool) -> None:
    assert Exit(kind).abnormal is abnormal


def test_a_reason_reads_as_its_kind_and_error() -> None:
    reasons = [NORMAL, SHUTDOWN, KILLED, crash(ValueError("boom"))]

    assert [str(reason) for reason in reasons] == [
        "normal",
        "shutdown",
        "killed",
        "crash (ValueError: boom)",
    ]


def test_an_error_that_cannot_tell_its_text_is_a_crash_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert crash(Mute()).error == "Mute: <its text cannot be told>"
