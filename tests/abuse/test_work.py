"""The work for a text is in proportion to its length, whatever the text."""

import subprocess
import sys

import pytest

from tests.abuse.hostile_texts import expressions, is_searched_for
from tests.server.commands import ROOT

GENEROUS = 60.0
"""Seconds for what takes a few; with one quadratic expression it takes hours."""


@pytest.mark.heavy
def test_no_text_keeps_an_expression_or_a_parser_busy() -> None:
    command = [sys.executable, "-m", "tests.abuse.hostile_texts"]
    try:
        done = subprocess.run(command, cwd=ROOT, timeout=GENEROUS, capture_output=True, text=True)
    except subprocess.TimeoutExpired as error:
        tried = (error.stdout or b"").decode().split()
        pytest.fail(f"too slow for a hostile text: {tried[-1:]}", pytrace=False)

    assert done.returncode == 0, done.stderr


def test_the_expressions_are_found() -> None:
    found = {name for name, _ in expressions()}

    assert {"herdwick.server.head._FIELDS", "herdwick.runtime.logs._NAME"} <= found
    assert is_searched_for("herdwick.runtime.logs._NAME")
    assert not is_searched_for("herdwick.server.head._FIELDS")
