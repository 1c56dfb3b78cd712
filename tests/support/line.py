"""A line to a server that a test can cut: what a lost connection is to a real browser."""

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import cast

CHUNK = 64 * 1024


class Line(ThreadingTCPServer):
    """Passes bytes on to a server, both ways, unless it is cut."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
        self.target = (host, int(port))
        self.is_cut = False
        self.ends: set[socket.socket] = set()
        """Both ends of what is passing now."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def cut(self) -> Generator[None]:
        """Lose all connections without a word, and let none through for the time of a block."""
        self.is_cut = True
        self.drop()
        yield
        self.is_cut = False

    def drop(self) -> None:
        for end in list(self.ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Passage(BaseRequestHandler):
    def handle(self) -> None:
        line = cast(Line, self.server)
        if line.is_cut:
            return
        near = cast(socket.socket, self.request)
        with socket.create_connection(line.target) as far:
            ends = {near, far}
            line.ends |= ends
            back = Thread(target=pass_on, args=(far, near))
            back.start()
            pass_on(near, far)
            back.join()
            line.ends -= ends


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(url: str) -> Generator[Line]:
    """Give a line to a server, for the time of a block."""
    with Line(url) as line:
        thread = Thread(target=line.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield line
        finally:
            line.shutdown()
            line.drop()
            thread.join()
