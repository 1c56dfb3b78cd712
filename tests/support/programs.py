"""Programs that a test needs and pip does not install."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MAC_BROWSERS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)


def on_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def missing_program(name: str, how_to_get: str) -> NoReturn:
    """Skip the test for want of a program; on CI, where all must be there, fail it.

    Args:
        name: The program.
        how_to_get: What to type or where to go, for the summary of the tests.
    """
    reason = f"{name} is missing: {how_to_get}"
    if on_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def find_browser() -> Path:
    """Find a browser that Playwright can drive, or skip the test."""
    on_path = (shutil.which(name) for name in BROWSERS)
    found = [Path(path) for path in on_path if path is not None]
    found += [path for path in MAC_BROWSERS if path.exists()]
    if not found:
        missing_program("chromium", "`apt-get install chromium`, or install Google Chrome")
    return found[0]


def find_node() -> Path:
    """Find node, or skip the test."""
    found = shutil.which("node")
    if found is None:
        missing_program("node", "`apt-get install nodejs node-ws`")
    return Path(found)
