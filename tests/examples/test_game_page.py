"""Tests of the page of examples/game, in a real browser, with the server on both backends."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from math import hypot
from typing import Any, TypeAlias

import msgspec
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocket, expect

from examples.game.app import HEIGHT, MARGIN, PLAYERS, WIDTH
from tests.examples.pages import in_all_looks, run_program, wait_until, watched
from tests.support.browser import open_browser, screenshot_path

pytestmark = pytest.mark.browser

OpenTab: TypeAlias = Callable[..., Page]
Host: TypeAlias = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(params=["asyncio", "trio"])
def host(request: pytest.FixtureRequest) -> Host:
    return partial(run_program, "examples.game.app", request.param)


@pytest.fixture
def play(browser: Browser, host: Host) -> Iterator[OpenTab]:
    """Give what opens a tab that plays under some name; none may complain in its console."""
    with ExitStack() as stack:
        url = stack.enter_context(host())
        open_tab, complaints = stack.enter_context(watched(browser))
        yield partial(enter, open_tab, url)
    assert complaints == []


def enter(open_tab: OpenTab, url: str, name: str, **look: Any) -> Page:
    tab = open_tab(url, **look)
    tab.get_by_label("Your name").fill(name)
    tab.get_by_label("Your name").press("Enter")
    expect(one_of(tab, name)).to_contain_text("you")
    return tab


def flock(tab: Page) -> Locator:
    return tab.get_by_role("list").get_by_role("listitem")


def one_of(tab: Page, name: str) -> Locator:
    return flock(tab).filter(has_text=name)


class World:
    """What the room says to a tab, as it comes over the wire."""

    def __init__(self, tab: Page) -> None:
        self._tab = tab
        self.before: dict[str, Any] = {}
        self.now: dict[str, Any] = {}
        tab.on("websocket", self._hear)
        tab.reload()
        self.wait(lambda: self.before)

    def _hear(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._take)

    def _take(self, frame: str | bytes) -> None:
        assert isinstance(frame, bytes)
        message: dict[str, Any] = msgspec.msgpack.decode(frame)
        if message["type"] == "World":
            self.before, self.now = self.now, message

    def place(self, name: str) -> tuple[float, float]:
        for called, x, y, _ in self.now["sheep"].values():
            if called == name:
                return x, y
        raise AssertionError(f"there is no {name}")

    def is_at_rest(self) -> bool:
        """Tell whether nobody has moved from one tick to the next."""
        return bool(self.before["sheep"] == self.now["sheep"])

    def wait(self, condition: Callable[[], object]) -> None:
        wait_until(self._tab, condition)


def test_keys_let_a_sheep_run_and_all_tabs_hear_of_it(play: OpenTab) -> None:
    ada, bob = play("Ada"), play("Bob")
    seen = World(bob)
    x, y = seen.place("Ada")

    for key, there in (
        ("ArrowRight", lambda: seen.place("Ada")[0] > x + 50),
        ("w", lambda: seen.place("Ada")[1] < y - 50),
    ):
        ada.keyboard.down(key)
        seen.wait(there)
        ada.keyboard.up(key)

    seen.wait(seen.is_at_rest)
    x, y = seen.place("Ada")
    assert x < WIDTH - MARGIN, "it was not the fence that has stopped it"
    assert y > MARGIN


def test_a_sheep_runs_to_the_finger_and_gets_the_grass(play: OpenTab) -> None:
    ada, bob = play("Ada"), play("Bob")
    world, field = World(ada), ada.get_by_role("img", name="A field")
    box = field.bounding_box()
    assert box is not None
    scale = box["width"] / WIDTH

    x, y = world.now["grass"]
    ada.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
    ada.mouse.down()

    for tab in (ada, bob):
        expect(one_of(tab, "Ada")).to_have_text(re.compile("[1-9]$"))
    world.wait(lambda: hypot(world.place("Ada")[0] - x, world.place("Ada")[1] - y) < 20)
    ada.mouse.up()


def test_letters_of_a_name_move_nobody(play: OpenTab) -> None:
    ada = play("Ada")
    world = World(ada)
    before = world.place("Ada")

    ada.get_by_label("Your name").press_sequentially("dddd", delay=60)

    assert world.place("Ada") == before


def test_a_name_is_never_markup_and_a_new_one_is_shown(play: OpenTab) -> None:
    ada, mallory = play("Ada"), play("<b>M</b>")
    expect(one_of(ada, "<b>M</b>")).to_be_visible()
    expect(ada.locator("#flock b")).to_have_count(0)

    mallory.get_by_label("Your name").fill("Mia")
    mallory.get_by_label("Your name").press("Enter")

    expect(one_of(ada, "Mia")).to_be_visible()
    expect(flock(ada)).to_have_count(2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("host", ["asyncio"], indirect=True)
def test_a_full_field_says_so_and_lets_in_when_there_is_room(play: OpenTab) -> None:
    tabs = [play(f"Player {number}") for number in range(PLAYERS)]
    late = tabs[0].context.new_page()
    late.goto(tabs[0].url)
    expect(late.get_by_role("status")).to_have_text("not in the game")
    expect(late.get_by_text("This field is full.")).to_be_visible()

    tabs[-1].close()
    expect(flock(tabs[0])).to_have_count(PLAYERS - 1)
    late.get_by_role("button", name="Try again").click()

    expect(late.get_by_role("status")).to_have_text("connected")
    expect(flock(late)).to_have_count(PLAYERS)


def test_the_page_comes_back_when_the_server_does(host: Host, browser: Browser) -> None:
    with watched(browser) as (open_tab, _):  # a browser logs each connection that fails
        with host() as url:
            ada = enter(open_tab, url, "Ada")
        expect(ada.get_by_role("status")).to_have_text("connection lost, trying again")

        with host(port=int(url.rpartition(":")[2])):
            expect(ada.get_by_role("status")).to_have_text("connected")
            expect(one_of(ada, "Ada")).to_be_visible()


@pytest.mark.parametrize("host", ["trio"], indirect=True)  # the look is the same on both
def test_the_page_fits_its_window(play: OpenTab) -> None:
    tabs = [play(name) for name in ("Ada", "Bob", "Brisk Shearling")]
    world = World(tabs[0])
    for tab, keys in zip(tabs, (["ArrowLeft", "ArrowUp"], ["ArrowRight"], ["s"]), strict=True):
        for key in keys:
            tab.keyboard.down(key)
    world.wait(lambda: world.place("Bob")[0] > WIDTH / 2 + 150)
    world.wait(lambda: world.place("Brisk Shearling")[1] > HEIGHT / 2 + 80)
    expect(flock(tabs[0])).to_have_count(3)

    for look, width, height in in_all_looks(tabs[0]):
        tabs[0].screenshot(path=screenshot_path(f"game-{look}"))

        assert tabs[0].evaluate("document.documentElement.scrollWidth") <= width
        assert tabs[0].evaluate("document.documentElement.scrollHeight") <= height
