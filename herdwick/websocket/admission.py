"""Whether one more WebSocket is taken: by how many there are, how fast they come, from where."""

from __future__ import annotations

import sys
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from herdwick.actors import Bucket

from .limits import MOST_CONNECTIONS
from .request import UNKNOWN

if TYPE_CHECKING:
    from herdwick.actors import Connection

    from .limits import Limits
    from .request import Request

if sys.platform != "win32":
    import resource

UNREADABLE: Final = "an unreadable address"
"""What all addresses are counted as that are none."""


class Admission:
    """Decides before there is an actor; it keeps nothing of what it refuses."""

    def __init__(self, limits: Limits) -> None:
        self._most = most_connections() if limits.connections is None else limits.connections
        self._pace = None if limits.handshakes is None else Bucket(limits.handshakes)
        self._most_per_address = limits.connections_per_address
        self._addresses: dict[str, int] = {}
        """How many there are from each, where there are any; empty where nobody counts them."""

    def __len__(self) -> int:
        return len(self._addresses)

    def refusal(self, request: Request, carried: int, now: float) -> tuple[int, str] | None:
        """Give status and reason of a refusal, where so many are carried; None lets it in."""
        if carried >= self._most:
            return 503, f"there are {carried} connections (Limits.connections)"
        if self._most_per_address is not None:
            address = network_of(request.client_ip)
            if address is not None and self._addresses.get(address, 0) >= self._most_per_address:
                return 429, f"{address} has {self._most_per_address} (connections_per_address)"
        if self._pace is not None and not self._pace.take(now):
            return 503, "they come too fast (Limits.handshakes)"
        return None

    def enter(self, request: Request, connection: Connection) -> None:
        """Count a connection, until it has ended."""
        address = None if self._most_per_address is None else network_of(request.client_ip)
        if address is not None:
            self._addresses[address] = self._addresses.get(address, 0) + 1
            connection.over.then(partial(self._leave, address))

    def _leave(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


def descriptor_limit() -> int | None:
    """Give how many descriptors this process may have open; None where there is no limit."""
    if sys.platform == "win32":
        return None
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if descriptors == resource.RLIM_INFINITY else descriptors


def most_connections() -> int:
    """Give how many WebSockets the descriptors of this process are enough for."""
    descriptors = descriptor_limit()
    if descriptors is None:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, descriptors * 4 // 5))


def network_of(address: str) -> str | None:
    """Give what one client has of addresses: one of IPv4, but 64 bits of IPv6.

    None for who has no address, as of a client that came over a UNIX socket: there is nothing that
    tells it from others. All that cannot be read are one: who could write some other text each time
    would else never be counted.
    """
    if address == UNKNOWN:
        return None
    try:
        parsed = ip_address(_without_port(address))
    except ValueError:
        return UNREADABLE
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()


def _without_port(address: str) -> str:
    """Leave out the port that some proxies write behind an address, and what sets it off."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
