"""Typed messages: what comes in is checked before the handler sees it, as JSON or MessagePack.

herdwick run examples.typed_messages:app

Connect to ws://127.0.0.1:8000/account/json and send {"type": "Deposit", "amount": 5}; then try
an amount of -5: the answer names what is wrong, and where.
"""

from typing import Annotated

from msgspec import Meta

import herdwick
from herdwick import Application, Message, WebSocket

app = Application()

Amount = Annotated[int, Meta(gt=0, le=1000)]


class Deposit(Message):
    amount: Amount


class Withdraw(Message):
    amount: Amount


class Balance(Message):
    amount: int


@app.ws("/account/json", on_invalid="reply")
@app.ws("/account/msgpack", codec="msgpack", on_invalid="reply")
async def account(websocket: WebSocket) -> None:
    await websocket.accept()
    balance = 0
    async for message in websocket.iter_as(Deposit, Withdraw):
        match message:
            case Deposit(amount):
                balance += amount
            case Withdraw(amount):
                balance -= amount
        await websocket.send_message(Balance(balance))


if __name__ == "__main__":
    herdwick.run(app)
