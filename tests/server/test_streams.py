"""One WebSocket over a real socket: what the driver adds to the connection without I/O."""

from contextlib import AsyncExitStack

import anyio
import pytest

from herdwick.server import serve
from herdwick.websocket import InvalidHeader, Limits
from tests.server.apps import Conversation, FakeApp, accept
from tests.server.wire import close, connected, frame, text, upgrade

MIB = 1 << 20


def leave_open(conversation: Conversation) -> None:
    """Answer nothing yet."""


# The handshake.


async def test_the_scope_tells_the_handshake_and_both_ends() -> None:
    app = FakeApp(accept)
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade("/a%20b?c=d", "X-Token: 7", "Sec-WebSocket-Protocol: chat")
        scope = (await app.conversation()).scope

    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=d")
    assert (b"x-token", b"7") in scope["headers"]
    assert scope["subprotocols"] == ["chat"]
    assert scope["client"][0] == "127.0.0.1"
    assert url == "http://{}:{}".format(*scope["server"])


async def test_headers_and_subprotocol_of_the_acceptance_arrive() -> None:
    def choose(conversation: Conversation) -> None:
        conversation.transport.accept("chat", [(b"x-room", b"7")])

    async with serve(FakeApp(choose)) as url, connected(url) as wire:
        answer = await wire.upgrade("/", "Sec-WebSocket-Protocol: chat")

    assert answer.status == 101
    assert answer.headers["sec-websocket-protocol"] == "chat"
    assert answer.headers["x-room"] == "7"


async def test_a_rejection_is_an_http_answer_and_the_end() -> None:
    def reject(conversation: Conversation) -> None:
        conversation.transport.reject(401, [(b"www-authenticate", b"Bearer")], b"who?")

    app = FakeApp(reject)
    async with serve(app) as url, connected(url) as wire:
        answer = await wire.upgrade()
        assert await wire.rest() == b""
        await wire.stream.aclose()
        conversation = await app.conversation()
        await conversation.ended.wait()

    assert (answer.status, answer.body) == (401, b"who?")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert conversation.ends == [(1006, "")]


@pytest.mark.parametrize(("code", "status"), [(1000, 403), (1011, 500)])
async def test_a_close_before_the_acceptance_is_a_rejection(code: int, status: int) -> None:
    app = FakeApp(lambda conversation: conversation.transport.close(code))
    async with serve(app) as url, connected(url) as wire:
        assert (await wire.upgrade()).status == status


async def test_a_header_that_cannot_be_sent_is_the_caller_s_error() -> None:
    app = FakeApp(leave_open)
    async with serve(app) as url, connected(url) as wire:
        await wire.send(upgrade())
        transport = (await app.conversation()).transport

        with pytest.raises(InvalidHeader):
            transport.accept(None, [(b"x", b"a\r\nb: c")])

        transport.reject(500, [], b"")
        assert (await wire.answer()).status == 500


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (upgrade().replace(b": 13", b": 8"), 426),
        (upgrade().replace(b"GET", b"POST"), 400),
        (upgrade("/", "Content-Length: 3") + b"abc", 400),
        (upgrade("/%ff"), 400),
    ],
)
async def test_an_unsound_handshake_never_reaches_the_application(data: bytes, status: int) -> None:
    app = FakeApp()
    async with serve(app) as url, connected(url) as wire:
        await wire.send(data)

        assert (await wire.answer()).status == status
        assert await wire.rest() == b""
    assert app.conversations == []


async def test_messages_that_come_with_the_handshake_are_delivered() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        answer = await wire.upgrade(early=text("early") + text("bird")[:4])
        await wire.send(text("bird")[4:])

        assert answer.status == 101
        assert await wire.frame() == (1, b"early")
        assert await wire.frame() == (1, b"bird")


async def test_messages_that_come_before_a_late_acceptance_are_delivered() -> None:
    app = FakeApp(leave_open)
    async with serve(app) as url, connected(url) as wire:
        await wire.send(upgrade() + text("one"))
        await wire.send(text("two"))
        conversation = await app.conversation()
        await anyio.wait_all_tasks_blocked()
        assert conversation.messages == []

        conversation.transport.accept(None, [])

        assert await conversation.wait_for(2) == ["one", "two"]


async def test_a_client_that_leaves_before_the_answer_is_1006() -> None:
    app = FakeApp(leave_open)
    async with serve(app) as url:
        async with connected(url) as wire:
            await wire.send(upgrade())
            conversation = await app.conversation()

        await conversation.ended.wait()
    assert conversation.ends == [(1006, "")]


async def test_a_websocket_may_follow_a_request_on_one_connection() -> None:
    async with serve(FakeApp()) as url, connected(url) as wire:
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await wire.answer()).status == 200

        await wire.upgrade(early=text("hello"))

        assert await wire.frame() == (1, b"hello")


# Ends.


async def test_the_client_s_close_is_told_after_its_messages() -> None:
    app = FakeApp()
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        await wire.send(text("last") + close(4000, "bye"))

        assert await wire.frame() == (1, b"last")
        assert await wire.close_frame() == (4000, "bye")
        assert await wire.rest() == b""
    conversation = app.conversations[0]
    assert (conversation.messages, conversation.ends) == (["last"], [(4000, "bye")])


async def test_our_close_goes_out_after_what_was_sent() -> None:
    app = FakeApp(accept)
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        conversation = await app.conversation()
        conversation.transport.offer("last")
        conversation.transport.close(4000, "bye")

        assert await wire.frame() == (1, b"last")
        assert await wire.close_frame() == (4000, "bye")
        await wire.send(close(4000))
        assert await wire.rest() == b""
        await conversation.ended.wait()
    assert conversation.ends == [(4000, "")]


