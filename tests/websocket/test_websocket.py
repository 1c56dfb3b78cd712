"""The WebSocket, as its handler sees it; the ends of connections are in tests/acceptance."""

import weakref
from collections.abc import Awaitable, Callable

import anyio
import pytest

from herdwick import (
    Application,
    Close,
    ConcurrentReceive,
    InvalidMessage,
    InvalidWebSocketStateError,
    Limits,
    Message,
    MessageMode,
    NotHandled,
    Send,
    WebSocket,
    WebSocketDisconnectError,
    WebSocketState,
)
from herdwick.testing import TestClient

Handler = Callable[[WebSocket], Awaitable[None]]


class Move(Message):
    dx: int
    dy: int = 0


class Say(Message):
    text: str


def serving(handler: Handler) -> TestClient:
    app = Application()

    @app.ws("/ws/{room}")
    async def run(websocket: WebSocket) -> None:
        await handler(websocket)

    return TestClient(app)


async def test_it_shows_the_handshake() -> None:
    seen: list[object] = []

    async def handler(websocket: WebSocket) -> None:
        seen.extend(
            [
                websocket.path,
                websocket.route_values["room"],
                websocket.query["a"],
                websocket.headers["X-Test"],
                websocket.cookies["c"],
                websocket.client_ip,
                websocket.subprotocols,
                websocket.identity,
            ]
        )
        await websocket.accept(subprotocol="v2", headers={"x-answer": "yes"})

    headers = {"x-test": "header", "cookie": "c=cookie"}
    async with (
        serving(handler) as client,
        client.websocket_connect("/ws/caf%C3%A9?a=b%20c", headers, ["v1", "v2"]) as socket,
    ):
        assert socket.subprotocol == "v2"
        assert socket.headers["x-answer"] == "yes"

    room = "café"
    assert seen == [f"/ws/{room}", room, "b c", "header", "cookie", "127.0.0.1", ["v1", "v2"], None]


async def test_a_subprotocol_that_was_not_offered_is_refused() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="v3")

    with pytest.raises(ValueError, match="did not offer"):
        async with (
            serving(handler) as client,
            client.websocket_connect("/ws/1", subprotocols=["v1"]),
        ):
            pass


async def test_a_header_that_breaks_out_of_its_line_is_refused() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept(headers={"x-name": "ann\r\nset-cookie: stolen=1"})

    with pytest.raises(ValueError, match="line break"):
        async with serving(handler) as client, client.websocket_connect("/ws/1"):
            pass


async def test_accept_takes_effect_before_it_suspends() -> None:
    states: list[WebSocketState] = []

    async def handler(websocket: WebSocket) -> None:
        accepting = websocket.accept()
        with pytest.raises(StopIteration):
            while True:
                accepting.__await__().send(None)
                states.append(websocket.state)
                break
            raise StopIteration
        accepting.close()

    async with serving(handler) as client, client.websocket_connect("/ws/1"):
        pass

    assert states == [WebSocketState.CONNECTED]


async def test_sends_in_a_row_let_the_others_run() -> None:
    ran: list[int] = []

    async def other(sent: list[int]) -> None:
        ran.append(len(sent))

    async def handler(websocket: WebSocket) -> None:
        sent: list[int] = []
        await websocket.accept()
        websocket.start_soon(other, sent)
        for number in range(200):
            await websocket.send_text("x")
            sent.append(number)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.wait_handler()

    assert ran[0] < 128


@pytest.mark.parametrize("mode", list(MessageMode))
async def test_json_travels_in_either_mode(mode: MessageMode) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await websocket.receive_json(mode), mode)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        if mode is MessageMode.TEXT:
            await socket.send_text('{"a": [1, null]}')
            assert await socket.receive_text() == '{"a":[1,null]}'
        else:
            await socket.send_bytes(b'{"a": [1, null]}')
            assert await socket.receive_bytes() == b'{"a":[1,null]}'


@pytest.mark.parametrize("dumped", ["<x>", b"<x>"])
@pytest.mark.parametrize("mode", list(MessageMode))
async def test_own_dumps_may_give_text_or_bytes(dumped: str | bytes, mode: MessageMode) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(object(), mode, dumps=lambda _: dumped)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        assert await socket.receive() == ("<x>" if mode is MessageMode.TEXT else b"<x>")


async def test_json_that_does_not_decode_is_a_value_error_and_does_no_harm() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(ValueError, match="decode"):
            await websocket.receive_json()
        await websocket.send_json(await websocket.receive_json())

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.send_text("{")
        await socket.send_text("1")
        assert await socket.receive_text() == "1"


