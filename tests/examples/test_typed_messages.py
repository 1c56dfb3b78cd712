"""Tests of examples/typed_messages.py."""

import msgspec

from examples.typed_messages import Balance, Deposit, Withdraw, app
from herdwick import serve
from tests.support.clients import httpx_ws_client as connect
from tests.support.clients import receive_json, send_json


async def test_json_messages_come_in_and_go_out_typed() -> None:
    async with serve(app) as url, connect(f"{url}/account/json") as peer:
        await send_json(peer, {"type": "Deposit", "amount": 5})
        await send_json(peer, {"type": "Withdraw", "amount": 2})

        balances = [await receive_json(peer) for _ in range(2)]

    assert balances == [{"type": "Balance", "amount": 5}, {"type": "Balance", "amount": 3}]


async def test_a_bad_message_is_answered_with_the_path_to_the_culprit_and_the_next_is_taken() -> (
    None
):
    async with serve(app) as url, connect(f"{url}/account/json") as peer:
        await send_json(peer, {"type": "Deposit", "amount": -5})
        complaint = await receive_json(peer)
        await send_json(peer, {"type": "Deposit", "amount": 5})

        balance = await receive_json(peer)

    assert complaint["error"] == "invalid_message"
    assert "`$.amount`" in complaint["detail"]
    assert balance == {"type": "Balance", "amount": 5}


async def test_the_same_handler_speaks_messagepack() -> None:
    async with serve(app) as url, connect(f"{url}/account/msgpack") as peer:
        await peer.send(msgspec.msgpack.encode(Deposit(5)))
        await peer.receive()
        await peer.send(msgspec.msgpack.encode(Withdraw(2)))

        answer = await peer.receive()

    assert answer == msgspec.msgpack.encode(Balance(3))
