"""What users test their applications and their actors with: a part of the product.

General layout:

    transport   a WebSocket's transport in memory, the peer of which is the test
    client      HTTP calls and WebSockets against an application, without a server
    clock       virtual time on asyncio and on trio, and `settle`
    probe       an actor's place that the test itself takes
    crashes     crashes that a test asks for, and those that it does not
    leaks       what a test has left behind
    harness     a system for the actors of one test
    contracts   what the author of a store tests it against

The fixtures for pytest are in the module `pytest_herdwick`, which pytest finds by itself.
"""

from .client import ClientResponse, HandlerStillRuns, Rejection, TestClient, TestWebSocket
from .clock import VIRTUAL_BACKENDS, Backend, VirtualTimeLoop, settle, virtual_backend
from .contracts import StoreContract
from .crashes import NoCrash, StillDown, UnexpectedCrash, crash
from .harness import ExpectedCrash, Harness
from .leaks import Leaked
from .probe import Asked, Probe, Unmet

__all__ = [
    "VIRTUAL_BACKENDS",
    "Asked",
    "Backend",
    "ClientResponse",
    "ExpectedCrash",
    "HandlerStillRuns",
    "Harness",
    "Leaked",
    "NoCrash",
    "Probe",
    "Rejection",
    "StillDown",
    "StoreContract",
    "TestClient",
    "TestWebSocket",
    "UnexpectedCrash",
    "Unmet",
    "VirtualTimeLoop",
    "crash",
    "settle",
    "virtual_backend",
]
