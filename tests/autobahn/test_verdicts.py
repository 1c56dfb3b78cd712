"""A verdict fails the run, unless it is a good one or a foreign server's."""

from tests.autobahn.__main__ import failed

FAILED = {"behavior": "FAILED", "behaviorClose": "WRONG CODE"}


def test_what_is_not_strict_and_what_only_informs_is_no_failure() -> None:
    verdicts = {
        "1.1.1": {"behavior": "OK", "behaviorClose": "OK"},
        "3.2": {"behavior": "NON-STRICT", "behaviorClose": "OK"},
        "7.13.1": {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"},
    }

    assert list(failed("herdwick run", verdicts)) == []


def test_a_wrong_close_is_a_failure_too() -> None:
    verdicts = {"7.1.1": {"behavior": "OK", "behaviorClose": "UNCLEAN"}, "7.1.5": FAILED}

    assert list(failed("herdwick run", verdicts)) == [
        "herdwick run, 7.1.1: OK, its close UNCLEAN",
        "herdwick run, 7.1.5: FAILED, its close WRONG CODE",
    ]


def test_what_a_foreign_server_does_with_any_application_is_not_ours() -> None:
    assert list(failed("uvicorn, plain ASGI", {"7.1.5": FAILED})) == []


def test_a_run_without_cases_has_failed() -> None:
    assert list(failed("herdwick run", {})) == ["herdwick run: no case was run"]
