"""The client over TLS."""

import ssl
import subprocess
from pathlib import Path

import pytest

from herdwick.client import Client, Message, Untrusted
from tests.client.server import publication, raw, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for the loopback address and its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*make, *files], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


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
