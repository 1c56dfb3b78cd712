"""Plain HTTP, over real sockets and on both event loops."""

import anyio
import pytest

from herdwick.server import serve
from herdwick.server.exchange import ClientGone
from herdwick.websocket import ASGIApp, ASGIReceive, ASGISend, Limits, Scope
from tests.server.apps import FakeApp, hello
from tests.server.wire import Wire, connected

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def respond(send: ASGISend, *parts: bytes, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


# Requests and answers.


async def test_a_connection_takes_one_request_after_another() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        for body in (b"one", b"two"):
            await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n" + body)
            answer = await wire.answer()
            assert (answer.status, answer.body) == (200, b"POST " + body)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        await wire.send(GET + GET.replace(b"GET", b"PUT"))

        assert (await wire.answer()).body == b"GET "
        assert (await wire.answer()).body == b"PUT "


async def test_head_has_the_length_and_no_body() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        await wire.send(GET.replace(b"GET", b"HEAD") + GET)

        assert (await wire.answer(head_only=True)).headers["content-length"] == "5"
        assert (await wire.answer()).body == b"GET "


async def test_a_streamed_answer_is_chunked() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await respond(send, b"one", b"two")

    async with serve(FakeApp(http=app)) as url, connected(url) as wire:
        await wire.send(GET)
        answer = await wire.answer()

        assert answer.headers["transfer-encoding"] == "chunked"
        expected = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert await wire.exactly(len(expected)) == expected


async def test_a_streamed_body_arrives_part_by_part() -> None:
    got = anyio.Event()
    parts: list[bytes] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        more = True
        while more:
            event = await receive()
            parts.append(event["body"])
            more = event["more_body"]
            got.set()
        await respond(send)

    async with serve(FakeApp(http=app)) as url, connected(url) as wire:
        await wire.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
        )
        await got.wait()
        assert parts == [b"one"]
        await wire.send(b"3\r\ntwo\r\n0\r\n\r\n")

        assert (await wire.answer()).status == 200
    assert parts == [b"one", b"two", b""]


async def test_a_client_that_waits_for_100_gets_it_once_the_body_is_read() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        await wire.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await wire.answer()).status == 100
        await wire.send(b"hi")

        assert (await wire.answer()).body == b"POST hi"


async def test_a_body_that_nobody_reads_ends_the_connection_after_the_answer() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await respond(send, status=413)

    async with serve(FakeApp(http=app)) as url, connected(url) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        await wire.send(bytes(100_000))

        assert (await wire.answer()).status == 413
        await wire.stream.send_eof()
        await wire.rest()


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        await wire.send(b"GET / HTTP/1.0\r\n\r\n")

        assert (await wire.rest()).endswith(b"\r\n\r\nGET ")


# What is refused.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad header: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: \x00\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 100 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: %b\r\n" % (b"a" * 1000) * 17 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"a" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
async def test_a_request_that_is_none_is_refused(data: bytes, status: int) -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        await wire.send(data)

        assert (await wire.answer()).status == status
        assert await wire.rest() == b""


async def test_a_head_that_dribbles_is_cut_at_its_deadline() -> None:
    async with serve(FakeApp(limits=Limits(head_timeout=0.1))) as url, connected(url) as wire:
        await wire.send(b"GET / HT")

        assert await wire.rest() == b""


async def test_an_idle_connection_is_closed_at_the_same_deadline() -> None:
    async with serve(FakeApp(limits=Limits(head_timeout=0.5))) as url, connected(url) as wire:
        await wire.send(GET)
        assert (await wire.answer()).status == 200

        assert await wire.rest() == b""


# What applications do wrong.


async def fails(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    raise ValueError("a secret")


class OwnBaseException(BaseException):
    pass


def raising(error: BaseException) -> ASGIApp:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        raise error

    return app


async def answers_nothing(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    return


async def injects(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    headers = [(b"x", b"a\r\nb: c")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def only_starts(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError("a secret")


async def starts_with_the_body(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    "app",
    [
        fails,
        raising(SystemExit(3)),
        raising(KeyboardInterrupt()),
        raising(GeneratorExit()),
        raising(OwnBaseException()),
        raising(BaseExceptionGroup("exits", [SystemExit(3), KeyboardInterrupt()])),
        raising(BaseExceptionGroup("exits", [BaseExceptionGroup("inner", [GeneratorExit()])])),
        answers_nothing,
        injects,
        only_starts,
        starts_with_the_body,
    ],
)
async def test_an_application_that_fails_before_its_answer_is_500_without_a_word(
    app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(FakeApp(http=app)) as url:
        async with connected(url) as wire:
            await wire.send(GET)
            answer = await wire.answer()
        async with connected(url) as wire:
            await wire.send(GET)
            await wire.answer()

    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert len(caplog.records) == 2


async def test_an_application_that_fails_within_its_answer_is_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("a bug")

    async with serve(FakeApp(http=app)) as url, connected(url) as wire:
        await wire.send(GET)
        rest = await wire.rest()

    assert not rest.endswith(b"0\r\n\r\n")
    assert len(caplog.records) == 1


# Clients that leave.


async def test_a_client_that_leaves_is_a_disconnect() -> None:
    started, left = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        assert (await receive())["more_body"] is False
        started.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with serve(FakeApp(http=app)) as url:
        async with connected(url) as wire:
            await wire.send(GET)
            await started.wait()

        await left.wait()


async def test_a_client_that_leaves_in_its_body_is_a_disconnect() -> None:
    started, left = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        started.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with serve(FakeApp(http=app)) as url:
        async with connected(url) as wire:
            await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            await started.wait()

        await left.wait()


async def test_a_client_that_does_not_read_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    gone = anyio.Event()

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        try:
            await respond(send, *[bytes(1 << 20)] * 64)
        except ClientGone:
            gone.set()
            raise

    limits = Limits(send_timeout=0.1)
    async with serve(FakeApp(http=app, limits=limits)) as url, connected(url) as wire:
        await wire.send(GET)
        await gone.wait()

    assert caplog.records == []


async def test_a_disconnect_comes_after_the_answer_too() -> None:
    ends: list[object] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await hello(scope, receive, send)
        ends.append((await receive())["type"])

    async with serve(FakeApp(http=app)) as url, connected(url) as wire:
        await exchange(wire)
        await exchange(wire)

    assert ends[0] == "http.disconnect"


async def exchange(wire: Wire) -> None:
    await wire.send(GET)
    assert (await wire.answer()).status == 200
