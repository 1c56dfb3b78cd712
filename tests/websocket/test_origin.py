"""Which origins may open a WebSocket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.websocket.origin import InvalidOrigin, Origin, OriginPolicy


def refusal(
    policy: OriginPolicy, origin: str | None, host: str = "example.com", scheme: str = "wss"
) -> str | None:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    return policy.refusal(scheme, headers)


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("wss", "example.com", "https://example.com"),
        ("wss", "example.com:443", "https://example.com"),
        ("https", "example.com", "https://example.com:443"),
        ("ws", "example.com", "http://example.com"),
        ("ws", "localhost:8000", "http://localhost:8000"),
        ("ws", "EXAMPLE.com", "HTTP://example.COM"),
        ("ws", "[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_own_origin_may_connect(scheme: str, host: str, origin: str) -> None:
    assert refusal(OriginPolicy(), origin, host, scheme) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "http://example.com",
        "https://example.com:8443",
        "https://example.com:0",
        "https://sub.example.com",
        "https://example.com.evil.com",
        "https://notexample.com",
        "https://example.com.",
        "https://user@example.com",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com:",
        "https://example.com:x",
        "https://example.com:99999",
        "https://",
        "https://[::1",
        "://example.com",
        "file://example.com",
        "null",
        "",
        "*",
        "example.com",
        "https://ex\xe4mple.com",
        "https://example.com https://evil.com",
    ],
)
def test_every_other_origin_is_refused(origin: str) -> None:
    assert refusal(OriginPolicy(), origin) is not None


@pytest.mark.parametrize(
    "host", ["", "a b", "example.com,evil.com", "example.com/", "x@example.com"]
)
def test_without_a_valid_host_there_is_no_own_origin(host: str) -> None:
    assert refusal(OriginPolicy(), "https://example.com", host) is not None


def test_two_hosts_are_no_host() -> None:
    headers = [(b"host", b"example.com")] * 2 + [(b"origin", b"https://example.com")]

    assert OriginPolicy().refusal("wss", headers) == "the origin is not allowed"


def test_two_origins_are_refused_even_if_both_are_allowed() -> None:
    headers = [(b"host", b"example.com")] + [(b"origin", b"https://example.com")] * 2

    assert OriginPolicy().refusal("wss", headers) == "there is no single, valid Origin header"


def test_a_missing_host_is_no_own_origin() -> None:
    assert OriginPolicy().refusal("wss", [(b"origin", b"https://example.com")]) is not None


def test_listed_origins_may_connect_wherever_the_host() -> None:
    policy = OriginPolicy.of(["https://app.example", "capacitor://localhost"])

    assert refusal(policy, "https://app.example:443") is None
    assert refusal(policy, "capacitor://localhost") is None
    assert refusal(policy, "https://example.com") is None
    assert refusal(policy, "http://app.example") is not None
    assert refusal(policy, "null") is not None


def test_what_is_no_browser_may_connect_unless_an_origin_is_required() -> None:
    assert refusal(OriginPolicy(), None) is None
    assert refusal(OriginPolicy(require_origin=True), None) == "there is no Origin header"
    assert refusal(OriginPolicy.of("*", require_origin=True), None) is not None


def test_a_star_lets_everyone_in() -> None:
    policy = OriginPolicy.of("*")

    assert refusal(policy, "https://evil.com") is None
    assert refusal(policy, "null") is None


@pytest.mark.parametrize(
    "origin", ["example.com", "https://*.example.com", "https://example.com/", "null", ""]
)
def test_a_list_with_what_is_no_origin_is_a_mistake(origin: str) -> None:
    with pytest.raises(InvalidOrigin, match="write scheme, host and port only"):
        OriginPolicy.of([origin])


def test_an_unknown_scheme_has_no_own_origin() -> None:
    assert refusal(OriginPolicy(), "ftp://example.com", scheme="ftp") is not None


@given(st.text(), st.text())
def test_no_text_makes_it_fail(origin: str, host: str) -> None:
    headers = [(b"origin", origin.encode()), (b"host", host.encode())]

    refused = OriginPolicy().refusal("ws", headers)

    assert refused is not None or Origin.read(origin) is not None
