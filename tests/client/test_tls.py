"""The client over TLS."""

import ssl
from pathlib import Path

import pytest

from herdwick.client import Client, Message, Untrusted
from tests.client.server import publication, raw, serving


async def test_it_speaks_over_tls(certificate: Path, server_tls: ssl.SSLContext) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    async with serving(server_tls) as server:
        async with Client(server.url, ssl=trusted) as client, client.join("chat") as room:
            peer = await server.accepted()
            await peer.send(publication("x" * 200_000))

            assert await anext(room) == Message(raw("x" * 200_000))
        assert await server.all[0].wait_closed() == 1000


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    server_tls: ssl.SSLContext,
) -> None:
    async with serving(server_tls) as server:
        with pytest.raises(Untrusted, match="does not hold") as failed:
            async with Client(server.url):
                pass

        assert isinstance(failed.value.__cause__, ssl.SSLCertVerificationError)
