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
from playwright.sync_api import Browser, Locator, Page, expect

from tests.examples.pages import in_all_looks
from tests.support.browser import open_browser, screenshot_path
from tests.support.line import line_to

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
            context.on("console", lambda told: complaints.append(told.text))
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            tab = context.new_page()
            tab.goto(url)
            rename(tab, name)
            expect(here(tab).filter(has_text=name)).to_contain_text("you")
            return tab

        yield open_one, complaints


def here(tab: Page) -> Locator:
    return tab.get_by_role("list", name="Here now").get_by_role("listitem")


def rename(tab: Page, name: str) -> None:
    tab.get_by_label("Your name").fill(name)
    tab.get_by_label("Your name").blur()


def say(tab: Page, text: str) -> None:
    tab.get_by_label("Message").fill(text)
    tab.get_by_role("button", name="Send").click()


def expect_heard(tab: Page, text: str) -> None:
    expect(tab.locator("#heard").get_by_text(text, exact=True)).to_be_visible()


def said(tab: Page) -> list[str]:
    """Give what the page shows that was said, in its order."""
    return tab.locator("#heard .said p").all_text_contents()


def crash(tab: Page) -> None:
    tab.get_by_role("button", name="Crash the room").click()


def test_two_tabs_see_and_hear_each_other(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")

    say(ada, "hello Bob")
    say(bob, "hello Ada")

    for tab in (ada, bob):
        expect_heard(tab, "hello Bob")
        expect_heard(tab, "hello Ada")
        expect(here(tab)).to_contain_text(["Ada", "Bob"])


def test_a_reload_keeps_the_name_and_shows_what_was_said(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    expect(here(bob)).to_have_count(2)
    say(ada, "before the reload")
    expect_heard(ada, "before the reload")

    ada.reload()
    expect_heard(ada, "before the reload")
    say(ada, "after the reload")

    expect_heard(bob, "after the reload")
    expect(ada.get_by_label("Your name")).to_have_value("Ada")
    expect(bob.get_by_text("Ada left")).to_have_count(0)


def test_two_tabs_of_one_browser_are_one_person_with_one_name(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    second = ada.context.new_page()
    second.goto(ada.url)
    expect(here(bob).filter(has_text="Ada")).to_contain_text("2 tabs")

    rename(second, "Countess")

    expect(here(bob)).to_contain_text(["Countess", "Bob"])
    expect(ada.get_by_label("Your name")).to_have_value("Countess")
    expect_heard(bob, "Ada is now Countess")
    second.close()
    expect(here(bob).filter(has_text="2 tabs")).to_have_count(0)
    expect(here(bob)).to_have_count(2)


def test_a_second_tab_can_be_another_guest(open_tab: OpenTab) -> None:
    ada = open_tab("Ada")

    with ada.expect_popup() as opened:
        ada.get_by_role("link", name="open one as another guest").click()

    expect(here(ada)).to_have_count(2)
    expect(here(opened.value)).to_have_count(2)


def test_who_closes_the_tab_is_here_no_more(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    expect(here(ada)).to_have_count(2)

    bob.close()

    expect_heard(ada, "Bob left")
    expect(here(ada)).to_have_count(1)


def test_each_fell_has_its_own_talk_and_its_own_people(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    expect(here(ada)).to_have_count(2)
    say(ada, "on Helvellyn")
    expect_heard(bob, "on Helvellyn")

    ada.get_by_role("link", name="Catbells").click()

    expect(ada.get_by_role("link", name="Catbells")).to_have_attribute("aria-current", "page")
    expect_heard(bob, "Ada left")
    expect(here(ada)).to_have_count(1)
    assert said(ada) == []
    say(ada, "on Catbells")
    expect_heard(ada, "on Catbells")
    ada.get_by_role("link", name="Helvellyn").click()
    expect_heard(ada, "on Helvellyn")
    assert said(bob) == ["on Helvellyn"]


def test_a_crash_of_the_room_is_shown_drops_nobody_and_loses_nothing(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    say(ada, "said before")
    expect_heard(bob, "said before")

    crash(bob)
    say(ada, "said at once")

    for tab in (ada, bob):
        expect(tab.get_by_role("log")).to_contain_text("The room crashed, and is back.")
        expect(tab.get_by_role("status", name="Incarnation")).to_have_text("2")
        expect(tab.locator("#state")).to_have_text("connected")
        expect(here(tab)).to_contain_text(["Ada", "Bob"])
    expect_heard(bob, "said at once")
    bob.reload()
    expect_heard(bob, "said at once")
    assert said(bob) == said(ada) == ["said before", "said at once"]
    expect(bob.get_by_role("log")).to_contain_text("Its incarnation 2")


def test_what_is_said_while_the_room_crashes_again_and_again_is_heard_once(
    open_tab: OpenTab,
) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    expect(here(ada)).to_have_count(2)

    spoken = [f"sheep {number}" for number in range(12)]
    for number, text in enumerate(spoken):
        say(ada, text)
        if number in (3, 7):
            crash(bob)

    expect_heard(bob, spoken[-1])
    expect_heard(ada, spoken[-1])
    assert said(ada) == said(bob) == spoken
    expect(ada.locator("#waiting .said")).to_have_count(0)


def test_a_lost_connection_is_resumed_without_a_hole(browser: Browser, url: str) -> None:
    # A browser logs each connection that fails.
    with line_to(url) as line, watched(browser) as (open_one, _):
        ada, bob = open_one(line.url, "Ada"), open_one(url, "Bob")
        expect(here(ada)).to_have_count(2)
        say(bob, "before")
        expect_heard(ada, "before")

        with line.cut():
            say(bob, "meanwhile")
            crash(bob)
            say(ada, "from afar")
            expect(ada.locator("#waiting").get_by_text("from afar")).to_be_visible()
            expect_heard(bob, "Ada left")
            say(bob, "and after the crash")
            expect_heard(bob, "and after the crash")

        back = ada.get_by_text("You were away, and have missed nothing.")
        expect(back).to_be_visible()
        expect_heard(bob, "from afar")
        expect_heard(ada, "from afar")
        assert said(ada) == said(bob) == ["before", "meanwhile", "and after the crash", "from afar"]
        expect(here(ada)).to_have_count(2)
        expect(ada.locator(".gap")).to_have_count(0)


def test_who_was_away_for_too_long_sees_the_gap_and_the_last_of_what_was_said(
    browser: Browser, url: str
) -> None:
    # A browser logs each connection that fails.
    with line_to(url) as line, watched(browser) as (open_one, _):
        ada, bob = open_one(line.url, "Ada"), open_one(url, "Bob")
        say(bob, "before")
        expect_heard(ada, "before")

        with line.cut():
            bob.evaluate(
                """() => {
                  for (let number = 1; number <= 101; number++) {
                    document.getElementById("text").value = `sheep ${number}`;
                    document.getElementById("composer").requestSubmit();
                  }
                }"""
            )
            expect_heard(bob, "sheep 101")

        expect(ada.get_by_text("You were away for too long")).to_have_count(1)
        expect_heard(ada, "sheep 101")
        assert said(ada) == ["before", *(f"sheep {number}" for number in range(52, 102))]
        say(ada, "so many")
        expect_heard(bob, "so many")
        expect_heard(ada, "so many")
        expect(ada.locator(".gap")).to_have_count(1)


def test_names_and_texts_are_never_markup(open_tab: OpenTab) -> None:
    mallory = open_tab("<b>Mallory</b>")

    say(mallory, "<img src=x onerror=alert(1)>")

    expect_heard(mallory, "<img src=x onerror=alert(1)>")
    expect(mallory.locator("main img, b")).to_have_count(0)


def test_the_page_comes_back_when_the_server_does_and_shows_the_gap(
    host: Host, browser: Browser
) -> None:
    with watched(browser) as (open_one, _):  # a browser logs each connection that fails
        with host() as url:
            ada = open_one(url, "Ada")
            say(ada, "before")
            expect_heard(ada, "before")
        expect(ada.locator("#state")).to_contain_text(re.compile("trying again|connecting"))
        expect(ada.get_by_role("button", name="Crash the room")).to_be_disabled()
        say(ada, "there you are")

        with host(port=int(url.rpartition(":")[2])):
            expect(ada.locator("#state")).to_have_text("connected")
            expect_heard(ada, "there you are")

            expect(ada.get_by_text("The server has begun anew.")).to_have_count(1)
            assert said(ada) == ["before", "there you are"]


@pytest.mark.parametrize("host", ["trio"], indirect=True)  # the look is the same on both
def test_the_page_fits_its_window(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    say(ada, "Is the gate at the lower field shut?")
    expect_heard(bob, "Is the gate at the lower field shut?")
    say(bob, "It is. I went by at seven, and counted forty-one: " + "baa" * 40)
    crash(bob)
    expect(ada.get_by_role("log")).to_contain_text("The room crashed, and is back.")
    say(ada, "Still here?")
    expect_heard(ada, "Still here?")

    for look, width, height in in_all_looks(ada):
        ada.get_by_role("log").evaluate("node => node.scrollTo(0, node.scrollHeight)")
        ada.screenshot(path=screenshot_path(f"demo-{look}"))

        assert ada.evaluate("document.documentElement.scrollWidth") <= width
        assert ada.evaluate("document.documentElement.scrollHeight") <= height
