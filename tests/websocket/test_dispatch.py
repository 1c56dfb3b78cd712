"""From a request to its handler: which path counts where an application is mounted."""

import pytest

from herdwick.websocket import Request
from herdwick.websocket.dispatch import route_path


def handshake(raw_path: str, path: str, root_path: str) -> Request:
    return Request(
        {
            "type": "websocket",
            "path": path,
            "raw_path": raw_path.encode(),
            "root_path": root_path,
            "headers": [],
            "query_string": b"",
        }
    )


@pytest.mark.parametrize(
    ("raw_path", "path", "root_path", "expected"),
    [
        ("/chat/1", "/chat/1", "", "/chat/1"),
        ("/api/chat/1", "/api/chat/1", "/api", "/chat/1"),
        ("/api/chat/1", "/api/chat/1", "/api/", "/chat/1"),
        ("/api", "/api", "/api", "/"),
        ("/apiary/1", "/apiary/1", "/api", "/apiary/1"),
        ("/a%20b/c%2Fd", "/a b/c/d", "/a b", "/c%2Fd"),
        ("/a@b/c", "/a@b/c", "/a@b", "/c"),
        ("/chat/1", "/chat/1", "/stripped", "/chat/1"),
    ],
)
def test_routes_are_matched_below_the_root_path(
    raw_path: str, path: str, root_path: str, expected: str
) -> None:
    assert route_path(handshake(raw_path, path, root_path)) == expected
