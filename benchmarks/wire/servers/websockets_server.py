"""The server of `websockets`, with its `broadcast`.

python -m benchmarks.wire.servers.websockets_server PORT
"""

import json
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

room: set[ServerConnection] = set()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def json_echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(json.dumps(json.loads(message)))


async def subscribe(connection: ServerConnection) -> None:
    room.add(connection)
    try:
        await connection.wait_closed()
    finally:
        room.remove(connection)


async def publish(connection: ServerConnection) -> None:
    async for message in connection:
        broadcast(room, json.dumps(json.loads(message)))


ROUTES = {"/echo": echo, "/json": json_echo, "/room": subscribe, "/publish": publish}


async def handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    await ROUTES[connection.request.path](connection)


async def main(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, backlog=2048) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
