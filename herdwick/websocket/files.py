"""Files as answers: a single one, and a directory of them."""

import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from io import BufferedReader
from mimetypes import MimeTypes
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from anyio import to_thread

from .asgi_types import ASGIReceive, ASGISend, Scope
from .headers import HeaderFields, Headers
from .http import Body, HTTPError, Response

CHUNK_BYTES: Final = 64 * 1024
"""How much of a file is read and sent at once."""

Disposition: TypeAlias = Literal["attachment", "inline"]
"""Whether a browser saves a file or shows it."""

# Made here, not in the loop: the module reads files of the system for its own table.
_KNOWN_TYPES = MimeTypes()

# What that table lacks, or has from another time.
_MEDIA_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".map": "application/json",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


def file(
    value: str | os.PathLike[str] | Body,
    content_type: str | None = None,
    *,
    file_name: str | None = None,
    content_disposition: Disposition = "attachment",
) -> Response:
    """Answer with a file: the one at a path, or one made of bytes, whole or piece by piece.

    The name is what a browser saves it as; without one it is that of the path. Never make a path
    of what a client sent: `StaticFiles` knows how to.
    """
    path = Path(value) if isinstance(value, (str, os.PathLike)) else None
    name = file_name or (path.name if path else "")
    headers = {
        "content-type": content_type or media_type(name),
        "content-disposition": _disposition(content_disposition, name),
    }
    if isinstance(value, (str, os.PathLike)):
        return FileResponse(value, headers)
    return Response(200, headers, value)


