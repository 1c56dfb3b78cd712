"""The chapter "WebSocket Class" of the document."""

import json
from datetime import datetime
from typing import Any

from tests.acceptance.document.page import Chapter, Printed, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, receive_json, send_json
from tests.support.waiting import until

chapter = Chapter("WebSocket Class")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


@chapter.covers("Connection Management")
async def test_connection_management_tells_state_client_and_close_code(
    stage: Stage[Peer], capsys: Printed
) -> None:
    app = chapter.run("Connection Management")["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/chat") as peer:
            await peer.send("hello")
            assert await peer.receive() == "Received: hello"
            await peer.close(1001)
        await until(all_gone(app))

    assert capsys.readouterr().out.splitlines() == [
        "Connection state: WebSocketState.CONNECTED",
        "Client connected from: 127.0.0.1",
        f"Client disconnected with code: {1001 if stage.server.tells_codes else 1006}",
        "Connection closed",
    ]


@chapter.covers("Message Types")
async def test_message_types_are_told_apart(stage: Stage[Peer]) -> None:
    app = chapter.run("Message Types")["app"]

    async with stage.serve(app) as url, stage.connect(f"{url}/messages") as peer:
        await peer.send("hello")
        assert await peer.receive() == "Got text: hello"
        await peer.send(b"\x00\xff")
        assert await peer.receive() == b"\x00\xff"


@chapter.covers("Sending Messages")
async def test_sending_messages_sends_text_json_bytes_and_custom_json(stage: Stage[Peer]) -> None:
    def custom_json_dumps(data: Any) -> str:
        return json.dumps(data, default=datetime.isoformat)

    app = chapter.run("Sending Messages", datetime=datetime, custom_json_dumps=custom_json_dumps)[
        "app"
    ]

    async with stage.serve(app) as url, stage.connect(f"{url}/updates") as peer:
        assert await peer.receive() == "Welcome to updates!"
        notification = await peer.receive()
        assert isinstance(notification, str)
        assert json.loads(notification) == {"type": "notification", "message": "Server started"}
        assert await peer.receive() == b"Binary data here"
        complex_data = await receive_json(peer)

    assert datetime.fromisoformat(complex_data["timestamp"]) <= datetime.now()
    assert complex_data["users"] == [1, 2, 3]


@chapter.covers("Receiving Messages")
async def test_receiving_messages_takes_text_json_bytes_and_custom_json(
    stage: Stage[Peer], capsys: Printed
) -> None:
    loaded: list[object] = []
    app = chapter.run("Receiving Messages", custom_json_loads=loaded.append)["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/receiver") as peer:
            await peer.send("hello")
            await send_json(peer, {"a": 1})
            await peer.send(b"123")
            await peer.send("<custom>")
            await peer.send("again")
            await until(lambda: len(loaded) == 1)
        await until(all_gone(app))

    assert loaded == ["<custom>"]
    assert capsys.readouterr().out.splitlines() == [
        "Received text: hello",
        "Received JSON: {'a': 1}",
        "Received 3 bytes",
        "Received text: again",
    ]
