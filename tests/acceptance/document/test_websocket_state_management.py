"""The chapter "WebSocket State Management" of the document."""

from tests.acceptance.document.page import Chapter, Printed, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, closing
from tests.support.raw_client import raw_client
from tests.support.servers import OWN
from tests.support.waiting import until

chapter = Chapter("WebSocket State Management")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


@chapter.covers("Connection States")
async def test_connection_states_follow_the_connection(stage: Stage[Peer], capsys: Printed) -> None:
    app = chapter.run("Connection States")["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/stateful") as peer:
            await peer.send("hello")
            assert await peer.receive() == "Echo: hello"
        await until(all_gone(app))

    assert capsys.readouterr().out.splitlines() == [
        "Initial state: WebSocketState.CONNECTING",
        "After accept: WebSocketState.CONNECTED",
        "Final state: WebSocketState.DISCONNECTED",
    ]


@chapter.covers("State Validation")
async def test_state_validation_lets_a_connected_client_through(
    stage: Stage[Peer], capsys: Printed
) -> None:
    app = chapter.run("State Validation")["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/validated") as peer:
            await peer.send("hello")
            assert await peer.receive() == "Processed: hello"
        await until(all_gone(app))

    assert capsys.readouterr().out == ""


@chapter.covers("State Validation")
async def test_state_validation_prints_both_states_of_an_invalid_one(capsys: Printed) -> None:
    app = chapter.run("State Validation")["app"]
    stage = Stage(OWN, raw_client)

    async with stage.serve(app) as url, stage.connect(f"{url}/validated") as peer:
        await peer.stream.send(peer.frame("last words") + peer.close_frame())
        await closing(peer)
        await until(all_gone(app))

    assert capsys.readouterr().out == (
        "Invalid state: WebSocketState.DISCONNECTED, expected: WebSocketState.CONNECTED\n"
    )
