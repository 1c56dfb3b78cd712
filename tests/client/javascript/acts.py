"""Playing a scene of scenes.mjs, in node and in a real browser."""

import functools
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TypeAlias

from playwright.sync_api import Browser

from tests.support.browser import open_browser
from tests.support.programs import find_node

ROOT = Path(__file__).parents[3]
SCENES = Path("tests/client/javascript")
FLAG = "--experimental-websocket"

Act: TypeAlias = Callable[[str, str], None]
"""Play the scene of that name against the server at that URL; what fails there, fails here."""


@functools.cache
def node() -> list[str | Path]:
    """Give the command that runs node with a global WebSocket, where it has one."""
    program = find_node()
    question = (
        f"typeof WebSocket == 'undefined' && process.allowedNodeEnvironmentFlags.has('{FLAG}')"
    )
    told = subprocess.run([program, "-p", question], check=True, capture_output=True, text=True)
    return [program, *([FLAG, "--no-warnings"] if told.stdout.strip() == "true" else [])]


def act_in_node(scene: str, url: str) -> None:
    command = [*node(), ROOT / SCENES / "node.mjs", scene, url]
    told = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert told.returncode == 0, told.stdout + told.stderr


def act_in_browser(browser: Browser, files: str, scene: str, url: str) -> None:
    complaints: list[str] = []
    with browser.new_page() as page:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{files}/{SCENES}/page.html")
        page.evaluate("([scene, url]) => scenes[scene](url)", [scene, url])
    assert complaints == []


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def browser_at_files() -> Generator[Act]:
    """Give what plays scenes in a browser, with the files of this repository from a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(ROOT))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with open_browser() as browser:
                files = f"http://127.0.0.1:{server.server_port}"
                yield partial(act_in_browser, browser, files)
        finally:
            server.shutdown()
            thread.join()
