"""HTTP answers: responses, and errors that are answered as a status."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import anyio

from .asgi_types import ASGIReceive, ASGISend, Scope
from .codec import encode_json
from .headers import HeaderFields, InvalidHeader, ResponseHeaders, encode_field

Body: TypeAlias = bytes | AsyncIterator[bytes]
"""What a response carries: the whole, or its pieces as they come."""

SameSite: TypeAlias = Literal["lax", "strict", "none"]

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that a body has to clean up when it is not sent to its end."""

# RFC 9110 sections 15.3.5 and 15.4.5: the answers that never have a body.
_BODILESS = frozenset({204, 304})

# What a URL may hold as it is, the percent sign of what is encoded already included.
_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%~"

# RFC 6265 section 4.1.1; what else a value must not hold is refused as a header.
_NOT_IN_COOKIES = frozenset(' ",;\\\t')


class HTTPError(Exception):
    """Raised anywhere in a request, it is answered with this status: `raise HTTPError(404)`.

    The client sees `detail`.
    """

    def __init__(
        self, status: int, detail: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        if not 300 <= status <= 599:
            raise ValueError(f"{status} is not the status of an error; use one from 300 to 599")
        super().__init__(": ".join(filter(None, (f"{status} {reason_phrase(status)}", detail))))
        self.status = status
        """The status of the answer, from 300 to 599."""
        self.detail = detail
        """What the client is told; what the status means where it is empty."""
        self.headers = ResponseHeaders(headers or {})
        """What is added to the header of the answer."""

    def response(self) -> "Response":
        """Return the answer: the detail as text, or what the status means."""
        answer = text(self.detail or reason_phrase(self.status), self.status)
        for name in {name for name, _ in self.headers}:
            answer.headers.remove(name)
        for name, value in self.headers:
            answer.headers.add(name, value)
        return answer


class Response:
    """An answer to an HTTP request; also an ASGI application that gives this answer.

    A body that is an iterator is sent piece by piece, once. When the client leaves, it is
    cancelled, even while it waits for something else, and closed. For that the client is listened
    to from the start of the answer on: read the body of the request before.
    """

    def __init__(
        self, status: int = 200, headers: HeaderFields | None = None, body: Body = b""
    ) -> None:
        self.status = status
        """The status."""
        self.headers = ResponseHeaders(headers or {})
        """What the answer says beside its length, which is added when it is sent."""
        self.body = body
        """What follows the header: bytes, or an iterator that gives them."""

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Send the answer; that the client is gone is no error.

        Cancelling it leaves a part of the answer unsent, and closes the body.
        """
        try:
            await self._send(scope, receive, send)
        except _ClientGone:
            pass
        finally:
            await self.discard()

    async def read(self) -> bytes:
        """Return the whole body; a body that is an iterator is used up and kept as bytes."""
        if not isinstance(self.body, bytes):
            try:
                whole = b"".join([piece async for piece in self.body])
            finally:
                await self.discard()
            self.body = whole
        return self.body

    async def discard(self) -> None:
        """Close a body that is not to be sent, or no further; it takes `CLOSE_TIMEOUT` at most."""
        close = getattr(self.body, "aclose", None)
        if close is not None:
            # Shielded: a cancelled body still has to let go of what it holds.
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await close()

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        http_only: bool = True,
        same_site: SameSite = "lax",
    ) -> None:
        """Add a cookie that lives for `max_age` seconds (0 removes it), or as long as the browser.

        Raises:
            InvalidHeader: Something in it cannot be in a cookie (RFC 6265 section 4.1.1).
        """
        encode_field(name, "")  # a cookie's name is a token too
        if _NOT_IN_COOKIES & set(value) or ";" in path + (domain or ""):
            raise InvalidHeader("set-cookie", f"cannot hold the value of {name!r}; encode it")
        parts = [f"{name}={value}", f"Path={path}", f"SameSite={same_site.capitalize()}"]
        if domain is not None:
            parts.append(f"Domain={domain}")
        if max_age is not None:
            parts.append(f"Max-Age={max_age}")
        parts += [flag for flag, is_set in (("Secure", secure), ("HttpOnly", http_only)) if is_set]
        self.headers.add("set-cookie", "; ".join(parts))

    async def _send(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await _deliver(send, self._start())
        if scope["method"] == "HEAD" or self.status in _BODILESS:
            await _deliver(send, _piece(b"", more=False))
        elif isinstance(self.body, bytes):
            await _deliver(send, _piece(self.body, more=False))
        else:
            await _stream(self.body, receive, send)

    def _start(self) -> dict[str, object]:
        fields = self.headers.raw()
        if isinstance(self.body, bytes) and self.status not in _BODILESS:
            fields = [field for field in fields if field[0] != b"content-length"]
            fields.append((b"content-length", b"%d" % len(self.body)))
        return {"type": "http.response.start", "status": self.status, "headers": fields}


class _ClientGone(Exception):
    pass


async def _stream(body: AsyncIterator[bytes], receive: ASGIReceive, send: ASGISend) -> None:
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
        try:
            await _send_pieces(body, send)
        # Raised again outside: here it would be wrapped in a group.
        except Exception as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _send_pieces(body: AsyncIterator[bytes], send: ASGISend) -> None:
    async for piece in body:
        if piece:
            await _deliver(send, _piece(piece, more=True))
    await _deliver(send, _piece(b"", more=False))


async def _cancel_when_gone(receive: ASGIReceive, scope: anyio.CancelScope) -> None:
    rest = True
    while True:
        try:
            event = await receive()
        # However the server puts it: there is nobody to send to.
        except Exception:
            event = {"type": "http.disconnect"}
        if event["type"] == "http.disconnect":
            scope.cancel()
            return
        if not rest:  # a server that repeats the end of the body must not make us spin
            return
        rest = event.get("more_body", False)


async def _deliver(send: ASGISend, event: dict[str, object]) -> None:
    try:
        await send(event)
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise _ClientGone from error


def _piece(body: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def json(data: object, status: int = 200) -> Response:
    """Answer with JSON; see `encode_json` for what it takes."""
    return Response(status, {"content-type": "application/json"}, encode_json(data))


def text(value: str, status: int = 200) -> Response:
    """Answer with plain text."""
    return Response(status, {"content-type": "text/plain; charset=utf-8"}, value.encode())


def html(value: str, status: int = 200) -> Response:
    """Answer with a page; `value` is sent as it is, so escape what comes from others."""
    return Response(status, {"content-type": "text/html; charset=utf-8"}, value.encode())


def stream(
    body: AsyncIterator[bytes],
    content_type: str = "application/octet-stream",
    status: int = 200,
) -> Response:
    """Answer piece by piece, as `body` gives them; see `Response` for its end."""
    return Response(status, {"content-type": content_type}, body)


def no_content() -> Response:
    """Answer that all is done and there is nothing to say, with 204."""
    return Response(204)


def redirect(location: str, status: int = 302) -> Response:
    """Send the client elsewhere: 303 asks for a GET, 307 and 308 for the same method again.

    What a URL cannot hold is percent-encoded. A location that the client chose is its own doing:
    check that it leads where it should.

    Raises:
        InvalidHeader: The location holds a line break or another control character.
    """
    if not location.isprintable():
        raise InvalidHeader("location", f"cannot hold the control characters of {location!r}")
    return Response(status, {"location": quote(location, safe=_URL_CHARACTERS)})


def status_code(status: int, message: object = None) -> Response:
    """Answer with this status; a message goes out as plain text if it is text, else as JSON."""
    if message is None:
        return Response(status)
    return text(message, status) if isinstance(message, str) else json(message, status)


def ok(message: object = None) -> Response:
    """Answer with 200."""
    return status_code(200, message)


def created(message: object = None, location: str = "") -> Response:
    """Answer with 201, and where the new thing is."""
    response = status_code(201, message)
    if location:
        response.headers["location"] = redirect(location).headers["location"]
    return response


def accepted(message: object = None) -> Response:
    """Answer with 202."""
    return status_code(202, message)


def bad_request(message: object = None) -> Response:
    """Answer with 400."""
    return status_code(400, message)


def unauthorized(message: object = None) -> Response:
    """Answer with 401; add a `WWW-Authenticate` header (RFC 9110 section 15.5.2)."""
    return status_code(401, message)


def forbidden(message: object = None) -> Response:
    """Answer with 403."""
    return status_code(403, message)


def not_found(message: object = None) -> Response:
    """Answer with 404."""
    return status_code(404, message)


def to_response(value: object) -> Response:
    """Return what a handler returned as a response.

    A response stays as it is, None is 204, text is plain text, bytes are bytes, and all else is
    JSON.
    """
    if isinstance(value, Response):
        return value
    if value is None:
        return no_content()
    if isinstance(value, bytes):
        return Response(200, {"content-type": "application/octet-stream"}, value)
    return status_code(200, value)


def reason_phrase(status: int) -> str:
    """Return what a status means, in the words of its RFC."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
