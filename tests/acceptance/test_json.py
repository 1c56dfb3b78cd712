"""JSON as the facade speaks it: what it encodes and decodes by itself, and by others' functions."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from herdwick import MessageMode, WebSocket
from tests.acceptance.stage import Stage
from tests.support.clients import Peer, receive_json, send_json


class Colour(Enum):
    WHITE = "white"


@dataclass
class Sheep:
    name: str
    colour: Colour


class Wool(msgspec.Struct):
    kilograms: Decimal


class Fold(pydantic.BaseModel):
    born: date


VALUES = {
    "datetime": (datetime(2024, 2, 29, 12, 30, tzinfo=UTC), "2024-02-29T12:30:00Z"),
    "uuid": (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "enum": (Colour.WHITE, "white"),
    "decimal": (Decimal("1.50"), "1.50"),
    "dataclass": (Sheep("Dolly", Colour.WHITE), {"name": "Dolly", "colour": "white"}),
    "struct": (Wool(Decimal("2.5")), {"kilograms": "2.5"}),
    "pydantic": (Fold(born=date(2024, 2, 29)), {"born": "2024-02-29"}),
    "nested": ([{"a": None}, 1.5, True], [{"a": None}, 1.5, True]),
}


async def test_the_default_encoder_takes_what_applications_hold(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for value, _ in VALUES.values():
            await websocket.send_json(value)

    async with stage.visit(handler) as peer:
        received = {name: await receive_json(peer) for name in VALUES}

    assert received == {name: expected for name, (_, expected) in VALUES.items()}


async def test_json_travels_as_text_or_as_bytes(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await websocket.receive_json())
        data = await websocket.receive_json(mode=MessageMode.BYTES)
        await websocket.send_json(data, mode=MessageMode.BYTES)

    async with stage.visit(handler) as peer:
        await peer.send('{"a": 1}')
        assert await peer.receive() == '{"a":1}'
        await peer.send(b'{"a": 2}')
        assert await peer.receive() == b'{"a":2}'


def dumps_bytes(data: Any) -> bytes:
    return json.dumps(data).encode()


@pytest.mark.parametrize("dumps", [json.dumps, dumps_bytes])
@pytest.mark.parametrize("mode", list(MessageMode))
async def test_custom_dumps_may_return_str_or_bytes_in_either_mode(
    stage: Stage[Peer], dumps: Callable[[Any], str | bytes], mode: MessageMode
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([1, 2], mode=mode, dumps=dumps)

    async with stage.visit(handler) as peer:
        assert await peer.receive() == ("[1, 2]" if mode is MessageMode.TEXT else b"[1, 2]")


async def test_custom_loads_gets_what_came(stage: Stage[Peer]) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        text = await websocket.receive_json(loads=repr)
        data = await websocket.receive_json(mode=MessageMode.BYTES, loads=repr)
        await websocket.send_json([text, data])

    async with stage.visit(handler) as peer:
        await peer.send("a")
        await peer.send(b"a")
        assert await receive_json(peer) == ["'a'", "b'a'"]


async def test_a_decode_error_is_a_value_error_and_the_connection_survives(
    stage: Stage[Peer],
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(ValueError, match="does not decode"):
            await websocket.receive_json()
        await websocket.send_json(await websocket.receive_json())

    async with stage.visit(handler) as peer:
        await peer.send("{")
        await send_json(peer, ["fine"])
        assert await receive_json(peer) == ["fine"]
