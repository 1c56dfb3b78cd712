"""Other ASGI applications under a path of ours, their WebSockets included."""

from __future__ import annotations

from typing import cast

from herdwick.actors import Connection, Phase, check_close_code

from .asgi_types import ASGIApp, ASGIEvent, ASGIReceive, ASGISend, Scope
from .http import Response


class Mounts:
    """Which application takes which path; the longest prefix wins."""

    def __init__(self) -> None:
        self._mounts: list[tuple[str, ASGIApp]] = []

    def add(self, path: str, app: ASGIApp) -> None:
        """Mount `app` at `path`.

        Raises:
            ValueError: The path is no path, or is taken.
        """
        prefix = path.rstrip("/")
        if prefix and not prefix.startswith("/"):
            raise ValueError(f"cannot mount at {path!r}; a path begins with '/'")
        if any(prefix == taken for taken, _ in self._mounts):
            raise ValueError(f"something is mounted at {path!r} already")
        self._mounts.append((prefix, app))
        self._mounts.sort(key=lambda mount: len(mount[0]), reverse=True)

    def find(self, path: str) -> tuple[str, ASGIApp] | None:
        """Give the prefix and the application that take a path."""
        for prefix, app in self._mounts:
            if path == prefix or path.startswith(f"{prefix}/"):
                return prefix, app
        return None


def inner_scope(scope: Scope, prefix: str) -> Scope:
    """Give the scope as the mounted application sees it: `root_path` grows by the prefix."""
    root = cast(str, scope.get("root_path", ""))
    return {**scope, "root_path": root + prefix}


class Mounted(Response):
    """The answer of a mounted application, which it gives by itself."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        super().__init__()
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Let the mounted application answer."""
        await self._app(inner_scope(scope, self._prefix), receive, send)


async def run_socket(app: ASGIApp, scope: Scope, connection: Connection) -> None:
    """Run a mounted application's WebSocket on a connection of ours."""
    socket = _Socket(connection)
    await app(scope, socket.receive, socket.send)


class _Socket:
    """A connection, spoken to in ASGI."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._connected = False
        self._refusal: ASGIEvent = {}
        self._body = b""

    async def receive(self) -> ASGIEvent:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        data = await self._connection.receive()
        if data is not None:
            return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
        ending = self._connection.ending
        assert ending is not None
        return {"type": "websocket.disconnect", "code": ending.code, "reason": ending.reason}

    async def send(self, event: ASGIEvent) -> None:
        _check(event["type"], self._connection.phase)
        match event["type"]:
            case "websocket.accept":
                self._connection.accept(event.get("subprotocol"), list(event.get("headers", ())))
            case "websocket.send":
                text = event.get("text")
                if not await self._connection.send(event["bytes"] if text is None else text):
                    raise OSError("the connection is over")
            case "websocket.close":
                code = event.get("code", 1000)
                check_close_code(code)
                self._connection.close(code, event.get("reason") or "")
            case "websocket.http.response.start":
                self._refusal = event
            case "websocket.http.response.body":
                self._body += event.get("body", b"")
                if not event.get("more_body", False):
                    fields = list(self._refusal.get("headers", ()))
                    self._connection.reject(self._refusal["status"], fields, self._body)
            case other:
                raise RuntimeError(f"a WebSocket takes no ASGI event {other!r}")


def _check(event: str, phase: Phase) -> None:
    """Refuse what ASGI does not allow now; what comes too late is the client's doing."""
    needed = Phase.OPEN if event == "websocket.send" else Phase.HANDSHAKE
    if event == "websocket.close" or phase is needed:
        return
    if phase is Phase.OVER:
        raise OSError("the connection is over")
    raise RuntimeError(
        f"the ASGI event {event!r} is not allowed while the WebSocket is {phase.name}"
    )
