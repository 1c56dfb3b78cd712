"""Who is let in by a first message, and how sessions end, before real servers."""

import anyio
import guardpost
import pytest
from guardpost import AuthenticationHandler

from herdwick import (
    Application,
    Identity,
    Limits,
    Request,
    WebSocket,
    WebSocketDisconnectError,
    auth,
)
from tests.acceptance.stage import Stage
from tests.acceptance.test_full_inbox import send_until_blocked
from tests.support.clients import Peer, Refused, closing
from tests.support.raw_client import RawPeer
from tests.support.waiting import settled, until

ADA = {"Authorization": "Bearer ada"}
SHORT = Limits(auth_timeout=0.3)


class ByName(AuthenticationHandler):
    """Takes a name as the token; `slow` has to wait until it may be known."""

    def __init__(self) -> None:
        self.may_know = anyio.Event()
        self.judging = False

    async def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, context: Request
    ) -> guardpost.Identity | None:  # guardpost takes both kinds, and says one
        name = context.headers.get("authorization", "").removeprefix("Bearer ")
        if name == "slow":
            self.judging = True
            await self.may_know.wait()
        if name in ("", "forged"):
            return None
        return guardpost.Identity({"sub": name, "roles": name}, "token")


def guarded(limits: Limits | None = None, by: ByName | None = None) -> Application:
    """Give an application that knows its users."""
    app = Application(limits=limits)
    app.use_authentication().add(by or ByName())

    @app.ws("/")
    @auth(roles=["ada", "bob", "slow"], first_message=True)
    async def echo(websocket: WebSocket, identity: Identity) -> None:
        await websocket.accept()
        await websocket.send_text(f"hello {identity.id}")
        async for data in websocket:
            await websocket.send_bytes(data if isinstance(data, bytes) else data.encode())

    return app


# ------------------------------------------------------------------ the first message


async def test_a_client_is_let_in_by_its_first_message(stage: Stage[Peer]) -> None:
    async with stage.serve(guarded()) as url, stage.connect(url) as peer:
        await peer.send("ada")
        assert await peer.receive() == "hello ada"
        await peer.send("and on")
        assert await peer.receive() == b"and on"


@pytest.mark.parametrize(
    ("message", "code"),
    [("forged", 4401), (b"ada", 4401), ("eve", 4403), ("a" * 10_000, 1009), (None, 4401)],
    ids=["forged", "binary", "not-enough", "too-long", "nothing"],
)
async def test_who_is_not_let_in_is_told_by_the_close_code(
    stage: Stage[Peer], message: str | bytes | None, code: int
) -> None:
    limits = SHORT if message is None else None
    async with stage.serve(guarded(limits)) as url, stage.connect(url) as peer:
        if message is not None:
            await peer.send(message)

        assert (await closing(peer)).code == code


async def test_of_a_stranger_no_more_is_kept_than_a_token_may_be_long(
    ours: Stage[RawPeer],
) -> None:
    async with ours.serve(guarded()) as url, ours.connect(url) as peer:
        # Its end never comes: the header alone says that it is too long.
        await peer.stream.send(peer.frame("a" * 20_000)[:1000])

        assert (await closing(peer)).code == 1009


async def test_who_is_known_may_send_more(raw: Stage[RawPeer]) -> None:
    async with raw.serve(guarded()) as url, raw.connect(url) as peer:
        await peer.stream.send(peer.frame("ada") + peer.frame(bytes(200_000)))

        assert await peer.receive() == "hello ada"
        assert await peer.receive() == bytes(200_000)


async def test_a_stranger_that_floods_is_not_read_while_its_token_is_judged(
    raw: Stage[RawPeer],
) -> None:
    by = ByName()
    app = guarded(by=by)
    async with raw.serve(app) as url, raw.connect(url) as peer:
        await peer.send("slow")
        await until(lambda: by.judging)
        sent = await send_until_blocked(peer, bytes(100_000))
        by.may_know.set()

        assert await peer.receive() == "hello slow"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.stream.send, peer.unsent)
            assert [len(await peer.receive()) for _ in range(sent)] == [100_000] * sent


# ------------------------------------------------------------------ the end of sessions


async def test_who_is_logged_out_while_its_handler_receives_is_closed_with_4401(
    stage: Stage[Peer],
) -> None:
    app = guarded()
    async with stage.serve(app) as url, stage.connect(url, headers=ADA) as peer:
        assert await peer.receive() == "hello ada"
        assert app.users.disconnect("ada", reason="logged out") == 1

        closed = await closing(peer)
        assert (closed.code, closed.reason) == (4401, "logged out")
        await until(lambda: not app.connections)
        assert "ada" not in app.users


