"""Which origins may open a WebSocket: the guard against cross-site hijacking."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from herdwick.actors import RawHeaders

ANY: Final = "*"
"""In a list of origins: every origin may connect, and nothing is checked any more."""

_PORTS = {"http": 80, "https": 443}
_HTTP_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._~[]:")


class InvalidOrigin(ValueError):
    """An allowed origin is written in a way that no browser would send."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"{origin!r} is no origin; write scheme, host and port only, "
            "such as 'https://example.com' or 'http://localhost:8000'"
        )
        self.origin = origin
        """The text that was given as one."""


class Origin(NamedTuple):
    """Where a page comes from (RFC 6454); the port is None where the scheme has no default."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def read(cls, text: str) -> "Origin | None":
        """Return the origin that this text means, or None if it means none, such as `null`."""
        scheme, separator, authority = text.strip().lower().partition("://")
        if not separator or not scheme or not scheme.replace("-", "").replace("+", "").isalnum():
            return None
        return _from_authority(scheme, authority)


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """Which pages may open a WebSocket; what is no browser sends no `Origin` at all.

    A page may if its origin is the server's own (the scheme that the request came with, the host
    and the port of its `Host`), or one of `origins`. Behind a proxy that ends TLS the scheme is
    only right if the server heeds the proxy's headers; else list the public origin.
    """

    origins: frozenset[str] = frozenset()
    """Origins that may connect beside the server's own; `*` lets everyone."""

    require_origin: bool = False
    """Whether a handshake without an `Origin`, from no browser, is refused too."""

    _allowed: frozenset[Origin] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        allowed = frozenset(_allowed(origin) for origin in self.origins - {ANY})
        object.__setattr__(self, "_allowed", allowed)  # the way to do it in a frozen class

    @classmethod
    def of(cls, origins: Iterable[str] = (), *, require_origin: bool = False) -> "OriginPolicy":
        """Return the policy that allows these origins.

        Raises:
            InvalidOrigin: One of them is not written as an origin.
        """
        return cls(frozenset([origins] if isinstance(origins, str) else origins), require_origin)

    def refusal(self, scheme: str, headers: RawHeaders) -> str | None:
        """Return why this handshake is refused, or None if it may go on.

        `scheme` is that of the request: ws, wss, http or https. Header names are in lower case.
        """
        sent = _values(headers, b"origin")
        if not sent:
            return "there is no Origin header" if self.require_origin else None
        if ANY in self.origins:
            return None
        origin = Origin.read(sent[0]) if len(sent) == 1 else None
        if origin is None:
            return "there is no single, valid Origin header"
        if origin in self._allowed or origin == _own(scheme, headers):
            return None
        return "the origin is not allowed"


def _allowed(text: str) -> Origin:
    origin = Origin.read(text)
    if origin is None:
        raise InvalidOrigin(text)
    return origin


def _own(scheme: str, headers: RawHeaders) -> Origin | None:
    hosts = _values(headers, b"host")
    known = _HTTP_SCHEMES.get(scheme)
    return _from_authority(known, hosts[0].lower()) if known and len(hosts) == 1 else None


def _from_authority(scheme: str, authority: str) -> Origin | None:
    if not authority or not _HOST_CHARACTERS.issuperset(authority):
        return None
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or authority.endswith(":"):
        return None
    return Origin(scheme, parts.hostname, _PORTS.get(scheme) if port is None else port)


def _values(headers: RawHeaders, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
