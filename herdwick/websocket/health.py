"""How an application is, for load balancers and process managers."""

from collections.abc import Callable

from .asgi_types import ASGIReceive, ASGISend, Scope
from .http import HTTPError, Response, text


class Health:
    """Answers at `/live` and `/ready`, as an ASGI application; what `app.serve_health` mounts."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Answer a request with 200 or 503, or with 404 or 405."""
        if scope["type"] != "http":  # a handshake that has come astray: answered with 403
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        await self._answer(path, scope["method"])(scope, receive, send)

    def _answer(self, path: str, method: str) -> Response:
        if path not in ("/live", "/ready"):
            return HTTPError(404).response()
        if method not in ("GET", "HEAD"):
            return HTTPError(405, headers={"allow": "GET, HEAD"}).response()
        well = path == "/live" or self._is_ready()
        response = text("ok\n") if well else text("not ready\n", 503)
        response.headers["cache-control"] = "no-store"
        return response
