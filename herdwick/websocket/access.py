"""What was answered: a line for each refusal, and the access log, for those who ask for it."""

import logging
from typing import Final

from .request import Request

logger: Final = logging.getLogger("herdwick")

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


def log_refusal(request: Request, status: int, reason: str) -> None:
    """Log that a handshake was refused, and why."""
    peer, path = request.client_ip, request.path
    told = {"kind": "refused", "peer": peer, "path": path, "status": status, "reason": reason}
    logger.info("handshake for %s refused with %d: %s", path, status, reason, extra=told)
