"""Rooms and topics under fire: crashes, cancellations and slow readers, all at once."""

import os
from typing import Final

ALL_SIZES: Final = bool(os.environ.get("HERDWICK_FIRE"))
"""Whether the largest run on each backend, as with `make fire`; else on asyncio alone."""
