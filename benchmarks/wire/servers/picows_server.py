"""The server of picows, with callbacks.

python -m benchmarks.wire.servers.picows_server PORT
"""

# The type checkers' environment has no picows.
# mypy: disable-error-code="import-not-found, misc"
# pyright: basic, reportMissingImports=false

import json
import sys

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

room: set[WSTransport] = set()


class Listener(WSListener):
    """Closes when the client does; picows leaves that to its users."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        else:
            self.on_message(transport, frame)

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Ignore it."""


class Echo(Listener):
    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(frame.msg_type, frame.get_payload_as_bytes())


class JSONEcho(Listener):
    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(WSMsgType.TEXT, encoded_anew(frame))


class Subscribe(Listener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        room.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        room.discard(transport)


class Publish(Listener):
    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        text = encoded_anew(frame)
        for member in room:
            member.send(WSMsgType.TEXT, text)


def encoded_anew(frame: WSFrame) -> bytes:
    return json.dumps(json.loads(frame.get_payload_as_utf8_text())).encode()


ROUTES = {b"/echo": Echo, b"/json": JSONEcho, b"/room": Subscribe, b"/publish": Publish}


def listener(request: WSUpgradeRequest) -> Listener:
    return ROUTES[request.path]()


async def main(port: int) -> None:
    server = await ws_create_server(listener, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