async def test_who_is_logged_out_in_a_room_is_closed_with_4401_though_its_handler_is_busy(
    stage: Stage[Peer],
) -> None:
    app = guarded()
    may_end = anyio.Event()

    @app.ws("/busy")
    @auth()
    async def busy(websocket: WebSocket) -> None:
        await websocket.accept()
        async with websocket.join("news"):
            await may_end.wait()

    async with stage.serve(app) as url, stage.connect(f"{url}/busy", headers=ADA) as peer:
        await until(lambda: app.members("news"))
        app.users.disconnect("ada")

        assert (await closing(peer)).code == 4401
        assert app.members("news") == 0
        may_end.set()


async def test_who_is_logged_out_before_its_handler_accepts_is_refused_with_401(
    raw: Stage[RawPeer],
) -> None:
    app = guarded()
    seen: list[int] = []

    @app.ws("/slow")
    @auth()
    async def slow(websocket: WebSocket) -> None:
        app.users.disconnect("ada")
        try:
            await websocket.accept()
        except WebSocketDisconnectError as error:
            seen.append(error.code)
            raise

    async with raw.serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with raw.connect(f"{url}/slow", headers=ADA):
                pass

    assert refused.value.status == 401
    assert seen == [1006]


async def test_who_is_logged_out_when_known_and_not_accepted_yet_is_closed_with_4401(
    stage: Stage[Peer],
) -> None:
    app = guarded()

    @app.ws("/slow")
    @auth(first_message=True)
    async def slow(websocket: WebSocket) -> None:
        app.users.disconnect("ada")
        await websocket.accept()

    async with stage.serve(app) as url, stage.connect(f"{url}/slow") as peer:
        await peer.send("ada")

        assert (await closing(peer)).code == 4401


async def test_who_is_logged_out_over_a_full_outbox_is_closed_with_4401_once_it_has_read_that(
    raw: Stage[RawPeer],
) -> None:
    app = guarded()
    sent: list[int] = []

    @app.ws("/flood")
    @auth()
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_bytes(bytes(1 << 20))
            sent.append(1)

    async with raw.serve(app) as url, raw.connect(f"{url}/flood", headers=ADA) as peer:
        await until(lambda: sent)
        await settled(lambda: len(sent))
        assert app.users.disconnect("ada") == 1

        assert (await closing(peer)).code == 4401
        await until(lambda: not app.connections)


async def test_who_is_logged_out_and_never_reads_is_gone_after_the_close_timeout(
    raw: Stage[RawPeer],
) -> None:
    app = guarded(Limits(close_timeout=0.3))
    sent: list[int] = []

    @app.ws("/flood")
    @auth()
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_bytes(bytes(1 << 20))
            sent.append(1)

    async with raw.serve(app) as url, raw.connect(f"{url}/flood", headers=ADA):
        await until(lambda: sent)
        await settled(lambda: len(sent))
        app.users.disconnect("ada")

        await until(lambda: not app.connections)
        assert "ada" not in app.users


async def test_who_is_logged_out_while_reading_pauses_is_closed_with_4401(
    raw: Stage[RawPeer],
) -> None:
    app = guarded(Limits(inbox_messages=4))
    may_read = anyio.Event()
    ends: list[int] = []

    @app.ws("/deaf")
    @auth()
    async def deaf(websocket: WebSocket) -> None:
        await websocket.accept()
        await may_read.wait()
        try:
            while True:
                await websocket.receive()
        except WebSocketDisconnectError as error:
            ends.append(error.code)

    async with raw.serve(app) as url, raw.connect(f"{url}/deaf", headers=ADA) as peer:
        await send_until_blocked(peer, bytes(100_000))
        app.users.disconnect("ada")

        assert (await closing(peer)).code == 4401
        may_read.set()
        await until(lambda: ends)
        assert ends == [4401]


async def test_a_session_that_holds_no_more_is_closed_with_4401(stage: Stage[Peer]) -> None:
    app = guarded(Limits(revalidate_interval=0.1))
    over: set[str] = set()

    @app.revalidate
    async def holds(identity: Identity) -> bool:
        return identity.id not in over

    async with (
        stage.serve(app) as url,
        stage.connect(url, headers=ADA) as ada,
        stage.connect(url) as bob,
    ):
        await bob.send("bob")
        assert await bob.receive() == "hello bob"
        over.add("ada")

        closed = await closing(ada)
        assert (closed.code, closed.reason) == (4401, "the session is over")
        await bob.send("still here")
        assert await bob.receive() == b"still here"
