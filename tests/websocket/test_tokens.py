"""Identities out of tokens."""

import sys
import time
from typing import Any

import jwt
import pytest
from guardpost import AuthenticationStrategy, InvalidCredentialsError
from guardpost.jwks import JWKS
from guardpost.jwks import openid as guardpost_openid

from herdwick import Application, WebSocket, auth
from herdwick.testing import TestClient
from herdwick.websocket import jwks
from herdwick.websocket.auth import authenticate
from herdwick.websocket.http import HTTPError
from herdwick.websocket.request import Request
from herdwick.websocket.tokens import (
    JWTBearer,
    MissingExtra,
    token_from_cookie,
    token_from_header,
    token_from_query,
    token_from_subprotocol,
)
from tests.websocket.exchange import RawHeaders, http_scope, websocket_scope

SECRET = "a secret of at least thirty-two bytes"
ISSUER = "https://id.example"


def token(secret: str = SECRET, **claims: object) -> str:
    payload = {"iss": ISSUER, "aud": "chat", "sub": "ada", "exp": time.time() + 3600} | claims
    return jwt.encode(payload, secret, algorithm="HS256")


def bearer(headers: RawHeaders = (), **more: Any) -> Request:
    return Request(http_scope(headers=headers, **more))


def with_token(text: str) -> Request:
    return bearer([("authorization", f"Bearer {text}")])


def handler(**more: Any) -> JWTBearer:
    return JWTBearer.with_secret(SECRET, issuers=[ISSUER], audiences=["chat"], **more)


# ------------------------------------------------------------------ where tokens are


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("authorization", "Bearer abc")], "abc"),
        ([("authorization", "bearer  abc ")], "abc"),
        ([("authorization", "Basic abc")], None),
        ([("authorization", "Bearer ")], None),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], None),
        ([], None),
    ],
)
def test_a_token_from_a_header(headers: RawHeaders, found: str | None) -> None:
    assert token_from_header()(bearer(headers)) == found


def test_a_token_from_a_cookie_or_the_query() -> None:
    request = bearer([("cookie", "session=abc")], query="access_token=def")

    assert token_from_cookie("session")(request) == "abc"
    assert token_from_cookie("other")(request) is None
    assert token_from_query()(request) == "def"
    assert token_from_query("token")(request) is None


@pytest.mark.parametrize(
    ("offered", "found"),
    [
        (["chat", "bearer.abc.def"], "abc.def"),
        (["bearer.a", "bearer.b"], None),
        (["chat"], None),
        (None, None),
    ],
)
def test_a_token_from_a_subprotocol(offered: list[str] | None, found: str | None) -> None:
    request = Request(websocket_scope(subprotocols=offered))

    assert token_from_subprotocol()(request) == found


def test_only_the_header_is_looked_at_unless_said_otherwise() -> None:
    request = bearer([("cookie", f"access_token={token()}")], query=f"access_token={token()}")

    assert token_from_header()(request) is None


# ------------------------------------------------------------------ what they say


async def test_a_valid_token_is_an_identity() -> None:
    identity = await handler().authenticate(with_token(token(roles=["admin"])))

    assert identity is not None
    assert identity.id == "ada"
    assert identity.is_authenticated()
    assert identity.has_role("admin")


async def test_the_first_token_that_there_is_counts() -> None:
    sources = [token_from_header(), token_from_query()]
    request = bearer(query=f"access_token={token()}")

    assert await handler(sources=sources).authenticate(request) is not None
    assert await handler().authenticate(request) is None


async def test_an_expired_token_is_as_good_as_none() -> None:
    assert await handler().authenticate(with_token(token(exp=time.time() - 1))) is None


@pytest.mark.parametrize(
    "text",
    [
        token("another secret of thirty-two bytes or more"),
        token(aud="other"),
        token(iss="https://evil.example"),
        jwt.encode({"iss": ISSUER, "aud": "chat", "sub": "ada"}, "", algorithm="none"),
        "x",
        "a.b.c",
        "é.é.é",
        "A" * 9000,
        # Its header is 4,000 opening brackets.
        "W1tb" * 1333 + ".e30.AA",
    ],
)
async def test_an_invalid_token_is_refused_without_a_crash(text: str) -> None:
    request = with_token(text)

    with pytest.raises(InvalidCredentialsError):
        await handler().authenticate(request)
    await authenticate(request, AuthenticationStrategy(handler()))

    assert request.identity is None


