"""Responses, and errors that are answered as a status."""

import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from herdwick.websocket import http
from herdwick.websocket.asgi_types import ASGIEvent
from herdwick.websocket.headers import InvalidHeader
from herdwick.websocket.http import HTTPError, Response, to_response
from tests.websocket.exchange import Client, answer_of, ask, client, http_scope


class Numbers:
    """A body that tells whether it was closed."""

    def __init__(self, count: int = 3, waits: bool = False, fails: bool = False) -> None:
        self.count = count
        self.waits = waits
        self.fails = fails
        self.given = 0
        self.is_closed = False

    def __aiter__(self) -> "Numbers":
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if self.given == self.count:
            if self.waits:
                await anyio.sleep_forever()
            if self.fails:
                raise LookupError("gone")
            raise StopAsyncIteration
        self.given += 1
        return b"%d" % self.given

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.is_closed = True


async def test_a_response_is_sent_with_its_length() -> None:
    answer = await ask(http.text("é"))

    assert (answer.status, answer.body, answer.is_complete) == (200, "é".encode(), True)
    assert answer.headers == {"content-type": "text/plain; charset=utf-8", "content-length": "2"}


@pytest.mark.parametrize(
    ("response", "status", "content_type", "body"),
    [
        (http.json({"a": 1}, 202), 202, "application/json", b'{"a":1}'),
        (http.html("<p>", 404), 404, "text/html; charset=utf-8", b"<p>"),
        (http.ok({"a": 1}), 200, "application/json", b'{"a":1}'),
        (http.accepted(), 202, None, b""),
        (http.bad_request("no"), 400, "text/plain; charset=utf-8", b"no"),
        (http.unauthorized(), 401, None, b""),
        (http.forbidden(), 403, None, b""),
        (http.not_found([]), 404, "application/json", b"[]"),
    ],
)
async def test_the_usual_answers(
    response: Response, status: int, content_type: str | None, body: bytes
) -> None:
    answer = await ask(response)

    assert (answer.status, answer.headers.get("content-type"), answer.body) == (
        status,
        content_type,
        body,
    )


async def test_no_content_has_no_length_either() -> None:
    answer = await ask(http.no_content())

    assert (answer.status, answer.headers, answer.body) == (204, {}, b"")


async def test_created_says_where() -> None:
    answer = await ask(http.created({"id": 1}, "/notes/ü"))

    assert (answer.status, answer.headers["location"]) == (201, "/notes/%C3%BC")
    assert (await ask(http.created())).headers == {"content-length": "0"}


async def test_a_length_that_was_set_by_hand_does_not_lie() -> None:
    answer = await ask(Response(200, {"Content-Length": "99"}, b"abc"))

    assert answer.headers == {"content-length": "3"}


async def test_head_is_answered_without_the_body() -> None:
    answer = await ask(http.text("abc"), http_scope(method="HEAD"))

    assert (answer.headers["content-length"], answer.body, answer.is_complete) == ("3", b"", True)


async def test_head_of_a_stream_closes_it_unread() -> None:
    body = Numbers()

    answer = await ask(http.stream(body), http_scope(method="HEAD"))

    assert (answer.body, body.given, body.is_closed) == (b"", 0, True)


async def test_a_stream_is_sent_piece_by_piece() -> None:
    body, peer = Numbers(), client()

    await http.stream(body, "text/plain", 201)(http_scope(), peer.receive, peer.send)

    assert [event.get("body") for event in peer.sent] == [None, b"1", b"2", b"3", b""]
    assert answer_of(peer).is_complete
    assert body.is_closed


async def test_an_empty_piece_is_not_sent() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b""
        yield b"1"

    peer = client()

    await http.stream(body())(http_scope(), peer.receive, peer.send)

    assert [event.get("body") for event in peer.sent] == [None, b"1", b""]


async def test_a_stream_that_fails_raises_its_own_error() -> None:
    body, peer = Numbers(fails=True), client()

    with pytest.raises(LookupError, match="gone"):
        await http.stream(body)(http_scope(), peer.receive, peer.send)

    assert not answer_of(peer).is_complete
    assert body.is_closed


async def test_a_stream_that_waits_ends_when_the_client_leaves() -> None:
    body, peer = Numbers(waits=True), client(b"rest of the request", leaves=True)

    await http.stream(body)(http_scope(), peer.receive, peer.send)

    assert body.is_closed


async def test_a_stream_ends_when_listening_to_the_client_fails() -> None:
    async def receive() -> ASGIEvent:
        raise anyio.ClosedResourceError

    body, peer = Numbers(waits=True), client()

    await http.stream(body)(http_scope(), receive, peer.send)

    assert body.is_closed


