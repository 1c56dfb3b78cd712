"""What the kernel does where we cannot: give a peer up that acknowledges nothing."""

import os
import socket
import stat
import sys
from contextlib import closing, suppress

import pytest
from anyio.abc import SocketAttribute

from herdwick.server.sockets import SEND_BACKSTOP
from tests.abuse.field import Field
from tests.server.wire import Wire

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")


def server_s_end(wire: Wire) -> socket.socket:
    """Find the accepted socket of a connection, which is open in this process."""
    ours = wire.stream.extra(SocketAttribute.local_address)  # noqa: S610 - anyio
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the list itself is closed by now; others are no peers'
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found = socket.socket(fileno=os.dup(int(name)))
                with closing(found):
                    if found.getpeername() == ours:
                        return found.dup()
    raise AssertionError("the server has no such connection")


async def test_what_is_accepted_is_given_up_by_the_kernel_after_20_seconds(field: Field) -> None:
    async with field.client() as wire:
        with server_s_end(wire) as accepted:
            timeout = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            nodelay = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert timeout == SEND_BACKSTOP * 1000 == 20_000
    assert nodelay == 1
