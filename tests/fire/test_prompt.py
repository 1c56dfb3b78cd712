"""P12: whoever is stuck in a `send` stops within a second."""

from __future__ import annotations

import anyio
import pytest

from herdwick import (
    Actor,
    Application,
    Child,
    Limits,
    Message,
    WebSocket,
    WebSocketDisconnectError,
    on,
)
from herdwick.testing import Harness, settle
from herdwick.websocket import Request

from .lines import Line

AT_MOST = 1.0
"""Seconds."""


class Bale(Message):
    """Something to carry."""


class Busy(Actor[Bale]):
    """Carries one, and takes no more."""

    @on(Bale)
    async def carry(self, message: Bale) -> None:
        await anyio.sleep_forever()


class Sender(Actor[Bale]):
    """Sends to somebody who takes no more."""

    @on(Bale)
    async def pass_on(self, message: Bale) -> None:
        while True:
            await self.ctx.system.ref(busy).send(Bale())


busy = Child(Busy).policy(mailbox=1)
GRACE = 3.0
sender = Child(Sender).policy(grace=GRACE)


async def took(harness: Harness, *, kill: bool) -> float:
    """Stop the one who is stuck, and give the seconds that it took."""
    harness.system.ref(sender).tell(Bale())
    await anyio.sleep(1.0)
    began = anyio.current_time()
    await harness.system.terminate_child(sender, kill=kill)
    return anyio.current_time() - began


async def test_an_actor_that_is_stuck_in_send_is_killed_at_once() -> None:
    async with Harness(busy, sender) as harness:
        assert await took(harness, kill=True) <= AT_MOST


async def test_an_actor_that_is_stuck_in_send_stops_when_its_grace_is_over() -> None:
    async with Harness(busy, sender) as harness:
        assert await took(harness, kill=False) <= GRACE + AT_MOST


@pytest.mark.parametrize("drains", [False, True])
async def test_a_connection_that_is_stuck_in_send_stops_at_once(drains: bool) -> None:
    # Nothing but the stop may end it.
    limits = Limits(outbox_bytes=1000, send_timeout=10_000, close_timeout=10_000)
    app, ends = Application(limits=limits), list[int]()
    sockets: list[WebSocket] = []

    @app.ws("/")
    async def handler(websocket: WebSocket) -> None:
        sockets.append(websocket)
        await websocket.accept()
        try:
            while True:
                await websocket.send_bytes(bytes(1000))
        except WebSocketDisconnectError as error:
            ends.append(error.code)

    async with app.running():
        app.connect(Request(SCOPE), Line(1000, prompt=False))
        await settle()
        began = anyio.current_time()
        if drains:
            await app.drain()
        else:
            await app.system.terminate_child(sockets[0].ref)

        assert anyio.current_time() - began <= AT_MOST
    assert ends == [1012]


SCOPE: dict[str, object] = {
    "type": "websocket",
    "path": "/",
    "headers": [(b"host", b"here")],
    "query_string": b"",
    "subprotocols": [],
    "scheme": "ws",
    "client": ("127.0.0.1", 1),
    "state": {},
}