class FileResponse(Response):
    """The file at a path: cached by its `ETag`, and resumed by `Range` (RFC 9110 section 14).

    It is opened when the answer is sent, and read in a thread.
    """

    def __init__(self, path: str | os.PathLike[str], headers: HeaderFields | None = None) -> None:
        super().__init__(200, headers)
        self.path = Path(path)

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Send the file, a part of it, or that it has not changed.

        Raises:
            OSError: It cannot be opened; nothing was sent.
        """
        opened = await to_thread.run_sync(_open, self.path)
        try:
            asked = Headers(scope["headers"])
            await self._answer(opened, asked, scope["method"])(scope, receive, send)
        finally:
            opened.handle.close()

    async def read(self) -> bytes:
        """Return the whole file."""
        return await to_thread.run_sync(self.path.read_bytes)

    def _answer(self, opened: "_Opened", asked: Headers, method: str) -> Response:
        response = Response(self.status, [*self.headers])
        if "content-type" not in response.headers:
            response.headers["content-type"] = media_type(self.path.name)
        response.headers["etag"] = opened.etag
        response.headers["last-modified"] = formatdate(opened.modified, usegmt=True)
        response.headers["accept-ranges"] = "bytes"
        if self.status == HTTPStatus.OK and _is_unchanged(asked, opened):
            response.status = HTTPStatus.NOT_MODIFIED
            return response
        part = None
        if self.status == HTTPStatus.OK and method == "GET" and _may_resume(asked, opened):
            part = _part(asked.get("range", ""), opened.size)
        return _with_body(response, opened, part)


class StaticFiles:
    """The files of a directory, as an ASGI application; what `app.serve_files` mounts.

    Only regular files below the directory are served. Whatever leads out of it, be it `..` or a
    link, and whatever has a part that starts with a dot, is not found. A directory is answered
    with its `index`, if it has one.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        max_age: int | None = None,
    ) -> None:
        """Serve a directory; `max_age` is how many seconds clients may go without asking again.

        Raises:
            NotADirectoryError: There is no such directory.
        """
        self.root: Path = Path(directory).resolve()
        """The directory, links resolved."""
        if not self.root.is_dir():
            raise NotADirectoryError(f"there is no directory {os.fspath(directory)!r} to serve")
        self.index = index
        """The file that a directory is answered with."""
        self._headers = {"x-content-type-options": "nosniff"}
        if max_age is not None:
            self._headers["cache-control"] = f"public, max-age={max_age}"

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Answer a request with a file, or with 404 or 405."""
        if scope["type"] != "http":  # a handshake that has come astray: answered with 403
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        response = await self._find(scope)
        try:
            await response(scope, receive, send)
        except (FileNotFoundError, PermissionError):
            await HTTPError(HTTPStatus.NOT_FOUND).response()(scope, receive, send)

    async def _find(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            allow = {"allow": "GET, HEAD"}
            return HTTPError(HTTPStatus.METHOD_NOT_ALLOWED, headers=allow).response()
        path = _below_mount(scope)
        located = await to_thread.run_sync(self._locate, path)
        if located is None:
            return HTTPError(HTTPStatus.NOT_FOUND).response()
        if located.is_directory_without_slash:
            # Relative, and "./" first: no part of the path can name another host or scheme.
            last = quote(scope["path"].rpartition("/")[2])
            return Response(HTTPStatus.PERMANENT_REDIRECT, {"location": f"./{last}/"})
        return FileResponse(located.path, self._headers)

    def _locate(self, path: str) -> "_Located | None":
        inner = path.removeprefix("/").removesuffix("/")
        parts = [] if path in ("", "/") else inner.split("/")
        if any(map(_is_forbidden, parts)):
            return None
        try:
            target = self._inside(self.root.joinpath(*parts))
            if not target.is_dir():
                return None if path.endswith("/") else _Located(target)
            if self.index is None:
                return None
            index = self._inside(target / self.index)
        # RuntimeError is how Python 3.11 and 3.12 tell of links that go round in a circle.
        except (OSError, RuntimeError, ValueError):
            return None
        return _Located(index, is_directory_without_slash=not path.endswith("/"))

    def _inside(self, path: Path) -> Path:
        resolved = path.resolve(strict=True)
        parts = resolved.relative_to(self.root).parts  # ValueError: a link leads out of it
        if any(map(_is_forbidden, parts)):
            raise FileNotFoundError(path)
        return resolved


@dataclass(frozen=True, slots=True)
class _Located:
    path: Path
    is_directory_without_slash: bool = False


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file, and what was true of it when it was opened."""

    handle: BufferedReader
    size: int
    modified: int
    etag: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes of a file, from `start` up to, but without, `end`; empty: none can be had."""

    start: int
    end: int


def media_type(name: str) -> str:
    """Return the content type for a file of this name."""
    suffix = os.path.splitext(name)[1].lower()
    guessed, encoding = _KNOWN_TYPES.guess_type(f"file{suffix}", strict=False)
    found = _MEDIA_TYPES.get(suffix) or guessed
    if found is None or encoding is not None:
        return "application/octet-stream"
    return f"{found}; charset=utf-8" if found.startswith("text/") else found


def _disposition(kind: Disposition, name: str) -> str:
    name = name.replace("\\", "/").rpartition("/")[2]
    if not name:
        return kind
    if name.isascii() and name.isprintable() and not {'"', "%"} & set(name):
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"  # RFC 8187


def _open(path: Path) -> _Opened:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
        raise FileNotFoundError(f"{path} is no regular file")
    handle = path.open("rb")
    facts = os.fstat(handle.fileno())
    etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    return _Opened(handle, facts.st_size, int(facts.st_mtime), etag)


def _is_unchanged(asked: Headers, opened: _Opened) -> bool:
    tags = asked.get("if-none-match")
    if tags is not None:  # RFC 9110 section 13.1.3: it has the last word
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return opened.etag in known or tags.strip() == "*"
    since = _timestamp(asked.get("if-modified-since", ""))
    return since is not None and opened.modified <= since


def _may_resume(asked: Headers, opened: _Opened) -> bool:
    condition = asked.get("if-range")
    return condition is None or condition in (
        opened.etag,
        formatdate(opened.modified, usegmt=True),
    )


def _part(text: str, size: int) -> _Part | None:
    """Read a `Range` header; None if it is not there, not valid, or for several parts."""
    unit, _, range_text = text.replace(" ", "").partition("=")
    first, dash, last = range_text.partition("-")
    numbers = first + last
    if unit.lower() != "bytes" or not dash or len(numbers) > 40 or not _is_number(numbers):
        return None
    if not first:
        return _Part(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return _Part(int(first), min(size, int(last) + 1) if last else size)


def _with_body(response: Response, opened: _Opened, part: _Part | None) -> Response:
    if part is not None and part.start >= part.end:
        response.status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        response.headers["content-range"] = f"bytes */{opened.size}"
        return response
    if part is not None:
        response.status = HTTPStatus.PARTIAL_CONTENT
        response.headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{opened.size}"
    part = part or _Part(0, opened.size)
    response.headers["content-length"] = str(part.end - part.start)
    response.body = _chunks(opened.handle, part)
    return response


async def _chunks(handle: BufferedReader, part: _Part) -> AsyncIterator[bytes]:
    await to_thread.run_sync(handle.seek, part.start)
    rest = part.end - part.start
    while rest > 0 and (chunk := await to_thread.run_sync(handle.read, min(rest, CHUNK_BYTES))):
        rest -= len(chunk)
        yield chunk


def _timestamp(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _below_mount(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    is_below = path == root or path.startswith(f"{root}/")
    return path[len(root) :] if root and is_below else path


def _is_forbidden(part: str) -> bool:
    # Backslash and colon split paths on Windows; control characters are nobody's file name.
    return (
        not part or part.startswith(".") or not part.isprintable() or bool({"\\", ":"} & set(part))
    )
