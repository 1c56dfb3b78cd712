"""Tests of the page of examples/demo, in a real browser, with the server on both backends."""

import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import open_browser, screenshot_path

pytestmark = pytest.mark.browser

OpenTab: TypeAlias = Callable[..., Page]
Host: TypeAlias = Callable[..., AbstractContextManager[str]]

ROOT = Path(__file__).parents[2]
SERVING = re.compile(r"(?<=serving on )http://\S+")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(params=["asyncio", "trio"])
def host(request: pytest.FixtureRequest) -> Host:
    """Give what runs the demo, as `make demo` does, for the time of a block."""
    return partial(run_demo, request.param)


@contextmanager
def run_demo(backend: str, port: int = 0) -> Generator[str]:
    command = [sys.executable, "-m", "herdwick", "run", "examples.demo.app:app"]
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


@pytest.fixture
def url(host: Host) -> Iterator[str]:
    with host() as url:
        yield url


@pytest.fixture
def open_tab(browser: Browser, url: str) -> Iterator[OpenTab]:
    """Give what opens the page and tells its name; no tab may complain in its console."""
    with watched(browser) as (open_one, complaints):
        yield partial(open_one, url)
    assert complaints == []


@contextmanager
def watched(browser: Browser) -> Generator[tuple[OpenTab, list[str]]]:
    """Give what opens a tab, and what the tabs write to their consoles; close all afterwards."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def open_one(url: str, name: str, **look: Any) -> Page:
            context = browser.new_context(reduced_motion="reduce", **look)
            stack.callback(context.close)
            tab = context.new_page()
            tab.on("console", lambda told: complaints.append(told.text))
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.goto(url)
            tab.get_by_label("Your name").fill(name)
            tab.get_by_label("Your name").blur()
            expect(tab.get_by_role("listitem").filter(has_text=name)).to_contain_text("you")
            return tab

        yield open_one, complaints


def say(tab: Page, text: str) -> None:
    tab.get_by_label("Message").fill(text)
    tab.get_by_role("button", name="Send").click()


def expect_heard(tab: Page, text: str) -> None:
    expect(tab.get_by_role("log").get_by_text(text, exact=True)).to_be_visible()


def crash(tab: Page) -> None:
    tab.get_by_role("button", name="Crash the lobby").click()


def test_two_tabs_see_and_hear_each_other(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")

    say(ada, "hello Bob")
    say(bob, "hello Ada")

    for tab in (ada, bob):
        expect_heard(tab, "hello Bob")
        expect_heard(tab, "hello Ada")
        expect(tab.get_by_role("listitem")).to_contain_text(["Ada", "Bob"])


def test_a_reload_keeps_the_name_and_shows_what_was_said(open_tab: OpenTab) -> None:
    ada = open_tab("Ada")
    say(ada, "before the reload")
    expect_heard(ada, "before the reload")

    ada.reload()
    expect_heard(ada, "before the reload")
    say(ada, "after the reload")

    expect_heard(ada, "after the reload")
    expect(ada.get_by_label("Your name")).to_have_value("Ada")


def test_who_closes_the_tab_is_here_no_more(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    expect(ada.get_by_role("listitem")).to_have_count(2)

    bob.close()

    expect_heard(ada, "Bob left")
    expect(ada.get_by_role("listitem")).to_have_count(1)


def test_a_crash_of_the_lobby_is_shown_and_drops_nobody(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    say(ada, "said before")
    expect_heard(bob, "said before")

    crash(bob)

    for tab in (ada, bob):
        expect(tab.get_by_role("log")).to_contain_text("The lobby crashed, and is back.")
        expect(tab.get_by_role("status")).to_have_text("connected")
        expect(tab.get_by_role("listitem")).to_contain_text(["Ada", "Bob"])
    say(ada, "said after")
    expect_heard(bob, "said after")
    bob.reload()
    expect_heard(bob, "said after")
    expect(bob.get_by_text("said before")).to_have_count(0)


def test_names_and_texts_are_never_markup(open_tab: OpenTab) -> None:
    mallory = open_tab("<b>Mallory</b>")

    say(mallory, "<img src=x onerror=alert(1)>")

    expect_heard(mallory, "<img src=x onerror=alert(1)>")
    expect(mallory.locator("main img, b")).to_have_count(0)


def test_the_page_comes_back_when_the_server_does(host: Host, browser: Browser) -> None:
    with watched(browser) as (open_one, _):  # a browser logs each connection that fails
        with host() as url:
            ada = open_one(url, "Ada")
        expect(ada.get_by_role("status")).to_contain_text(re.compile("trying again|connecting"))
        expect(ada.get_by_role("button", name="Send")).to_be_disabled()

        with host(port=int(url.rpartition(":")[2])):
            expect(ada.get_by_role("status")).to_have_text("connected", timeout=20_000)
            say(ada, "there you are")

            expect_heard(ada, "there you are")


@pytest.mark.parametrize("host", ["trio"], indirect=True)  # the look is the same on both
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1100, 720), (390, 760)], ids=["wide", "narrow"])
def test_the_page_fits_its_window(open_tab: OpenTab, scheme: str, width: int, height: int) -> None:
    look = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
    ada, bob = open_tab("Ada", **look), open_tab("Bob")
    say(ada, "Is the gate at the lower field shut?")
    expect_heard(bob, "Is the gate at the lower field shut?")
    say(bob, "It is. I went by at seven, and counted forty-one: " + "baa" * 40)
    crash(bob)
    expect(ada.get_by_role("log")).to_contain_text("The lobby crashed, and is back.")
    say(ada, "Still here?")
    expect_heard(ada, "Still here?")

    ada.screenshot(path=screenshot_path(f"demo-{scheme}-{width}"))

    assert ada.evaluate("document.documentElement.scrollWidth") <= width
    assert ada.evaluate("document.documentElement.scrollHeight") <= height
