"""Each parser with what hypothesis makes of the words that lead into its depths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.findings import FINDINGS
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_a_peer_sends_breaks_a_parser(name: str) -> None:
    subject = TARGETS[name]
    words = st.one_of(st.sampled_from(subject.words), st.binary(max_size=8))

    @settings(max_examples=200, derandomize=True)
    @given(st.lists(words, max_size=12).map(b"".join))
    def check(data: bytes) -> None:
        subject.parse(data)

    check()


@pytest.mark.parametrize(("name", "data"), FINDINGS)
def test_what_once_broke_a_parser_breaks_it_no_more(name: str, data: bytes) -> None:
    TARGETS[name].parse(data)