async def test_a_server_that_repeats_the_end_of_the_request_does_no_harm() -> None:
    async def receive() -> ASGIEvent:
        return {"type": "http.request", "body": b"", "more_body": False}

    peer = client()

    await http.stream(Numbers())(http_scope(), receive, peer.send)

    assert answer_of(peer).body == b"123"


@pytest.mark.parametrize("error", [OSError, anyio.BrokenResourceError, anyio.ClosedResourceError])
async def test_a_client_that_is_gone_is_no_error(error: type[Exception]) -> None:
    async def fail(event: ASGIEvent) -> None:
        raise error

    body = Numbers(waits=True)
    peer = Client(on_send=fail)

    await http.stream(body)(http_scope(), peer.receive, peer.send)
    await http.text("x")(http_scope(), peer.receive, peer.send)

    assert body.is_closed


async def test_an_os_error_of_the_body_is_an_error() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"1"
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await ask(http.stream(body()))


async def test_a_cancelled_answer_closes_its_body() -> None:
    body, peer = Numbers(waits=True), client()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.stream(body), http_scope(), peer.receive, peer.send)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert body.is_closed


async def test_a_body_can_be_read_whole() -> None:
    body = Numbers()
    response = http.stream(body)

    assert await response.read() == b"123"
    assert await response.read() == b"123"
    assert body.is_closed


@pytest.mark.parametrize("location", ["/a\r\nset-cookie: b=c", "/a\nb", "/a\0"])
def test_a_redirect_cannot_break_out_of_its_header(location: str) -> None:
    with pytest.raises(InvalidHeader, match=re.escape("'location' cannot hold the control")):
        http.redirect(location)


def test_a_redirect_encodes_what_a_url_cannot_hold() -> None:
    location = http.redirect("/a b/é?q=%20&r=1#x", 303).headers["location"]

    assert location == "/a%20b/%C3%A9?q=%20&r=1#x"


def test_a_header_that_breaks_out_is_refused() -> None:
    with pytest.raises(InvalidHeader):
        Response(200, {"x": "a\r\nb: c"})


def test_a_cookie_is_safe_unless_said_otherwise() -> None:
    response = Response()

    response.set_cookie("session", "abc", max_age=60)
    response.set_cookie("b", "", domain="x.example", secure=False, http_only=False)

    assert response.headers.get_all("set-cookie") == [
        "session=abc; Path=/; SameSite=Lax; Max-Age=60; Secure; HttpOnly",
        "b=; Path=/; SameSite=Lax; Domain=x.example",
    ]


@pytest.mark.parametrize(
    "cookie",
    [
        {"name": "a=b", "value": ""},
        {"name": "a", "value": "x; Domain=evil"},
        {"name": "a", "value": "x\r\ny"},
        {"name": "a", "value": "x", "path": "/; Domain=evil"},
        {"name": "a", "value": "x", "domain": "x;y"},
    ],
)
def test_a_cookie_cannot_break_out(cookie: dict[str, Any]) -> None:
    with pytest.raises(InvalidHeader):
        Response().set_cookie(**cookie)


async def test_an_error_is_answered_with_its_detail_and_headers() -> None:
    error = HTTPError(405, "no", headers={"Allow": "GET", "content-type": "text/x"})

    answer = await ask(error.response())

    assert (answer.status, answer.body) == (405, b"no")
    assert (answer.headers["allow"], answer.headers["content-type"]) == ("GET", "text/x")


async def test_an_error_without_a_detail_says_what_the_status_means() -> None:
    assert (await ask(HTTPError(404).response())).body == b"Not Found"
    assert (await ask(HTTPError(599).response())).body == b"Unknown"
    assert str(HTTPError(404, "no such room")) == "404 Not Found: no such room"


@pytest.mark.parametrize("status", [200, 99, 600])
def test_an_error_needs_the_status_of_an_error(status: int) -> None:
    with pytest.raises(ValueError, match="use one from 300 to 599"):
        HTTPError(status)


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        (None, 204, b""),
        ("hi", 200, b"hi"),
        (b"hi", 200, b"hi"),
        ({"a": 1}, 200, b'{"a":1}'),
        ([], 200, b"[]"),
        (http.text("x", 201), 201, b"x"),
    ],
)
def test_what_a_handler_returns_becomes_a_response(value: object, status: int, body: bytes) -> None:
    response = to_response(value)

    assert (response.status, response.body) == (status, body)
