"""The promises of docs/explanation/promises.md, kept by real servers to clients in another process.

site         the application: what its handlers raise, its rooms, and what its process holds
servers      that application as a process, by each way to serve it
crowd        clients by the thousand in one thread, which is not the server's
members      clients that are members, and check that nothing is missing and nothing comes twice
report       what a run has found, as a table
soak         `make soak`: connections of all kinds come and go, and nothing is left of them
chaos        `make chaos`: whatever may die dies, and whoever lives misses nothing
"""

import os
from typing import Final

ALL_SIZES: Final = bool(os.environ.get("HERDWICK_FIRE"))
"""Whether the promises are put to the test at their full size, as with `make fire`."""
