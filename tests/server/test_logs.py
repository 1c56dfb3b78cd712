"""How log lines are written, and what they keep to themselves."""

import json
import logging
from datetime import datetime

import pytest

from herdwick.server.logs import log_lines


@pytest.mark.parametrize("name", ["uvicorn.error", "herdwick", "herdwick.server"])
def test_a_programs_own_logging_gets_no_secrets_either(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with log_lines(None), caplog.at_level(logging.INFO):
        logging.getLogger(name).info('%s - "%s" %d', "::1", "/?token=abc", 200)
        logging.getLogger(name).info("100% of /?token=abc")

    assert caplog.messages == ['::1 - "/?token=[redacted]" 200', "100% of /?token=[redacted]"]


def test_lines_go_to_stderr_from_the_level_on(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines("warning"):
        logging.getLogger("herdwick.server").info("quiet")
        logging.getLogger("herdwick.server").warning("loud")
        logging.getLogger("uvicorn.access").warning("%s", "/?key=abc")
    logging.getLogger("herdwick.server").warning("outside")

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(None, 2)[2] for line in lines] == [
        "WARNING  loud",
        "WARNING  /?key=[redacted]",
    ]


def test_uvicorn_never_logs_whole_messages(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines("debug"):
        logging.getLogger("herdwick").debug("ours")
        logging.getLogger("uvicorn.error").debug("< authorization: Bearer abc")

    assert capsys.readouterr().err.splitlines()[0].endswith("ours")
    assert logging.getLogger("uvicorn").handlers == []


def test_a_line_of_json_has_the_fields_and_the_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = logging.getLogger("herdwick.server")
    with log_lines("info", "json"):
        ours.info("%s and %d", "one\nline", 2, extra={"kind": "told", "actor": "root/a\n", "x": 1})
        try:
            raise ValueError("boom")
        except ValueError:
            ours.exception("it failed", extra={"kind": "bug"})
        ours.error("stuck", extra={"kind": "stuck", "stack": "in a\nin b\n"})
        logging.getLogger("uvicorn.error").warning("plain")

    told, failed, stuck, plain = map(json.loads, capsys.readouterr().err.splitlines())
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == {
        "level": "info",
        "logger": "herdwick.server",
        "message": r"one\nline and 2",
        "kind": "told",
        "actor": r"root/a\n",
    }
    assert failed["traceback"].splitlines()[-1] == "  ValueError: boom"
    assert stuck["stack"] == "  in a\n  in b"
    assert (plain["logger"], plain["message"], "kind" in plain) == (
        "uvicorn.error",
        "plain",
        False,
    )


def test_a_stack_is_written_below_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines("info"):
        extra = {"kind": "stuck", "stack": "in a\nin b\x1b\n"}
        logging.getLogger("herdwick.runtime").error("stuck", extra=extra)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("ERROR    stuck")
    assert lines[1:] == ["  in a", r"  in b\x1b"]


@pytest.mark.parametrize(
    "message", ["Invalid HTTP request received.", "Unsupported upgrade request."]
)
def test_what_uvicorn_warns_of_clients_is_news_at_most(
    message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with log_lines("warning"):
        logging.getLogger("uvicorn.error").warning(message)
        logging.getLogger("uvicorn.error").warning("something else")
    with log_lines("info"):
        logging.getLogger("uvicorn.error").warning(message)

    lines = [line.split(None, 2)[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["WARNING  something else", f"INFO     {message}"]


def test_what_uvicorn_says_is_bounded_too(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines("info"):
        for _ in range(1000):
            logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")

    assert len(capsys.readouterr().err.splitlines()) < 10


def test_the_access_log_is_off_unless_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    access = logging.getLogger("herdwick.access")
    with log_lines("debug"):
        access.info("quiet")
    with log_lines("error", access_log=True):
        access.info("loud")
    with log_lines("debug"):
        access.info("quiet again")

    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("loud")
