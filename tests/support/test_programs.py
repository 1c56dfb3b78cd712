"""Tests of tests/support/programs.py."""

import pytest

from tests.support.programs import missing_program


def test_a_missing_program_skips_the_test_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="frob is missing: `apt-get install frob`"):
        missing_program("frob", "`apt-get install frob`")


def test_a_missing_program_fails_the_test_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="frob is missing"):
        missing_program("frob", "`apt-get install frob`")
