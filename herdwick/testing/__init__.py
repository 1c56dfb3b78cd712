"""What users test their applications with: a part of the product.

General layout:

    transport   a WebSocket's transport in memory, the peer of which is the test
    client      HTTP calls and WebSockets against an application, without a server
"""

from .client import ClientResponse, HandlerStillRuns, Rejection, TestClient, TestWebSocket

__all__ = ["ClientResponse", "HandlerStillRuns", "Rejection", "TestClient", "TestWebSocket"]
