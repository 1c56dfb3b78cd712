"""Peers that read nothing, and either wait or flood, in a process of their own.

    python -m benchmarks.peers wait PORT PATH COUNT
    python -m benchmarks.peers flood PORT PATH COUNT BYTES

Once all are connected, "ready" is printed; then those that flood send messages of so many bytes, as
fast as the server takes them. At the end of the input, what each could send in the first second is
printed, in bytes.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack


def main(arguments: Sequence[str]) -> None:
    """Be what the command line says."""
    kind, port, path, count, *more = arguments
    with ExitStack() as stack:
        peers = [stack.enter_context(connected(int(port), path)) for _ in range(int(count))]
        print("ready", flush=True)
        if kind == "wait":
            sys.stdin.read()
        else:
            print(json.dumps(flood(peers, frame(int(more[0])))), flush=True)


def connected(port: int, path: str) -> socket.socket:
    """Connect, and shake hands."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        # One by one: what follows is not ours to read.
        byte = client.recv(1)
        if not byte:
            raise ConnectionError(f"the server has closed: {answer!r}")
        answer += byte
    if b" 101 " not in answer.partition(b"\r\n")[0]:
        raise ConnectionError(f"the upgrade was refused: {answer!r}")
    return client


def frame(size: int) -> memoryview:
    """Give a binary message; masked with zeros, it travels as it is."""
    return memoryview(b"\x82\xff" + size.to_bytes(8, "big") + bytes(4 + size))


def flood(peers: Sequence[socket.socket], message: memoryview) -> list[int]:
    """Send until the input ends; give the bytes that each could send in the first second."""
    sent = dict.fromkeys(peers, 0)
    end, in_time = time.monotonic() + 1, [0]
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for peer in peers:
            peer.setblocking(False)
            selector.register(peer, selectors.EVENT_WRITE)
        while True:
            for key, _ in selector.select(0.1):
                if key.fileobj is sys.stdin:
                    return in_time
                assert isinstance(key.fileobj, socket.socket)
                peer = key.fileobj
                try:
                    torn = sent[peer] % len(message)
                    sent[peer] += peer.send(message[torn:])
                except BlockingIOError:
                    pass
                except OSError:  # it was cut
                    selector.unregister(peer)
            if time.monotonic() < end:
                in_time = list(sent.values())


if __name__ == "__main__":
    main(sys.argv[1:])
