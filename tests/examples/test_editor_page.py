"""Tests of the page of examples/editor, in a real browser, with the server on both backends."""

import random
import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from examples.editor.text import Change, apply, moved, tidy, transform
from tests.examples.pages import in_all_looks, wait_until
from tests.support.browser import open_browser, screenshot_path
from tests.support.line import line_to

pytestmark = pytest.mark.browser

OpenTab: TypeAlias = Callable[..., Page]

ROOT = Path(__file__).parents[2]
SERVING = re.compile(r"(?<=serving on )http://\S+")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(params=["asyncio", "trio"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the editor as one would from the command line, and give where it is."""
    command = [sys.executable, "-m", "herdwick", "run", "examples.editor.app:app"]
    options = ["--backend", request.param, "--port", "0"]
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
            tab.get_by_label("Your name").fill(name)
            tab.get_by_label("Your name").blur()
            expect(text(tab)).to_be_enabled()
            return tab

        yield open_one, complaints


def text(tab: Page) -> Locator:
    return tab.get_by_role("textbox", name="Text")


def also_here(tab: Page) -> Locator:
    return tab.get_by_role("list", name="Also here").get_by_role("listitem")


def put_cursor(tab: Page, at: int) -> None:
    text(tab).focus()
    text(tab).evaluate("(node, at) => node.setSelectionRange(at, at)", at)


def expect_text(tabs: list[Page], expected: str) -> None:
    for tab in tabs:
        expect(text(tab)).to_have_value(expected)


def seen(tab: Page) -> tuple[str, str | None]:
    """Give the text that a tab shows, and its revision."""
    revision = tab.get_by_role("status", name="Revision").text_content()
    return text(tab).input_value(), revision


def test_what_one_types_the_others_see(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")

    text(ada).press_sequentially("Forty-one sheep 🐑")
    expect_text([bob], "Forty-one sheep 🐑")
    put_cursor(bob, 10)
    text(bob).press_sequentially("small ")

    expect_text([ada, bob], "Forty-one small sheep 🐑")
    cyd = open_tab("Cyd")
    expect_text([cyd], "Forty-one small sheep 🐑")


def test_three_who_type_at_once_come_to_one_text(open_tab: OpenTab) -> None:
    tabs = [open_tab(name) for name in ("Ada", "Bob", "Cyd")]
    text(tabs[0]).fill("one two three")
    expect_text(tabs, "one two three")

    for tab, letter in zip(tabs, "abc", strict=True):  # all of them go on by themselves
        text(tab).evaluate(
            """(node, letter) => {
              let left = 30;
              const timer = setInterval(() => {
                const at = Math.floor(Math.random() * (node.value.length + 1));
                const gone = Math.random() < 0.2 ? 2 : 0;
                node.setRangeText(letter, at, Math.min(at + gone, node.value.length), "end");
                node.dispatchEvent(new Event("input"));
                if (--left === 0) { clearInterval(timer); node.dataset.done = "yes"; }
              }, 5);
            }""",
            letter,
        )

    for tab in tabs:
        expect(text(tab)).to_have_attribute("data-done", "yes")
    # What one tab has and another has not is in its text: where all are alike, all is told.
    wait_until(tabs[0], lambda: len({seen(tab) for tab in tabs}) == 1)
    result, revision = seen(tabs[0])
    assert set("abc") < set(result)
    assert revision != "1"
    tabs[1].reload()
    expect_text([tabs[1]], result)


def test_the_cursors_of_others_are_shown_and_move_with_the_text(open_tab: OpenTab) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    text(ada).fill("one\ntwo\nthree")
    expect_text([bob], "one\ntwo\nthree")

    put_cursor(bob, 5)
    expect(also_here(ada)).to_have_text("Bobline 2")
    text(ada).evaluate("node => node.setSelectionRange(0, 0)")
    text(ada).press_sequentially("zero\n")

    expect(also_here(ada)).to_have_text("Bobline 3")
    expect(ada.locator("#mirror span")).to_have_attribute("data-name", "Bob")
    assert ada.locator("#mirror").evaluate("node => node.childNodes[0].data") == "zero\none\nt"
    expect_text([bob], "zero\none\ntwo\nthree")
    assert text(bob).evaluate("node => node.selectionEnd") == 10
    expect(also_here(bob)).to_have_text("Adaline 2")
    bob.get_by_label("Your name").fill("<b>Bob</b>")
    bob.get_by_label("Your name").blur()
    expect(also_here(ada)).to_contain_text("<b>Bob</b>")
    bob.close()
    expect(also_here(ada)).to_have_count(0)


def test_documents_are_apart_and_have_links(open_tab: OpenTab, url: str) -> None:
    ada, bob = open_tab("Ada"), open_tab("Bob")
    text(ada).fill("of the meadow")
    expect_text([bob], "of the meadow")

    ada.get_by_label("Document").fill("High Fell")
    ada.get_by_label("Document").blur()
    expect_text([ada], "")
    text(ada).fill("of the fell")

    assert ada.url == f"{url}/#High%20Fell"
    bob.goto(ada.url)
    expect_text([bob], "of the fell")
    ada.go_back()
    expect_text([ada], "of the meadow")


def test_who_was_away_keeps_what_was_typed_and_gets_what_others_have(
    browser: Browser, url: str
) -> None:
    # A browser logs each connection that fails.
    with line_to(url) as line, watched(browser) as (open_one, _):
        ada, bob = open_one(line.url, "Ada"), open_one(url, "Bob")
        text(ada).fill("one three")
        expect_text([bob], "one three")

        with line.cut():
            expect(ada.locator("#state")).to_contain_text(re.compile("trying again|connecting"))
            put_cursor(ada, 4)
            text(ada).press_sequentially("two ")
            put_cursor(bob, 9)
            text(bob).press_sequentially(" four")
            expect_text([ada], "one two three")
            expect_text([bob], "one three four")

        expect(text(ada)).to_have_value("one two three four")
        expect_text([bob], "one two three four")


def test_what_the_room_does_not_take_is_taken_back_and_said(open_tab: OpenTab) -> None:
    ada = open_tab("Ada")
    text(ada).fill("short")

    text(ada).evaluate("node => node.removeAttribute('maxlength')")
    text(ada).fill("x" * 20_001)

    expect(ada.get_by_role("alert")).to_contain_text("20000 characters at most")
    expect_text([ada], "short")


def test_the_browser_and_the_server_change_texts_alike(open_tab: OpenTab) -> None:
    cases = [random_case(random.Random(seed)) for seed in range(500)]
    expected = [
        [
            apply(text, a),
            transform(a, b, first=True),
            transform(a, b, first=False),
            moved(at, a),
            apply(text, a),
        ]
        for text, a, b, at in cases
    ]

    found = open_tab("Ada").evaluate(
        """async (cases) => {
          const { apply, difference, moved, transform } = await import("./text.js");
          return cases.map(([text, a, b, at]) => {
            const after = apply(text, a);
            const seen = apply(text, difference(text, after));
            return [after, transform(a, b, true), transform(a, b, false), moved(at, a), seen];
          });
        }""",
        cases,
    )

    assert found == expected


def random_case(dice: random.Random) -> tuple[str, Change, Change, int]:
    """Give a text, two changes of it, and a place in it."""
    text = "".join(dice.choices("ab\n😀é", k=dice.randrange(12)))

    def change() -> Change:
        pieces: list[int | str] = []
        rest = len(text)
        for _ in range(dice.randrange(6)):
            choices: list[int | str] = [dice.randint(-rest, rest), "x", "y😀"]
            piece = dice.choice(choices)
            rest -= abs(piece) if isinstance(piece, int) else 0
            pieces.append(piece)
        return tidy(pieces)

    return text, change(), change(), dice.randint(0, len(text))


@pytest.mark.parametrize("url", ["trio"], indirect=True)  # the look is the same on both
def test_the_page_fits_its_window(open_tab: OpenTab) -> None:
    ada, bob, cyd = open_tab("Ada"), open_tab("Bob"), open_tab("Countess Cyd")
    lines = [
        "Gather, 12 July",
        "",
        "* the lower field: forty-one ewes, one of them lame",
        "* the gate at the beck does not shut; " + "somebody has to look at it, " * 3,
        "* shear on Monday, if it stays dry",
        *[f"  {number}. pen" for number in range(1, 25)],
    ]
    text(ada).fill("\n".join(lines))
    expect_text([bob, cyd], "\n".join(lines))
    put_cursor(bob, 40)
    put_cursor(cyd, 120)
    expect(also_here(ada)).to_have_count(2)
    expect(also_here(ada).last).to_contain_text("line 4")

    for look, width, height in in_all_looks(ada):
        ada.locator("#paper").evaluate("node => node.scrollTo(0, 0)")
        ada.screenshot(path=screenshot_path(f"editor-{look}"))

        assert ada.evaluate("document.documentElement.scrollWidth") <= width
        assert ada.evaluate("document.documentElement.scrollHeight") <= height