async def test_a_lost_connection_is_1006() -> None:
    app = FakeApp()
    async with serve(app) as url:
        async with connected(url) as wire:
            await wire.upgrade()
            await wire.send(text("a") + text("torn")[:3])
            conversation = await app.conversation()
            await conversation.wait_for(1)

        await conversation.ended.wait()
    assert conversation.ends == [(1006, "")]


async def test_an_abort_drops_the_connection_without_a_close_frame() -> None:
    app = FakeApp(accept)
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        conversation = await app.conversation()

        conversation.transport.abort()

        assert await wire.rest() == b""
        await conversation.ended.wait()
    assert conversation.ends == [(1006, "")]


async def test_nothing_raises_once_the_peer_is_gone() -> None:
    app = FakeApp(accept)
    async with serve(app) as url:
        async with connected(url) as wire:
            await wire.upgrade()
        conversation = await app.conversation()
        await conversation.ended.wait()
        transport = conversation.transport

        assert not transport.offer("gone")
        await transport.drained()
        transport.pause_reading()
        transport.resume_reading()
        transport.accept(None, [])
        transport.reject(403, [], b"")
        transport.close(1000)
        transport.abort()

    assert conversation.ends == [(1006, "")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (b"\x81\x00", 1002),
        (frame(2, bytes(2000)), 1009),
        (frame(1, fin=False) + frame(0, fin=False) * 1024, 1008),
    ],
)
async def test_broken_rules_are_told_to_both_sides(data: bytes, code: int) -> None:
    app = FakeApp(limits=Limits(message_bytes=1000))
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        await wire.send(data)

        assert (await wire.close_frame())[0] == code
        assert await wire.rest() == b""
        await app.conversations[0].ended.wait()
    assert [end[0] for end in app.conversations[0].ends] == [code]


async def test_a_refused_flood_can_still_read_why() -> None:
    async with serve(FakeApp(limits=Limits(message_bytes=1000))) as url, connected(url) as wire:
        await wire.upgrade()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wire.send, frame(2, bytes(16 * MIB)))

            assert (await wire.close_frame())[0] == 1009


async def test_a_dead_peer_is_pinged_and_closed_with_1011() -> None:
    limits = Limits(ping_interval=0.05, ping_timeout=0.05)
    async with serve(FakeApp(limits=limits)) as url, connected(url) as wire:
        await wire.upgrade()

        assert await wire.frame() == (9, b"")
        assert (await wire.close_frame())[0] == 1011


async def test_a_peer_that_does_not_answer_the_close_is_dropped() -> None:
    app = FakeApp(accept, limits=Limits(close_timeout=0.05))
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        conversation = await app.conversation()

        conversation.transport.close(1000)

        assert await wire.close_frame() == (1000, "")
        assert await wire.rest() == b""
        await conversation.ended.wait()
    assert conversation.ends == [(1006, "")]


# Back-pressure.


async def test_a_sender_waits_for_a_peer_that_does_not_read() -> None:
    app = FakeApp(accept)
    drained = anyio.Event()

    async def wait_drained(conversation: Conversation) -> None:
        await conversation.transport.drained()
        drained.set()

    async with serve(app) as url, connected(url) as wire, anyio.create_task_group() as tasks:
        await wire.upgrade()
        conversation = await app.conversation()
        over = [conversation.transport.offer(bytes(MIB)) for _ in range(32)]
        tasks.start_soon(wait_drained, conversation)
        await anyio.wait_all_tasks_blocked()
        assert over == [True] * 32
        assert not drained.is_set()

        for _ in range(32):
            assert len((await wire.frame())[1]) == MIB
        await drained.wait()


async def test_a_sender_stops_waiting_when_the_connection_is_over() -> None:
    app = FakeApp(accept)
    async with AsyncExitStack() as clients, serve(app) as url:
        wire = await clients.enter_async_context(connected(url))
        await wire.upgrade()
        conversation = await app.conversation()
        for _ in range(32):
            conversation.transport.offer(bytes(MIB))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(conversation.transport.drained)
            await anyio.wait_all_tasks_blocked()
            conversation.transport.abort()


async def test_a_pause_slows_the_peer_down_until_reading_goes_on() -> None:
    app = FakeApp(accept)
    sent = anyio.Event()

    async def flood() -> None:
        for _ in range(64):
            await wire.send(frame(2, bytes(MIB)))
        sent.set()

    async with serve(app) as url, connected(url) as wire, anyio.create_task_group() as tasks:
        await wire.upgrade()
        conversation = await app.conversation()
        conversation.transport.pause_reading()
        tasks.start_soon(flood)
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        assert conversation.messages == []

        conversation.transport.resume_reading()

        await conversation.wait_for(64)
        await sent.wait()


async def test_a_pause_from_within_a_message_delivers_nothing_more() -> None:
    app = FakeApp(accept)
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        conversation = await app.conversation()
        conversation.on_message = lambda it, _: it.transport.pause_reading()
        await wire.send(text("one") + text("two") + text("three"))

        for count in (1, 2, 3):
            await conversation.wait_for(count)
            await anyio.wait_all_tasks_blocked()
            assert len(conversation.messages) == count
            conversation.transport.resume_reading()


async def test_a_paused_peer_is_not_taken_for_dead() -> None:
    app = FakeApp(accept, limits=Limits(ping_interval=0.1, ping_timeout=0.1))
    async with serve(app) as url, connected(url) as wire:
        await wire.upgrade()
        conversation = await app.conversation()
        conversation.transport.pause_reading()
        await wire.send(text("hello"))

        with anyio.move_on_after(0.5):
            await conversation.ended.wait()
        conversation.transport.resume_reading()

        assert await conversation.wait_for(1) == ["hello"]
        assert conversation.ends == []
