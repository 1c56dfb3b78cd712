"""The chapter "WebSocket Routing" of the document."""

import pytest

from tests.acceptance.document.page import Chapter, Printed, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, Refused, receive_json
from tests.support.waiting import until

chapter = Chapter("WebSocket Routing")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


ROUTE_PARAMETERS = "Route Parameters"


@chapter.covers(ROUTE_PARAMETERS)
async def test_a_route_parameter_names_the_room(stage: Stage[Peer], capsys: Printed) -> None:
    said: list[tuple[str, str]] = []

    async def broadcast_to_room(room: str, message: str) -> None:
        said.append((room, message))

    app = chapter.run(ROUTE_PARAMETERS, broadcast_to_room=broadcast_to_room)["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/chat/sheep%20fold") as peer:
            assert await peer.receive() == "Welcome to room sheep fold!"
            await peer.send("baa")
            await until(lambda: said)
        await until(all_gone(app))

    assert said == [("sheep fold", "baa")]
    assert capsys.readouterr().out == "Joined room: sheep fold\nUser left room sheep fold\n"


@chapter.covers(ROUTE_PARAMETERS)
async def test_a_typed_route_parameter_is_converted(stage: Stage[Peer], capsys: Printed) -> None:
    async def get_user_notifications(user_id: int) -> list[dict[str, object]]:
        return [{"for": user_id + 1}, {"text": "two"}]

    app = chapter.run(ROUTE_PARAMETERS, get_user_notifications=get_user_notifications)["app"]

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/user/41/notifications") as peer:
            assert await receive_json(peer) == {"for": 42}
            assert await receive_json(peer) == {"text": "two"}
        with pytest.raises(Refused) as refused:
            async with stage.connect(f"{url}/user/dolly/notifications"):
                pass
    assert refused.value.status == 404
    assert capsys.readouterr().out == "Notifications for user 41\n"
