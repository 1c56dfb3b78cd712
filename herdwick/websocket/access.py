"""The access log: one line for each request and each handshake, off unless somebody asks for it."""

import logging
from typing import Final

from .request import Request

access: Final = logging.getLogger("herdwick.access")
"""On from INFO: what `herdwick.run(access_log=True)` sets. Strangers decide how long it gets."""

if access.level == logging.NOTSET:  # nobody has configured it yet
    access.setLevel(logging.WARNING)


def log_answer(request: Request, status: int) -> None:
    """Log what a request, or a handshake, was answered with."""
    if not access.isEnabledFor(logging.INFO):
        return
    scope = request.scope
    target = request.raw_path
    if request.query_string:
        target = f"{target}?{request.query_string.decode('latin-1')}"
    handshake = scope["type"] == "websocket"
    method = "WebSocket" if handshake else request.method
    told = {
        "kind": "handshake" if handshake else "request",
        "peer": request.client_ip,
        "method": method,
        "path": target,
        "status": status,
    }
    line = '%s - "%s %s HTTP/%s" %d'
    version = scope.get("http_version", "1.1")
    access.info(line, request.client_ip, method, target, version, status, extra=told)
