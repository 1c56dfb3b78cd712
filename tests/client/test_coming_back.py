"""When a client comes back, and when it stays away."""

import anyio
import pytest

from herdwick.client import (
    Client,
    GaveUp,
    HandshakeRefused,
    NoToken,
    Options,
    ProtocolMismatch,
    Refused,
    Rejoined,
    StayedAway,
)
from herdwick.protocol import Error, Refresh, Reply
from herdwick.protocol import Refused as RefusedFrame
from herdwick.testing import settle
from tests.client.server import Answer, Server, connected, in_room, publication, serving

FAILED: Answer = (500, {})


def full() -> float:
    return 1.0


def waits(server: Server) -> list[float]:
    """Give the seconds between one try and the next."""
    return [
        round(after - before, 1)
        for before, after in zip(server.tried_at, server.tried_at[1:], strict=False)
    ]


# Coming back.


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4000, 4400, 4499])
async def test_after_most_close_codes_it_comes_back(code: int) -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.close(code)

        assert await anext(room) == Rejoined(recovered=False)
        assert await peer.wait_closed() == code


async def test_after_a_lost_connection_it_comes_back() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.drop()

        assert await anext(room) == Rejoined(recovered=False)


@pytest.mark.parametrize("code", [1000, 4401, 4403, 4500, 4999])
async def test_after_some_close_codes_it_stays_away(code: int) -> None:
    async with serving() as server, connected(server, token="old") as (client, peer):
        async with client.join("chat") as room:
            await peer.send(publication("last words"))
            await peer.close(code, "go")

            await anext(room)
            with pytest.raises(StayedAway, match="go") as away:
                await anext(room)
            assert away.value.code == code
        with pytest.raises(StayedAway):
            async with client.join("other"):
                pass
        assert not client.connected
        assert len(server.tried_at) == 1


async def test_after_4401_it_comes_back_with_a_new_token() -> None:
    tokens = iter(["old", "new"])

    async def token() -> str:
        return next(tokens)

    async with serving() as server, connected(server, token=token) as (_, peer):
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1, bearer.old"
        await peer.close(4401)

        peer = await server.accepted()
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1, bearer.new"


async def test_after_4401_it_stays_away_where_there_is_no_new_token() -> None:
    tokens = iter(["old", None])

    async def token() -> str | None:
        return next(tokens)

    async with (
        serving() as server,
        connected(server, token=token) as (client, peer),
        client.join("chat") as room,
    ):
        await peer.close(4401)

        with pytest.raises(StayedAway, match="4401"):
            await anext(room)


async def test_after_4401_it_stays_away_where_the_token_is_the_same_as_before() -> None:
    tokens = iter(["old", "new", "new"])

    async def token() -> str:
        return next(tokens)

    async with (
        serving() as server,
        connected(server, token=token) as (client, peer),
        client.join("chat") as room,
    ):
        await peer.close(4401)
        peer = await server.accepted()
        assert isinstance(await anext(room), Rejoined)
        await peer.close(4401)

        with pytest.raises(StayedAway, match="4401"):
            async for _ in room:
                pass
        assert len(server.tried_at) == 2


async def test_after_4401_a_token_that_was_shown_by_a_refresh_is_not_shown_again() -> None:
    tokens = iter(["old", "newer", "newer"])

    async def token() -> str:
        return next(tokens)

    async with (
        serving() as server,
        connected(server, token=token) as (client, peer),
        client.join("chat") as room,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.refresh)
        refresh = await peer.receive(Refresh)
        assert refresh.token == "newer"
        await peer.send(Reply(refresh.ref))
        await peer.close(4401)

        with pytest.raises(StayedAway, match="4401"):
            await anext(room)
        assert len(server.tried_at) == 1


# What no subprotocol can hold is a token too, where it is a message.
@pytest.mark.parametrize("token", ["mine", "my own, and no subprotocol"])
async def test_a_token_may_go_out_as_the_first_message_before_any_join(token: str) -> None:
    async with (
        serving() as server,
        connected(server, token=token, first_message=True) as (client, peer),
        client.join("chat"),
    ):
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1"
        refresh = await peer.receive(Refresh)
        assert refresh.token == token
        assert len(peer.joins) == 1

        await peer.drop()
        again = await server.accepted()
        assert (await again.receive(Refresh)).token == token


def test_without_a_token_there_is_no_first_message() -> None:
    with pytest.raises(ValueError, match="no token to send as the first message"):
        Client("ws://127.0.0.1/", first_message=True)


async def test_the_count_of_tries_starts_anew_once_a_join_is_answered() -> None:
    async with serving() as server:
        async with Client(server.url, random=full) as client, client.join("chat"):
            for _ in range(3):
                peer = await server.accepted()
                await settle()
                await peer.drop()
            await server.accepted()

        assert waits(server) == [1, 1, 1]


