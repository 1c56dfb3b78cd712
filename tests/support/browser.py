"""A real browser, driven by Playwright, and where its screenshots go."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.programs import find_browser

PATIENCE = 20_000
"""Milliseconds in which a page has to come to what is expected: a loaded machine takes its time."""

ARTEFACTS = Path(__file__).parents[2] / "artefacts"


@contextmanager
def open_browser() -> Generator[Browser]:
    """Start a browser of our own, without a window, and close it afterwards."""
    executable = find_browser()
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--disable-gpu", "--disable-quic", "--disable-sync"]
        )
        try:
            yield browser
        finally:
            browser.close()


def screenshot_path(name: str) -> Path:
    """Say where the screenshot of that name is kept, as an artefact of the tests."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS / f"{name}.png"
