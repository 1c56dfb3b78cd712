"""What the tests of the examples do with a real client, beside what all tests do."""

from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import pytest

from tests.support.clients import Peer, Refused, httpx_ws_client, receive_json

PATIENCE = 60.0
"""Seconds after which a test that waits fails."""


async def post(url: str, data: object = None) -> Any:
    """Make a POST call, and give its answer decoded from JSON, if it has any."""
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
        answer = await http.post(url, json=data)
    answer.raise_for_status()
    return answer.json() if answer.content else None


async def receive_until(peer: Peer, **fields: object) -> dict[str, Any]:
    """Receive messages until one has these fields, and give that one."""
    with anyio.fail_after(PATIENCE):
        while True:
            message: dict[str, Any] = await receive_json(peer)
            if fields.items() <= message.items():
                return message


async def refusal(url: str, subprotocols: Sequence[str] = ()) -> int:
    """Try to connect, and give the status that the handshake is refused with."""
    with pytest.raises(Refused) as refused:
        async with httpx_ws_client(url, subprotocols=subprotocols):
            pass
    return refused.value.status
