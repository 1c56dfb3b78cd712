"""An example with a page: its program, run for the time of a block, and tabs that show the page."""

import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final, Literal, TypeAlias

from playwright.sync_api import Browser, Page

from tests.support.browser import PATIENCE

ROOT = Path(__file__).parents[2]
SERVING = re.compile(r"(?<=serving on )http://\S+")

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

OpenTab: TypeAlias = Callable[..., Page]


@contextmanager
def run_program(module: str, backend: str, port: int = 0) -> Generator[str]:
    """Run an application as a user does, and give its URL."""
    command = [sys.executable, "-m", "herdwick", "run", f"{module}:app"]
    options = ["--backend", backend, "--port", str(port)]
    with Popen([*command, *options], cwd=ROOT, stderr=PIPE, text=True) as program:
        assert program.stderr is not None
        serving = next(filter(None, map(SERVING.search, program.stderr)), None)
        try:
            assert serving is not None
            yield serving[0]
        finally:
            program.terminate()
            program.communicate()
    assert program.returncode == 0


@contextmanager
def watched(browser: Browser) -> Generator[tuple[OpenTab, list[str]]]:
    """Give what opens a tab, each in a browser of its own, and what the tabs complain of."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def complain(text: str) -> None:
            if "is closed before the connection is established" not in text:  # as a tab may be
                complaints.append(text)

        def open_tab(url: str, **look: Any) -> Page:
            context = browser.new_context(reduced_motion="reduce", **look)
            stack.callback(context.close)
            context.on("console", lambda told: complain(told.text))
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            tab = context.new_page()
            tab.goto(url)
            return tab

        yield open_tab, complaints


def in_all_looks(*tabs: Page, height: int = 760) -> Iterator[tuple[str, int, int]]:
    """Show tabs wide and narrow, light and dark, one look after the other.

    Gives a name for it, its width and its height.
    """
    for width, high in ((1100, 720), (390, height)):
        for scheme in SCHEMES:
            for tab in tabs:
                tab.set_viewport_size({"width": width, "height": high})
                tab.emulate_media(color_scheme=scheme)
            yield f"{scheme}-{width}", width, high


def wait_until(tab: Page, condition: Callable[[], object]) -> None:
    """Let the tab go on until the condition holds; for what `expect` has no words for.

    Raises:
        TimeoutError: It did not hold in time.
    """
    for _ in range(PATIENCE // 20):
        if condition():
            return
        tab.wait_for_timeout(20)  # it is only while we wait in this way that we are told anything
    raise TimeoutError
