"""The echo that the cases of Autobahn speak with, with room for what they send.

    python -m tests.autobahn.app PORT

serves it by our listener on asyncio, where `herdwick run` takes uvicorn.
"""

import sys

import anyio

from herdwick import Application, Limits, WebSocket, serve

BIG = 64 * 1024 * 1024
"""Bytes; the largest messages, in section 9, have 16 MiB."""

FRAGMENTS = 100_000
"""Case 9.3.1 sends 4 MiB in fragments of 64 bytes."""

app = Application(
    limits=Limits(
        message_bytes=BIG,
        message_fragments=FRAGMENTS,
        inbox_bytes=BIG,
        outbox_bytes=BIG,
        pause_timeout=60,
        send_timeout=60,
    )
)


@app.ws("/")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket:
        if isinstance(message, str):
            await websocket.send_text(message)
        else:
            await websocket.send_bytes(message)


async def main(port: int) -> None:
    async with serve(app, port=port):
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