async def test_a_validator_that_breaks_lets_nobody_in() -> None:
    class Unreachable:
        async def validate_jwt(self, access_token: str) -> dict[str, Any]:
            raise ConnectionError("no keys")

    strategy = AuthenticationStrategy(JWTBearer(Unreachable()))

    with pytest.raises(HTTPError, match="500"):
        await authenticate(with_token("x"), strategy)


def test_the_scheme_is_that_of_the_challenge() -> None:
    assert handler().scheme == "Bearer"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "guardpost.jwts", None)

    with pytest.raises(MissingExtra, match=r"pip install 'herdwick\[jwt\]'"):
        handler()
    with pytest.raises(MissingExtra, match=r"pip install 'herdwick\[jwt\]'"):
        JWTBearer.with_authority(ISSUER, audiences=["chat"])


# ------------------------------------------------------------------ keys of a provider


async def test_the_keys_of_a_provider_are_fetched_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(url: str) -> dict[str, Any]:
        if url.endswith("/.well-known/openid-configuration"):
            return {"jwks_uri": f"{ISSUER}/keys"}
        return {"keys": []}

    monkeypatch.setattr(guardpost_openid, "read_json_data", read)

    assert await jwks.AuthorityKeys(ISSUER).get_keys() == JWKS([])


async def test_a_token_of_an_unknown_key_or_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(url: str) -> dict[str, Any]:
        return {"jwks_uri": "x", "keys": []}

    monkeypatch.setattr(guardpost_openid, "read_json_data", read)
    bearer_of_authority = JWTBearer.with_authority(ISSUER, audiences=["chat"])
    unknown = jwt.encode({"sub": "ada"}, SECRET, algorithm="HS256", headers={"kid": "other"})

    for text in (unknown, "malformed"):
        with pytest.raises(InvalidCredentialsError):
            await bearer_of_authority.authenticate(with_token(text))


# ------------------------------------------------------------------ tokens among subprotocols


@pytest.mark.parametrize(
    "text", ["====", "Zm9v!.bar.baz", "..", "a.b", "e30.e30.", "bearer.x", "a" * 8193]
)
async def test_a_token_among_the_subprotocols_that_is_none_lets_nobody_in(text: str) -> None:
    offered = ["chat", f"bearer.{text}"]
    bearer = handler(sources=[token_from_subprotocol()])
    request = Request(websocket_scope(subprotocols=offered))

    await authenticate(request, AuthenticationStrategy(bearer))

    assert request.identity is None


@pytest.mark.parametrize("prefix", ["bearer.", "token-"])
async def test_a_token_is_never_accepted_as_the_subprotocol_nor_logged(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = token()
    offered = ["chat", f"{prefix}{secret}"]
    app = Application(debug=True)
    sources = [token_from_subprotocol(prefix)]
    app.use_authentication().add(handler(sources=sources))
    errors: list[str] = []

    @app.ws("/")
    @auth()
    async def careless(websocket: WebSocket) -> None:
        for subprotocol in (websocket.subprotocols[-1], "other"):
            with pytest.raises(ValueError, match="accept") as refused:
                await websocket.accept(subprotocol=subprotocol)
            errors.append(str(refused.value))
        await websocket.accept(subprotocol=websocket.subprotocols[-1])

    caplog.set_level("DEBUG")
    async with (
        TestClient(app, raise_errors=False) as client,
        client.websocket_connect("/", subprotocols=offered) as socket,
    ):
        assert socket.rejection is not None
        assert socket.rejection.status == 500
        told = socket.rejection.text()

    assert "is not sent back" in errors[0]
    assert "['chat']" in errors[1]
    assert secret not in f"{errors} {told} {caplog.text}"


def test_a_prefix_that_everything_has_is_refused() -> None:
    with pytest.raises(ValueError, match="prefix is empty"):
        token_from_subprotocol("")
