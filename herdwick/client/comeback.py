"""When a client comes back, and when it stays away: pure decisions."""

from email.utils import parsedate_to_datetime
from typing import Final

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
LOST: Final = 1006
TOKEN_EXPIRED: Final = 4401
FORBIDDEN: Final = 4403

FAULTS: Final = frozenset({1002, 1003, 1007, 1008, 1009})
"""What the client is closed with that has broken a rule, and may do so again."""

LONGEST: Final = 30.0
"""Seconds that no wait between two tries exceeds, but for what the server asks for."""


AFTER_A_FAULT: Final = 6
"""The number of the next try at least, after one of these: that of the longest wait."""


def wait_before(attempt: int, chance: float) -> float:
    """Give the seconds to wait before the n-th try in a row, the first being 1: full jitter.

    Args:
        attempt: The number of the try.
        chance: From 0 to 1, at random.
    """
    return chance * min(LONGEST, 0.5 * 2.0 ** min(attempt, 10))


def stays_away(code: int) -> bool:
    """Tell whether a close code asks the client not to come back.

    4401 does not by itself: with a new token the client does.
    """
    return code in (NORMAL, FORBIDDEN) or 4500 <= code <= 4999


def refuses_for_good(status: int) -> bool:
    """Tell whether a handshake answered with this status would be answered so again."""
    return status < 500 and status not in (408, 425, 429)


def retry_after(value: str | None, now: float) -> float:
    """Read `Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3); 0 where unreadable.

    Args:
        value: The field of the response; None where it has none.
        now: Seconds since 1970.
    """
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return 0.0
