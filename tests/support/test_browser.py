"""Tests of tests/support/browser.py."""

import pytest

from tests.support.browser import open_browser


@pytest.mark.browser
def test_the_browser_shows_a_page() -> None:
    with open_browser() as browser:
        page = browser.new_page()
        page.set_content("<title>sheep</title>")

        assert page.title() == "sheep"
