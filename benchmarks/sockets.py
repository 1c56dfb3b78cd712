"""A crowd of WebSocket clients in a process of its own, which does nothing but take the time.

    python -m benchmarks.sockets PORT CLIENTS ROUNDS

It joins `arena:a` with each, prints "ready", and in the end when each was told of each publication.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: herdwick.v1\r\n\r\n"
)
JOIN: Final = b'{"type":"join","ref":1,"topic":"arena:a"}'


def main(arguments: Sequence[str]) -> None:
    """Join, and take the times."""
    port, count, rounds = (int(each) for each in arguments)
    clients = [joined(port) for _ in range(count)]
    print("ready", flush=True)
    print(json.dumps(times(clients, rounds)), flush=True)


def joined(port: int) -> socket.socket:
    """Connect, and become a member."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(HANDSHAKE)
    read_until(client, b"\r\n\r\n")
    # Masked with zeros: the text travels as it is.
    client.sendall(bytes((0x81, 0x80 | len(JOIN), 0, 0, 0, 0)) + JOIN)
    read_until(client, b'"joined"')
    return client


def read_until(client: socket.socket, end: bytes) -> None:
    """Read what comes before something, and it."""
    data = b""
    while end not in data:
        more = client.recv(4096)
        if not more:
            raise ConnectionError(f"the server has closed: {data!r}")
        data += more


def times(clients: Sequence[socket.socket], rounds: int) -> list[list[float]]:
    """Give, for each client, when it was told of each publication."""
    told: dict[socket.socket, list[float]] = {client: [] for client in clients}
    with selectors.DefaultSelector() as selector:
        for each in clients:
            each.setblocking(False)
            selector.register(each, selectors.EVENT_READ)
        while any(len(moments) < rounds for moments in told.values()):
            for key, _ in selector.select(60):
                assert isinstance(key.fileobj, socket.socket)
                client = key.fileobj
                data, now = client.recv(65536), time.perf_counter()
                if not data:
                    raise ConnectionError("the server has closed")
                told[client] += [now] * data.count(b'"publication"')
    return list(told.values())


if __name__ == "__main__":
    main(sys.argv[1:])
