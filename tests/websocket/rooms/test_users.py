"""Users and their connections: ended all at once, by expiry, and kept by a new token."""

import time
from typing import Any

import anyio
import guardpost
import pytest
from guardpost import AuthenticationHandler

from herdwick import (
    Application,
    HTTPError,
    Identity,
    Left,
    Limits,
    Member,
    Room,
    WebSocket,
    WebSocketDisconnectError,
    auth,
    everyone,
)
from herdwick.actors import IllegalCloseCode
from herdwick.protocol import SUBPROTOCOL, Refresh, Refused, Reply
from herdwick.testing import TestClient, settle
from herdwick.websocket.request import Request
from tests.websocket.rooms.stage import Peer, heard, live, topics


class ByToken(AuthenticationHandler):
    """Takes `ada:60` for Ada, for a minute; `ada` for Ada, for ever."""

    def authenticate(self, context: Request) -> guardpost.Identity | None:
        scheme, _, token = (context.headers.get("authorization") or "").partition(" ")
        name, _, seconds = token.partition(":")
        if scheme != "Bearer" or not name or name == "forged":
            return None
        claims: dict[str, Any] = {} if name == "nobody" else {"sub": name}
        if seconds:
            claims["exp"] = time.time() + float(seconds)
        return guardpost.Identity(claims, "token")


def known(limits: Limits | None = None) -> Application:
    """Give an application that knows its users."""
    app = Application(limits=limits)
    app.use_authentication().add(ByToken())
    app.topic("news", authorize=everyone)
    topics(app)
    live(app)

    @app.ws("/private/{topic}")
    @auth()
    async def handler(websocket: WebSocket, topic: str, identity: Identity) -> None:
        await websocket.accept()
        async with websocket.join(topic):
            async for token in websocket.iter_text():
                try:
                    who = await websocket.refresh(token)
                    await websocket.send_json([who.id, (websocket.identity or identity).id])
                except HTTPError as error:
                    await websocket.send_json(error.status)

    return app


def bearer(token: str, *subprotocols: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"}
    return {"headers": headers, "subprotocols": list(subprotocols)}


# ------------------------------------------------------------------ disconnect


async def test_all_connections_of_a_user_are_closed_and_those_of_others_go_on() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/news", **bearer("ada")) as laptop,
        client.websocket_connect("/private/news", **bearer("ada:60")) as phone,
        client.websocket_connect("/news", **bearer("bob")) as bob,
        client.websocket_connect("/news") as stranger,
    ):
        await settle()
        assert len(app.users) == 2
        assert app.users.connections("ada") == 2
        await app.broadcast("news", "before")

        assert app.users.disconnect("ada", reason="logged out") == 2
        await app.broadcast("news", "after")

        for socket in (laptop, phone):
            assert await heard(socket) == ["before"]
            assert (socket.close_code, socket.close_reason) == (4401, "logged out")
        assert await heard(bob) == await heard(stranger) == ["before", "after"]
        assert "ada" not in app.users
        assert app.users.disconnect("ada") == 0


async def test_the_handler_sees_the_code_that_its_user_was_disconnected_with() -> None:
    app = known()
    caught: list[WebSocketDisconnectError] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive()
        except WebSocketDisconnectError as error:
            caught.append(error)
            raise

    async with TestClient(app) as client, client.websocket_connect("/", **bearer("ada")):
        await settle()
        app.users.disconnect("ada", 4403, "banned")
        await settle()

    assert [(error.code, error.reason) for error in caught] == [(4403, "banned")]


async def test_a_code_that_must_not_be_sent_is_refused_whoever_is_there() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/news", **bearer("ada")) as ada,
    ):
        await settle()
        for user in ("ada", "nobody-here"):
            with pytest.raises(IllegalCloseCode):
                app.users.disconnect(user, 1006)

        assert ada.close_code is None


async def test_whose_connections_have_all_ended_is_known_no_more() -> None:
    app = known()

    async with TestClient(app) as client:
        async with client.websocket_connect("/news", **bearer("ada:60")):
            assert "ada" in app.users
        await settle()

        assert len(app.users) == 0
        assert app.users.connections("ada") == 0


async def test_an_identity_without_an_id_may_connect_and_expires_all_the_same() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/news", **bearer("nobody:60")) as someone,
    ):
        await settle()
        assert len(app.users) == 0
        await anyio.sleep(61)

        assert someone.close_code == 4401


# ------------------------------------------------------------------ expiry and refresh


async def test_a_connection_is_closed_with_4401_when_its_token_expires_and_not_before() -> None:
    app = known()
    left: list[Left] = []

    @app.room("room")
    class Own(Room):
        async def on_leave(self, member: Member, reason: Left) -> None:
            left.append(reason)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room", **bearer("ada:60")) as ada,
    ):
        await anyio.sleep(55)
        assert ada.close_reason == ""
        await anyio.sleep(6)

        assert ada.close_code == 4401
        assert ada.close_reason == "the token has expired"
        await settle()
        assert left == [Left("lost", 4401)]


