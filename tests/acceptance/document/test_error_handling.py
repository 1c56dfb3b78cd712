"""The chapter "Error Handling" of the document."""

import pytest

from tests.acceptance.document.page import Chapter, Printed, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, closing, receive_json
from tests.support.waiting import until

chapter = Chapter("Error Handling")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


EXCEPTIONS = "WebSocket Exceptions"


async def process_message(message: str) -> str:
    """Stand in for what the page leaves to its reader."""
    if message == "bad":
        raise ValueError("no such sheep")
    if message == "worse":
        raise LookupError("the secret")
    return message.upper()


@chapter.covers(EXCEPTIONS)
async def test_an_application_error_is_told_and_keeps_the_connection(
    stage: Stage[Peer], capsys: Printed
) -> None:
    app = chapter.run(EXCEPTIONS, process_message=process_message)["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/error-handling") as peer:
            await peer.send("bad")
            told = await receive_json(peer)
            await peer.send("good")
            result = await receive_json(peer)
            await peer.close(4000)
        await until(all_gone(app))

    assert told == {"error": "validation_error", "message": "no such sheep"}
    assert result == {"result": "GOOD"}
    code = 4000 if stage.server.tells_codes else 1006
    assert capsys.readouterr().out.splitlines()[-1:] == [f"Client disconnected: code={code}"]


@chapter.covers(EXCEPTIONS)
async def test_an_unexpected_error_is_told_and_closes_with_1011(stage: Stage[Peer]) -> None:
    app = chapter.run(EXCEPTIONS, process_message=process_message)["app"]

    async with stage.serve(app) as url, stage.connect(f"{url}/error-handling") as peer:
        await peer.send("worse")
        told = await receive_json(peer)
        closed = await closing(peer)

    assert told == {"error": "internal_error", "message": "An unexpected error occurred"}
    assert closed.code == 1011


CLOSE_CODES = "Connection Close Codes"


@chapter.covers(CLOSE_CODES)
@pytest.mark.parametrize(("message", "code"), [("invalid", 1003), ("policy", 1008), ("size", 1009)])
async def test_close_codes_reach_the_client(stage: Stage[Peer], message: str, code: int) -> None:
    app = chapter.run(CLOSE_CODES)["app"]

    async with stage.serve(app) as url, stage.connect(f"{url}/close-codes") as peer:
        await peer.send(message)
        closed = await closing(peer)

    assert closed.code == code


@chapter.covers(CLOSE_CODES)
async def test_a_message_that_is_fine_is_accepted_and_the_close_is_normal(
    stage: Stage[Peer],
) -> None:
    app = chapter.run(CLOSE_CODES)["app"]

    async with stage.serve(app) as url, stage.connect(f"{url}/close-codes") as peer:
        await peer.send("hello")
        answer = await peer.receive()
        closed = await closing(peer)

    assert answer == "Message accepted"
    assert closed.code == 1000


@chapter.covers(CLOSE_CODES)
async def test_a_client_that_closes_first_is_told_with_its_code(
    stage: Stage[Peer], capsys: Printed
) -> None:
    app = chapter.run(CLOSE_CODES)["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/close-codes") as peer:
            await peer.close(1001)
        await until(all_gone(app))

    code = 1001 if stage.server.tells_codes else 1006
    assert capsys.readouterr().out == f"Connection closed with code: {code}\n"