async def test_the_count_of_tries_goes_on_where_nothing_is_answered() -> None:
    async with serving() as server:
        async with Client(server.url, random=full):
            for _ in range(3):
                await (await server.accepted()).drop()
            await server.accepted()

        assert waits(server) == [1, 2, 4]


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009])
async def test_it_comes_back_slowly_where_it_has_broken_a_rule(code: int) -> None:
    async with serving() as server:
        async with Client(server.url, random=full) as client, client.join("chat"):
            await (await server.accepted()).close(code)
            peer = await server.accepted()
            await settle()
            await peer.drop()
            await server.accepted()

        assert waits(server) == [30, 1]


async def test_it_gives_up_when_the_handshake_is_refused_on_the_way_back() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        server.answers.append((403, {}))
        await peer.drop()

        with pytest.raises(HandshakeRefused):
            await anext(room)
        with pytest.raises(GaveUp):
            await anext(room)


async def test_what_the_source_of_tokens_raises_ends_the_client() -> None:
    async def token() -> str:
        raise KeyError("vault")

    async with serving() as server:
        with pytest.raises(NoToken) as failed:
            async with Client(server.url, token=token):
                pass

        assert isinstance(failed.value.__cause__, KeyError)


async def test_a_source_of_tokens_that_is_not_reached_is_tried_again() -> None:
    failures = iter([ConnectionRefusedError(), TimeoutError()])

    async def token() -> str:
        for failure in failures:
            raise failure
        return "abc"

    async with serving() as server, connected(server, token=token) as (_, peer):
        assert peer.headers["sec-websocket-protocol"].endswith("bearer.abc")


# What the server says.


@pytest.mark.parametrize("text", ['{"kind":"mystery"}', "no json", '{"type":"publication"}'])
async def test_what_is_no_frame_ends_the_client_with_1002(text: str) -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send_text(text)

        with pytest.raises(ProtocolMismatch, match="no frame"):
            await anext(room)
        assert await peer.wait_closed() == 1002


async def test_a_frame_that_the_server_does_not_understand_ends_the_client() -> None:
    async with serving() as server, in_room(server) as (room, peer):
        await peer.send(Error("invalid_message", "what?"))

        with pytest.raises(ProtocolMismatch, match=r"what\?"):
            await anext(room)
        assert await peer.wait_closed() == 1002


async def test_a_message_that_is_too_long_ends_the_client() -> None:
    options = Options(max_message_bytes=1000)
    async with serving() as server, in_room(server, options=options) as (room, peer):
        await peer.send(publication("x" * 1000))

        with pytest.raises(ProtocolMismatch):
            await anext(room)
        assert await peer.wait_closed() == 1009


# Signs of life.


async def test_after_25_seconds_of_silence_it_asks_for_a_sign_of_life() -> None:
    async with serving() as server, connected(server):
        await anyio.sleep(24)
        assert server.pings == 0
        await anyio.sleep(2)
        assert server.pings == 1
        await anyio.sleep(100)
        assert server.pings == 5
        assert len(server.tried_at) == 1


async def test_without_a_sign_of_life_within_10_seconds_the_connection_is_lost() -> None:
    async with serving() as server, in_room(server) as (room, _):
        server.silent = True
        start = anyio.current_time()

        assert await anext(room) == Rejoined(recovered=False)
        assert anyio.current_time() - start == pytest.approx(25 + 10 + 0.5, abs=0.1)


# Tokens on an open connection.


async def test_a_new_token_is_shown_on_the_open_connection_and_with_the_next_handshake() -> None:
    async with serving() as server, connected(server, token="old") as (client, peer):

        async def take() -> None:
            frame = await peer.receive(Refresh)
            assert frame.token == "new"
            await peer.send(Reply(frame.ref))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await client.refresh("new")
        await peer.drop()

        peer = await server.accepted()
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1, bearer.new"


async def test_a_new_token_that_is_refused_changes_nothing() -> None:
    async with serving() as server, connected(server, token="old") as (client, peer):

        async def refuse() -> None:
            frame = await peer.receive(Refresh)
            await peer.send(RefusedFrame(frame.ref, "forbidden", "expired"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refuse)
            with pytest.raises(Refused, match="the server refused: expired"):
                await client.refresh("new")
        await peer.drop()

        peer = await server.accepted()
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1, bearer.old"


async def test_a_refresh_without_a_token_and_without_a_source_is_a_mistake() -> None:
    async with serving() as server, connected(server, token="old") as (client, _):
        with pytest.raises(ValueError, match="there is no new token"):
            await client.refresh()


async def test_the_source_of_tokens_is_asked_for_the_new_one() -> None:
    tokens = iter(["first", "second"])

    async def token() -> str:
        return next(tokens)

    async with (
        serving() as server,
        connected(server, token=token) as (client, peer),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.refresh)
        frame = await peer.receive(Refresh)
        await peer.send(Reply(frame.ref))

        assert frame.token == "second"


async def test_a_new_token_without_a_connection_is_shown_by_the_next_one() -> None:
    async with serving() as server, connected(server, token="old") as (client, peer):
        await peer.drop()
        await settle()

        await client.refresh("new")

        peer = await server.accepted()
        assert peer.headers["sec-websocket-protocol"] == "herdwick.v1, bearer.new"
