"""Tests of the page of examples/notifications, in a real browser, on both backends."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, TypeAlias

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.examples.pages import OpenTab, in_all_looks, run_program, watched
from tests.support.browser import open_browser, screenshot_path

pytestmark = pytest.mark.browser

Host: TypeAlias = Callable[..., AbstractContextManager[str]]
Tell: TypeAlias = Callable[..., None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(params=["asyncio", "trio"])
def host(request: pytest.FixtureRequest) -> Host:
    return partial(run_program, "examples.notifications.app", request.param)


@pytest.fixture
def url(host: Host) -> Iterator[str]:
    with host() as url:
        yield url


@pytest.fixture
def log_in(browser: Browser, url: str) -> Iterator[OpenTab]:
    """Give what logs in with a browser of its own; none may complain in its console."""
    with ExitStack() as stack:
        open_tab, complaints = stack.enter_context(watched(browser))
        yield partial(enter, open_tab, url)
    assert complaints == []


@pytest.fixture
def tell(url: str) -> Tell:
    return partial(tell_user, url)


def enter(open_tab: OpenTab, url: str, name: str = "ada", **look: Any) -> Page:
    tab = open_tab(url, **look)
    give_password(tab, name)
    expect(tab.get_by_role("status")).to_have_text("connected")
    return tab


def give_password(tab: Page, name: str = "ada", password: str | None = None) -> None:
    tab.get_by_label("Name").fill(name)
    tab.get_by_label("Password").fill(password or {"ada": "wool", "bob": "fell"}[name])
    tab.get_by_role("button", name="Log in").click()


def tell_user(url: str, text: str, user: str = "ada") -> None:
    """Be the worker."""
    with httpx.Client(trust_env=False, headers={"authorization": "Bearer dog"}) as http:
        http.post(f"{url}/internal/users/{user}/notes", json={"text": text}).raise_for_status()


def notes(tab: Page) -> Locator:
    return tab.get_by_role("list").get_by_role("listitem")


def expect_unread(tab: Page, count: int) -> None:
    expect(tab.locator("#unread")).to_have_text(f"{count} unread" if count else "all read")
    expect(tab).to_have_title(f"({count}) Herdwick notes" if count else "Herdwick notes")


def test_a_note_is_shown_on_all_devices_of_its_user(log_in: OpenTab, tell: Tell) -> None:
    phone, laptop, bobs = log_in(), log_in(), log_in("bob")

    tell("The tups are back.")
    tell("It snows.")
    tell("for Bob", "bob")

    for tab in (phone, laptop):
        expect(notes(tab)).to_contain_text(["It snows.", "The tups are back."])
        expect_unread(tab, 2)
    expect(notes(bobs)).to_contain_text(["for Bob"])


def test_what_is_read_on_one_is_read_on_all_and_after_a_reload(log_in: OpenTab, tell: Tell) -> None:
    phone, laptop = log_in(), log_in()
    other_tab = phone.context.new_page()
    other_tab.goto(phone.url)
    tell("old")
    for tab in (phone, laptop, other_tab):
        expect_unread(tab, 1)

    phone.get_by_role("button", name="Mark all as read").click()

    for tab in (phone, laptop, other_tab):
        expect_unread(tab, 0)
        expect(tab.get_by_role("button", name="Mark all as read")).to_be_disabled()
    tell("new")
    laptop.reload()
    expect(notes(laptop)).to_contain_text(["new", "old"])
    expect_unread(laptop, 1)


def test_a_note_is_never_markup(log_in: OpenTab, tell: Tell) -> None:
    tab = log_in()

    tell("<img src=x onerror=alert(1)>")

    expect(notes(tab)).to_contain_text(["<img src=x onerror=alert(1)>"])
    expect(tab.locator("main img")).to_have_count(0)


def test_a_device_that_was_away_gets_what_it_missed(browser: Browser, url: str, tell: Tell) -> None:
    with watched(browser) as (open_tab, _):  # a browser logs each connection that fails
        phone = enter(open_tab, url)
        tell("before")
        expect(notes(phone)).to_have_count(1)

        phone.context.set_offline(True)
        phone.evaluate("new Promise((done) => setTimeout(done, 100))")
        tell("meanwhile")
        phone.context.set_offline(False)
        tell("after")

        expect(notes(phone)).to_contain_text(["after", "meanwhile", "before"])
        expect(notes(phone)).to_have_count(3)


def test_who_logs_out_is_out_everywhere_and_others_are_not(log_in: OpenTab, tell: Tell) -> None:
    phone, laptop, bobs = log_in(), log_in(), log_in("bob")
    other_tab = phone.context.new_page()
    other_tab.goto(phone.url)
    expect(other_tab.get_by_role("status")).to_have_text("connected")

    phone.get_by_role("button", name="Log me out everywhere").click()

    for tab in (phone, laptop, other_tab):
        expect(tab.get_by_role("heading", name="Log in")).to_be_visible()
        expect(tab.get_by_role("main")).to_be_hidden()
    tell("for Bob", "bob")
    expect(notes(bobs)).to_contain_text(["for Bob"])
    give_password(phone)
    for tab in (phone, other_tab):
        expect(tab.get_by_role("status")).to_have_text("connected")


def test_a_wrong_password_is_told(browser: Browser, url: str) -> None:
    with watched(browser) as (open_tab, _):  # a browser logs each request that fails
        tab = open_tab(url)

        give_password(tab, "ada", "fell")

        expect(tab.get_by_role("alert")).to_have_text("Wrong name or password.")


def test_when_the_server_is_back_without_its_tokens_the_page_asks_to_log_in(
    host: Host, browser: Browser
) -> None:
    with watched(browser) as (open_tab, _):
        with host() as url:
            ada = enter(open_tab, url)
        expect(ada.get_by_role("status")).to_have_text(re.compile("trying again"))

        with host(port=int(url.rpartition(":")[2])):
            expect(ada.get_by_role("alert")).to_have_text("You are not logged in any more.")
            give_password(ada)
            expect(ada.get_by_role("status")).to_have_text("connected")


@pytest.mark.parametrize("host", ["trio"], indirect=True)  # the look is the same on both
def test_the_page_fits_its_window(log_in: OpenTab, tell: Tell) -> None:
    with_login = log_in("bob")
    with_login.get_by_role("button", name="Log me out everywhere").click()
    expect(with_login.get_by_role("heading", name="Log in")).to_be_visible()
    tab = log_in()
    tell("The vet comes on Thursday at ten.")
    tell("Somebody has left the gate at the lower field open.")
    expect_unread(tab, 2)
    tab.get_by_role("button", name="Mark all as read").click()
    tell(
        "Forty-one counted at the beck: one is missing. Was she with yours on the tops? "
        + "baa" * 20
    )
    tell("Found her.")
    expect_unread(tab, 2)

    for look, width, _ in in_all_looks(tab, with_login, height=800):
        tab.screenshot(path=screenshot_path(f"notifications-{look}"))
        with_login.screenshot(path=screenshot_path(f"notifications-login-{look}"))

        for each in (tab, with_login):
            assert each.evaluate("document.documentElement.scrollWidth") <= width
