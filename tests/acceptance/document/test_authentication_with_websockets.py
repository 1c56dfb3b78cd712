"""The chapter "Authentication with WebSockets" of the document."""

import time
from typing import Any

import pytest
from guardpost import AuthenticationHandler, Identity

from herdwick import (
    Application,
    Request,
)
from tests.acceptance.document.page import Chapter, Printed, all_gone
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, Refused, receive_json, send_json
from tests.support.waiting import until

chapter = Chapter("Authentication with WebSockets")


def test_every_block_of_the_chapter_is_covered() -> None:
    assert chapter.covered == chapter.topics


def test_only_blocks_that_call_asyncio_are_left_out_on_trio() -> None:
    assert chapter.left_out == chapter.calling_asyncio


SECURE = "WebSocket Authentication"
TOKENS = {
    "Bearer dolly": Identity({"id": "7", "name": "Dolly"}, "Bearer"),
    "Bearer polly": Identity({"sub": "8"}, "Bearer"),
}


class ByToken(AuthenticationHandler):
    """Knows two sheep by their tokens."""

    def authenticate(self, context: Request) -> Identity | None:
        return TOKENS.get(context.headers.get("authorization", ""))


def secure_chat(processed: list[Any]) -> Application:
    async def process_user_message(message: object) -> None:
        processed.append(message)

    page = chapter.run(
        SECURE, time=time, Request=Request, process_user_message=process_user_message
    )
    app: Application = page["app"]
    app.use_authentication().add(ByToken())
    return app


@chapter.covers(SECURE)
@pytest.mark.parametrize(
    ("token", "user_id", "username"), [("dolly", "7", "Dolly"), ("polly", "8", "Unknown")]
)
async def test_the_secure_chat_knows_its_user(
    stage: Stage[Peer], capsys: Printed, token: str, user_id: str, username: str
) -> None:
    processed: list[Any] = []
    app = secure_chat(processed)
    headers = {"Authorization": f"Bearer {token}"}

    async with stage.serve(app) as url:
        async with stage.connect(f"{url}/secure-chat", headers=headers) as peer:
            welcome = await receive_json(peer)
            await send_json(peer, {"text": "baa", "user_id": "forged"})
            await until(lambda: processed)
        await until(all_gone(app))

    assert welcome == {"type": "welcome", "user_id": user_id, "username": username}
    timestamp = processed[0]["timestamp"]
    assert processed == [{"text": "baa", "user_id": user_id, "timestamp": timestamp}]
    assert capsys.readouterr().out == f"User {user_id} disconnected\n"


@chapter.covers(SECURE)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wolf"}])
async def test_the_secure_chat_refuses_a_stranger_before_the_upgrade(
    stage: Stage[Peer], caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    app = secure_chat([])

    async with stage.serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with stage.connect(f"{url}/secure-chat", headers=headers):
                pass

    assert refused.value.status == 401
    assert [record for record in caplog.records if record.exc_info] == []


TOKEN = "Token-Based WebSocket Auth"


def token_auth(processed: list[Any]) -> Application:
    async def validate_token(token: str) -> dict[str, str]:
        if token != "wool":
            raise LookupError(token)
        return {"name": "Dolly"}

    async def process_authenticated_message(message: object, user: object) -> None:
        processed.append((message, user))

    page = chapter.run(
        TOKEN,
        validate_token=validate_token,
        process_authenticated_message=process_authenticated_message,
    )
    app: Application = page["app"]
    return app


@chapter.covers(TOKEN)
async def test_a_valid_token_in_the_query_opens_the_connection(stage: Stage[Peer]) -> None:
    processed: list[Any] = []
    app, path = token_auth(processed), "/token-auth?a=1&token=wool"

    async with stage.serve(app) as url, stage.connect(f"{url}{path}") as peer:
        authenticated = await receive_json(peer)
        await send_json(peer, ["baa"])
        await until(lambda: processed)

    assert authenticated == {"type": "authenticated", "user": {"name": "Dolly"}}
    assert processed == [(["baa"], {"name": "Dolly"})]


@chapter.covers(TOKEN)
@pytest.mark.parametrize("query", ["", "?token=", "?token=wolf", "?other=wool"])
async def test_without_a_valid_token_the_handshake_is_refused_with_403(
    stage: Stage[Peer], query: str
) -> None:
    async with stage.serve(token_auth([])) as url:
        with pytest.raises(Refused) as refused:
            async with stage.connect(f"{url}/token-auth{query}"):
                pass

    assert refused.value.status == 403