async def test_a_token_that_has_expired_already_closes_at_once() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/news", **bearer("ada:-5")) as ada,
    ):
        await anyio.sleep(1)

        assert ada.close_code == 4401


async def test_a_handler_may_take_a_new_token_which_moves_the_expiry() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/private/news", **bearer("ada:60")) as ada,
    ):
        await anyio.sleep(50)
        await ada.send_text("ada:100")
        assert await ada.receive_json() == ["ada", "ada"]
        await anyio.sleep(90)
        assert ada.close_code is None
        await anyio.sleep(11)

        assert ada.close_code == 4401


@pytest.mark.parametrize(("token", "status"), [("bob:100", 403), ("forged", 401), ("", 401)])
async def test_a_token_of_somebody_else_or_of_nobody_changes_nothing(
    token: str, status: int
) -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/private/news", **bearer("ada:60")) as ada,
    ):
        await ada.send_text(token)
        assert await ada.receive_json() == status
        assert app.users.connections("ada") == 1
        assert "bob" not in app.users
        await anyio.sleep(61)

        assert ada.close_code == 4401


async def test_clients_of_the_protocol_refresh_by_a_frame() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", **bearer("ada:60", SUBPROTOCOL)) as socket,
    ):
        ada = Peer(socket)
        await ada.join("news")
        assert await ada.ask(Refresh(5, "ada:1000")) == Reply(5)
        for ref, token in ((6, "bob:1000"), (7, "forged")):
            refused = await ada.ask(Refresh(ref, token))
            assert isinstance(refused, Refused)
            assert (refused.ref, refused.code) == (ref, "forbidden")
        await anyio.sleep(900)

        assert socket.close_code is None


async def test_new_tokens_are_checked_one_at_a_time_and_the_last_one_counts() -> None:
    checked: list[str] = []

    class Slow(AuthenticationHandler):
        async def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            self, context: Request
        ) -> guardpost.Identity | None:  # guardpost takes both kinds, and says one
            _, _, token = (context.headers.get("authorization") or "").partition("Bearer ")
            name, _, seconds = token.partition(":")
            await anyio.sleep(float(seconds or 0))
            checked.append(token)
            return guardpost.Identity({"sub": name, "n": len(checked)}, "token")

    app = Application()
    app.use_authentication().add(Slow())
    live(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", **bearer("ada", SUBPROTOCOL)) as socket,
    ):
        ada = Peer(socket)
        await ada.send(Refresh(1, "ada:3"))
        await ada.send(Refresh(2, "ada:1"))
        await ada.send(Refresh(3, "ada:2"))
        await anyio.sleep(10)

        assert checked == ["ada", "ada:3", "ada:1", "ada:2"]
        assert await ada.heard() == [Reply(1), Reply(2), Reply(3)]


async def test_who_came_without_a_token_becomes_a_user_by_the_first_one() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", subprotocols=[SUBPROTOCOL]) as socket,
    ):
        assert await Peer(socket).ask(Refresh(1, "ada")) == Reply(1)

        assert app.users.connections("ada") == 1
        assert app.users.disconnect("ada") == 1
        assert socket.close_code == 4401


async def test_who_is_one_too_many_of_a_user_by_a_new_token_is_not_that_user() -> None:
    app = known(Limits(connections_per_user=1))

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", **bearer("ada", SUBPROTOCOL)) as first,
        client.websocket_connect("/live", subprotocols=[SUBPROTOCOL]) as second,
    ):
        refused = await Peer(second).ask(Refresh(1, "ada"))
        assert isinstance(refused, Refused)
        assert refused.retry_after is not None

        assert app.users.disconnect("ada") == 1
        await settle()
        assert (first.close_code, second.close_code) == (4401, None)
        assert await Peer(second).ask(Refresh(2, "ada")) == Reply(2)
        assert app.users.connections("ada") == 1


async def test_tokens_cannot_be_guessed_for_ever() -> None:
    app = known()

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", **bearer("ada", SUBPROTOCOL)) as socket,
    ):
        ada = Peer(socket)
        answers = [await ada.ask(Refresh(ref, "forged")) for ref in range(10)]
        await ada.send(Refresh(10, "forged"))
        await settle()

        codes = [each.code for each in answers if isinstance(each, Refused)]
        assert codes == ["forbidden"] * 5 + ["too_fast"] * 5
        assert socket.close_code == 1008


async def test_without_authentication_no_token_is_taken() -> None:
    app = Application()
    live(app)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/live", subprotocols=[SUBPROTOCOL]) as socket,
    ):
        refused = await Peer(socket).ask(Refresh(1, "ada"))

        assert isinstance(refused, Refused)
        assert refused.code == "forbidden"


async def test_rooms_know_whom_their_members_are() -> None:
    app = known()
    ids: list[str | None] = []

    @app.room("room")
    class Own(Room):
        async def on_join(self, member: Member, params: object) -> None:
            ids.append(None if member.identity is None else member.identity.id)

    async with (
        TestClient(app) as client,
        client.websocket_connect("/room", **bearer("ada")),
        client.websocket_connect("/room"),
    ):
        await settle()

    assert ids == ["ada", None]