async def test_typed_messages_are_told_apart_by_their_type() -> None:
    got: list[Message] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_as(Move, Say):
            got.append(message)
            await websocket.send_json(message)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.send_json({"type": "Move", "dx": 1})
        assert await socket.receive_json() == {"type": "Move", "dx": 1, "dy": 0}
        await socket.send_json({"type": "Say", "text": "hi"})
        assert await socket.receive_json() == {"type": "Say", "text": "hi"}

    assert got == [Move(1), Say("hi")]


async def test_a_bad_message_tells_the_path_to_the_culprit_and_closes_with_1007() -> None:
    errors: list[InvalidMessage] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_as(Move)
        except InvalidMessage as error:
            errors.append(error)
            raise

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.send_json({"type": "Move", "dx": "far"})
        with pytest.raises(WebSocketDisconnectError):
            await socket.receive()
        assert socket.close_code == 1007

    assert "$.dx" in str(errors[0])


async def test_a_bad_message_can_be_answered_instead() -> None:
    app = Application()

    @app.ws("/moves", codec="msgpack", on_invalid="reply")
    async def moves(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_message(await websocket.receive_as(Move))

    async with TestClient(app) as client, client.websocket_connect("/moves") as socket:
        await socket.send_bytes(b"\xc1")
        assert b"invalid_message" in await socket.receive_bytes()
        await socket.send_bytes(b"\x82\xa4type\xa4Move\xa2dx\x01")
        assert b"Move" in await socket.receive_bytes()


async def test_two_receivers_at_once_are_refused() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(websocket.wait_closed)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ConcurrentReceive, match="one task"):
            await websocket.receive_text()

    async with serving(handler) as client, client.websocket_connect("/ws/1"):
        await anyio.wait_all_tasks_blocked()


async def test_a_close_code_that_cannot_be_sent_is_refused() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for code in (0, 999, 1004, 1005, 1006, 1015, 2000, 5000):
            with pytest.raises(ValueError, match=str(code)):
                await websocket.close(code)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.wait_handler()


async def test_a_long_reason_is_cut_at_a_character() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000, "é" * 100)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        with pytest.raises(WebSocketDisconnectError):
            await socket.receive()

    assert socket.close_reason == "é" * 61


async def test_a_handshake_can_be_rejected_with_any_status() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.reject(429, {"retry-after": "3"}, "slowly")
        assert websocket.state is WebSocketState.DISCONNECTED
        with pytest.raises(WebSocketDisconnectError):
            await websocket.accept()

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        assert socket.rejection is not None
        assert socket.rejection.status == 429
        assert socket.rejection.text() == "slowly"


async def test_rejecting_after_accept_is_told() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(InvalidWebSocketStateError, match="close"):
            await websocket.reject(404)

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.wait_handler()


async def test_others_send_and_close_through_its_ref() -> None:
    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(NotHandled):
            await websocket.ref.ask(Send("too early"))
        await websocket.accept()
        assert websocket.ref == websocket.ref
        assert websocket.ref.tell(Send("text"))
        assert websocket.ref.tell(Send(b"bytes"))
        assert websocket.ref.tell(Send({"json": True}))
        assert websocket.ref.tell(Close(4001, "enough"))
        assert not websocket.ref.tell(Send("too late"))

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        assert [await socket.receive() for _ in range(3)] == ["text", b"bytes", '{"json":true}']
        with pytest.raises(WebSocketDisconnectError, match="enough"):
            await socket.receive()


async def test_background_work_ends_with_the_handler() -> None:
    ended: list[bool] = []

    async def ticker(websocket: WebSocket) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(websocket.closed)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(ticker, websocket)
        await websocket.receive_text()

    async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
        await socket.send_text("go")

    assert len(ended) == 1


async def test_the_crash_of_background_work_is_the_connections() -> None:
    async def broken() -> None:
        raise LookupError("in the background")

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.start_soon(broken)
        await websocket.wait_closed()

    with pytest.raises(LookupError, match="background"):
        async with serving(handler) as client, client.websocket_connect("/ws/1") as socket:
            await socket.wait_handler()
            assert socket.close_code == 1011


async def test_a_slow_client_is_cut_with_1013() -> None:
    app = Application(limits=Limits(outbox_bytes=1000, send_timeout=0.05))
    codes: list[int] = []

    @app.ws("/")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(b"x" * 400)
        except WebSocketDisconnectError as error:
            codes.append(error.code)

    async with TestClient(app) as client, client.websocket_connect("/") as socket:
        await socket.wait_handler()

    assert codes == [1013]


async def test_it_is_hashable_and_freed_as_soon_as_nobody_holds_it() -> None:
    kept: list[weakref.ref[WebSocket]] = []

    async def handler(websocket: WebSocket) -> None:
        assert len({websocket, websocket}) == 1
        kept.append(weakref.ref(websocket))
        await websocket.accept()

    async with serving(handler) as client:
        async with client.websocket_connect("/ws/1"):
            pass
        await anyio.wait_all_tasks_blocked()

        assert kept[0]() is None
