"""The chapter "WebSocket Overview" of the document."""

from tests.acceptance.document.page import Chapter, Printed, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer
from tests.support.waiting import until

chapter = Chapter("WebSocket Overview")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


@chapter.covers("Basic WebSocket Setup")
async def test_basic_setup_echoes_and_sees_the_disconnect(
    stage: Stage[Peer], capsys: Printed
) -> None:
    app = chapter.run("Basic WebSocket Setup")["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/ws") as peer:
            await peer.send("hello")
            assert await peer.receive() == "Echo: hello"
        await until(all_gone(app))

    assert capsys.readouterr().out == "Client disconnected\n"
