"""Files as answers."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.websocket.files import FileResponse, StaticFiles, file, media_type
from tests.websocket.exchange import Answer, RawHeaders, ask, client, http_scope, websocket_scope

LONG = bytes(range(256)) * 1024


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "site"
    (root / "docs" / ".git").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_text("home")
    (root / "app.js").write_text("app")
    (root / "docs" / "index.html").write_text("docs")
    (root / "docs" / "a b.txt").write_text("ab")
    (root / "docs" / ".git" / "config").write_text("secret")
    (root / ".env").write_text("secret")
    (root / "out").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "inside.js").symlink_to(root / "app.js")
    (root / "hidden").symlink_to(root / ".env")
    (root / "circle").symlink_to(root / "circle")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "long.bin"
    path.write_bytes(LONG)
    return path


@pytest.fixture
def static(site: Path) -> StaticFiles:
    return StaticFiles(site)


@pytest.fixture
def bare(site: Path) -> StaticFiles:
    return StaticFiles(site, index=None, max_age=60)


async def get(static: StaticFiles, path: str, method: str = "GET", root_path: str = "") -> Answer:
    return await ask(static, http_scope(path, method=method, root_path=root_path))


async def fetch(path: Path, headers: RawHeaders = (), method: str = "GET") -> Answer:
    return await ask(FileResponse(path), http_scope(method=method, headers=headers))


# ------------------------------------------------------------------ a single file


async def test_a_file_is_sent_with_all_that_caches_need(path: Path) -> None:
    answer = await fetch(path)

    assert (answer.status, answer.body, answer.is_complete) == (200, LONG, True)
    assert answer.headers["content-length"] == str(len(LONG))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["last-modified"].endswith("GMT")


async def test_head_tells_the_length_without_the_body(path: Path) -> None:
    answer = await fetch(path, [("range", "bytes=0-1")], "HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(LONG))


async def test_a_file_that_has_not_changed_is_304(path: Path) -> None:
    first = (await fetch(path)).headers
    conditions = [
        ("if-none-match", first["etag"]),
        ("if-none-match", f'"x", W/{first["etag"]}'),
        ("if-none-match", "*"),
        ("if-modified-since", first["last-modified"]),
    ]

    for condition in conditions:
        answer = await fetch(path, [condition])

        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == first["etag"]
        assert "content-length" not in answer.headers


async def test_a_file_that_has_changed_is_sent(path: Path) -> None:
    last_modified = (await fetch(path)).headers["last-modified"]
    conditions = [
        [("if-none-match", '"other"')],
        [("if-none-match", '"other"'), ("if-modified-since", last_modified)],
        [("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        [("if-modified-since", "never")],
        [("if-modified-since", "Thu, 01 Jan 2099 00:00:00 -0000")],
    ]

    for condition in conditions:
        assert (await fetch(path, condition)).status == 200


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, len(LONG)),
        ("bytes=-5", len(LONG) - 5, len(LONG)),
        ("bytes=0-99999999", 0, len(LONG)),
        ("bytes=-99999999", 0, len(LONG)),
        ("Bytes = 70000-140000", 70000, 140001),
    ],
)
async def test_a_part_of_a_file_can_be_asked_for(
    path: Path, asked: str, start: int, end: int
) -> None:
    answer = await fetch(path, [("range", asked)])

    assert (answer.status, answer.body) == (206, LONG[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(LONG)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0", f"bytes={len(LONG)}-"])
async def test_a_part_that_is_not_there_is_416(path: Path, asked: str) -> None:
    answer = await fetch(path, [("range", asked)])

    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(LONG)}"


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=x-y",
        "bytes=0-1,3-4",
        "bytes=5-1",
        "lines=0-1",
        "bytes=²-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
async def test_a_range_that_is_none_is_ignored(path: Path, asked: str) -> None:
    assert (await fetch(path, [("range", asked)])).status == 200


async def test_a_download_is_only_resumed_on_the_same_file(path: Path) -> None:
    first = (await fetch(path)).headers

    for condition, status in (
        (first["etag"], 206),
        (first["last-modified"], 206),
        ('"other"', 200),
        (f"W/{first['etag']}", 200),
    ):
        answer = await fetch(path, [("range", "bytes=0-1"), ("if-range", condition)])

        assert answer.status == status


async def test_a_file_that_is_missing_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    peer = client()

    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError):
            await ask(FileResponse(missing), peer=peer)

    assert peer.sent == []


async def test_a_file_can_be_read_whole(path: Path) -> None:
    assert await FileResponse(path).read() == LONG


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("/etc/report.pdf", 'attachment; filename="report.pdf"'),
        ("..\\report.pdf", 'attachment; filename="report.pdf"'),
        ("grün.pdf", "attachment; filename*=UTF-8''gr%C3%BCn.pdf"),
        ('a"; x="b.pdf', "attachment; filename*=UTF-8''a%22%3B%20x%3D%22b.pdf"),
        ("a\r\nb.pdf", "attachment; filename*=UTF-8''a%0D%0Ab.pdf"),
    ],
)
async def test_the_name_of_a_file_cannot_break_out(name: str, disposition: str) -> None:
    answer = await ask(file(b"x", file_name=name))

    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["content-type"] == "application/pdf"


async def test_a_file_may_be_a_path_or_bytes(path: Path) -> None:
    for value in (path, str(path)):
        answer = await ask(file(value, "text/x", content_disposition="inline"))

        assert answer.body == LONG
        assert answer.headers["content-disposition"] == 'inline; filename="long.bin"'
        assert answer.headers["content-type"] == "text/x"
    assert (await ask(file(b"x"))).headers["content-disposition"] == "attachment"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.JS", "text/javascript; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file_is_that_of_its_name(name: str, expected: str) -> None:
    assert media_type(name) == expected


# ------------------------------------------------------------------ a directory


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        ("/", b"home"),
        ("/index.html", b"home"),
        ("/app.js", b"app"),
        ("/docs/", b"docs"),
        ("/docs/a b.txt", b"ab"),
        ("/inside.js", b"app"),
    ],
)
async def test_the_files_of_a_directory_are_served(
    static: StaticFiles, asked: str, body: bytes
) -> None:
    answer = await get(static, asked)

    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "asked",
    [
        "/none",
        "/empty/",
        "/app.js/",
        "/app.js/x",
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/docs/../app.js",
        "/./app.js",
        "//app.js",
        "/docs//a b.txt",
        "//",
        "/..",
        "/..\\secret.txt",
        "/docs\\a b.txt",
        "/C:/secret.txt",
        "/app.js\0",
        "/app.js\n",
        "/.env",
        "/docs/.git/config",
        "/out",
        "/up/secret.txt",
        "/hidden",
        "/circle",
        "/pipe",
        "/" + "a" * 5000,
        "/\ud800",
    ],
)
async def test_everything_else_is_not_found(static: StaticFiles, asked: str) -> None:
    answer = await get(static, asked)

    assert answer.status == 404
    assert b"secret" not in answer.body


async def test_a_directory_without_its_slash_is_redirected(static: StaticFiles) -> None:
    docs = await get(static, "/docs")
    mounted = await get(static, "/static", root_path="/static")

    assert (docs.status, docs.headers["location"]) == (308, "./docs/")
    assert (mounted.status, mounted.headers["location"]) == (308, "./static/")


async def test_a_mounted_directory_sees_what_is_below_its_path(static: StaticFiles) -> None:
    assert (await get(static, "/static/app.js", root_path="/static")).body == b"app"
    assert (await get(static, "/static/", root_path="/static/")).body == b"home"
    assert (await get(static, "/app.js", root_path="/static")).body == b"app"
    assert (await get(static, "/staticapp.js", root_path="/static")).status == 404


async def test_head_works_and_other_methods_do_not(static: StaticFiles) -> None:
    head, post = await get(static, "/app.js", "HEAD"), await get(static, "/app.js", "POST")

    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "3")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")


async def test_a_file_that_cannot_be_read_is_not_found(
    static: StaticFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "open", refuse)

    assert (await get(static, "/app.js")).status == 404


async def test_an_index_may_be_left_out_and_caching_told(bare: StaticFiles) -> None:
    assert (await ask(bare, http_scope("/"))).status == 404
    assert (await ask(bare, http_scope("/app.js"))).headers["cache-control"] == "public, max-age=60"


async def test_a_handshake_is_refused(static: StaticFiles) -> None:
    peer = client()

    await static(websocket_scope("/app.js"), peer.receive, peer.send)

    assert peer.sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]


def test_a_directory_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="there is no directory"):
        StaticFiles(tmp_path / "none")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StaticFiles:
    root = tmp_path_factory.mktemp("small") / "root"
    root.mkdir()
    (root.parent / "secret").write_text("secret")
    return StaticFiles(root)


@given(path=st.text(alphabet=st.sampled_from("/.\\a:%\0 secret")))
async def test_no_path_leads_out(small: StaticFiles, path: str) -> None:
    answer = await get(small, f"/{path}")

    assert answer.status == 404
