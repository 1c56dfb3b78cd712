"""Tests of examples/secure_chat.py."""

import httpx

from examples.secure_chat import app
from herdwick import serve
from tests.examples.client import post
from tests.support.clients import closing, receive_json
from tests.support.clients import httpx_ws_client as connect


async def token_of(url: str, name: str) -> str:
    answer = await post(f"{url}/login?name={name}")
    token: str = answer["token"]
    return token


async def test_nobody_enters_without_a_valid_token() -> None:
    async with serve(app) as url, connect(f"{url}/secure-chat") as peer:
        await peer.send("made.it.up")

        assert (await closing(peer)).code == 4401


async def test_a_page_may_show_its_token_as_the_first_message() -> None:
    async with serve(app) as url, connect(f"{url}/secure-chat") as peer:
        await peer.send(await token_of(url, "Ada"))

        assert await receive_json(peer) == {"type": "welcome", "user": "Ada"}


async def test_who_logs_out_is_gone_everywhere() -> None:
    async with (
        serve(app) as url,
        connect(f"{url}/secure-chat") as phone,
        connect(f"{url}/secure-chat") as desk,
    ):
        for peer in (phone, desk):
            await peer.send(await token_of(url, "Ada"))
            await receive_json(peer)

        assert await post(f"{url}/logout?name=Ada") == {"closed": 2}
        for peer in (phone, desk):
            closed = await closing(peer)
            assert (closed.code, closed.reason) == (4401, "logged out")


async def test_a_program_shows_its_token_in_a_header() -> None:
    async with serve(app) as url:
        headers = {"Authorization": f"Bearer {await token_of(url, 'Ada')}"}

        async with connect(f"{url}/secure-chat", headers=headers) as peer:
            assert await receive_json(peer) == {"type": "welcome", "user": "Ada"}


async def test_a_page_shows_its_token_as_a_subprotocol_and_it_is_not_sent_back() -> None:
    async with serve(app) as url:
        offered = ["chat", f"bearer.{await token_of(url, 'Ada')}"]

        async with connect(f"{url}/secure-chat", subprotocols=offered) as peer:
            assert peer.subprotocol == "chat"
            assert await receive_json(peer) == {"type": "welcome", "user": "Ada"}


async def test_what_is_said_carries_the_name_in_the_token() -> None:
    async with serve(app) as url:
        ada, bob = [
            {"Authorization": f"Bearer {await token_of(url, name)}"} for name in ("Ada", "Bob")
        ]
        async with (
            connect(f"{url}/secure-chat", headers=ada) as ada_peer,
            connect(f"{url}/secure-chat", headers=bob) as bob_peer,
        ):
            await receive_json(ada_peer)
            await receive_json(bob_peer)
            await bob_peer.send("it is Bob")
            said = {"type": "said", "user": "Bob", "text": "it is Bob"}

            assert await receive_json(ada_peer) == said
            assert await receive_json(bob_peer) == said


async def test_a_login_without_a_name_is_a_bad_request() -> None:
    async with serve(app) as url, httpx.AsyncClient() as http:
        assert (await http.post(f"{url}/login")).status_code == 400
