"""The server's certificate, loaded before anything else is started."""

import ssl
from os import PathLike
from typing import TypeAlias

File: TypeAlias = str | PathLike[str]


class CertificateUnusable(ValueError):
    """The files of a certificate and its key are not there, or do not fit."""

    def __init__(self, certfile: File | None, keyfile: File | None, reason: str) -> None:
        files = " with the key ".join(str(each) for each in (certfile, keyfile) if each)
        kind = "certificate" if certfile else "key"
        super().__init__(f"cannot use the {kind} {files}: {reason}")
        self.certfile = certfile
        """The file with the certificate, where one was named."""
        self.keyfile = keyfile
        """The file with its key, where one was named."""
        self.reason = reason
        """What is wrong with them."""


def load_certificate(certfile: File | None, keyfile: File | None) -> ssl.SSLContext | None:
    """Make the context of a server; None where there is no certificate.

    Raises:
        CertificateUnusable: A file is missing, or is not what it should be.
    """
    if certfile is None:
        if keyfile is not None:
            raise CertificateUnusable(None, keyfile, "its certificate is not given")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certfile, keyfile)
    except ssl.SSLError as error:
        reason = (error.reason or "no PEM of a certificate and its key").replace("_", " ")
        raise CertificateUnusable(certfile, keyfile, reason) from error
    except OSError as error:
        raise CertificateUnusable(certfile, keyfile, f"{error.strerror}".lower()) from error
    return context
