"""What log lines keep to themselves."""

import logging

import pytest

from herdwick.server.logs import log_lines


@pytest.mark.parametrize("name", ["uvicorn.access", "uvicorn.error", "herdwick", "herdwick.server"])
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
