"""Identities out of tokens: where a request may carry one, and JWTs by guardpost's validators."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from guardpost import AuthenticationHandler, AuthException, InvalidCredentialsError

from .identity import Identity
from .request import Request

TOKEN_CHARACTERS: Final = 8192
"""How long a token may be; a longer one is as good as none."""

TokenSource: TypeAlias = Callable[[Request], str | None]
"""Looks for a token in one place of a request."""


class MissingExtra(ImportError):
    """Something was asked for that is installed on demand only."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs more packages: pip install 'herdwick[{extra}]'")
        self.extra = extra


class TokenValidator(Protocol):
    """Tells what a token says; every validator of `guardpost.jwts` is one."""

    def validate_jwt(self, access_token: str) -> Awaitable[dict[str, Any]]:
        """Return the claims of a valid token; raise guardpost's `AuthException` for another."""
        ...


def token_from_header(name: str = "authorization") -> TokenSource:
    """Look for `Authorization: Bearer <token>`; a browser cannot send it with a handshake."""

    def read(request: Request) -> str | None:
        values = request.headers.get_all(name)
        scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        return token.strip() or None if scheme.lower() == "bearer" else None

    return read


def token_from_cookie(name: str) -> TokenSource:
    """Look for a cookie, which browsers send with every request, other sites' included.

    The origin is checked for WebSockets; for HTTP give the cookie a `SameSite`.
    """
    return lambda request: request.cookies.get(name)


def token_from_query(name: str = "access_token") -> TokenSource:
    """Look for a parameter of the URL.

    URLs end up in the logs of proxies and in histories: use tokens that soon expire.
    """
    return lambda request: request.query.get(name)


def token_from_subprotocol(prefix: str = "bearer.") -> TokenSource:
    """Look for an offered subprotocol of a WebSocket that starts so: any browser can send one.

    In the browser: `new WebSocket(url, ["chat", "bearer." + token])`. Accept the other one, as in
    `websocket.accept(subprotocol="chat")`: a browser drops a connection that takes none of them,
    and a token is never accepted, as that would send it back.

    Raises:
        ValueError: The prefix is empty: every subprotocol would be a token.
    """
    if not prefix:
        raise ValueError('the prefix is empty; give one that only tokens have, such as "bearer."')

    def read(request: Request) -> str | None:
        offered: list[str] = request.scope.get("subprotocols") or []
        found = [item.removeprefix(prefix) for item in offered if item.startswith(prefix)]
        if found:
            request.bearer_prefix = prefix
        return found[0] if len(found) == 1 else None

    return read


class JWTBearer(AuthenticationHandler):
    """Knows who a request comes from by a JWT; the claims of its payload are the identity's.

    Expired and invalid tokens are as good as none; the latter count for a rate limiter.

        app.use_authentication().add(
            JWTBearer.with_secret(SECRET, issuers=["https://id.example"], audiences=["chat"])
        )
    """

    def __init__(
        self,
        validator: TokenValidator,
        *,
        sources: Sequence[TokenSource] = (token_from_header(),),
        scheme: str = "Bearer",
    ) -> None:
        self._validator = validator
        self._sources = tuple(sources)
        self._scheme = scheme

    @classmethod
    def with_secret(
        cls,
        secret: str | bytes,
        *,
        issuers: Sequence[str],
        audiences: Sequence[str],
        algorithms: Sequence[str] = ("HS256",),
        sources: Sequence[TokenSource] = (token_from_header(),),
    ) -> "JWTBearer":
        """Return a handler for tokens that are signed with a shared secret.

        Raises:
            MissingExtra: The extra `jwt` is not installed.
        """
        try:
            from guardpost.jwts import SymmetricJWTValidator
        except ImportError as error:
            raise MissingExtra("JWT authentication", "jwt") from error
        validator = SymmetricJWTValidator(
            secret_key=secret,
            valid_issuers=issuers,
            valid_audiences=audiences,
            algorithms=algorithms,
        )
        return cls(validator, sources=sources)

    @classmethod
    def with_authority(
        cls,
        authority: str,
        *,
        audiences: Sequence[str],
        issuers: Sequence[str] | None = None,
        algorithms: Sequence[str] = ("RS256",),
        sources: Sequence[TokenSource] = (token_from_header(),),
    ) -> "JWTBearer":
        """Return a handler for tokens of an OpenID Connect provider.

        The keys are fetched from it when they are first needed, and again every 3 hours.

        Raises:
            MissingExtra: The extra `jwt` is not installed.
        """
        try:
            from guardpost.jwts import AsymmetricJWTValidator

            from .jwks import AuthorityKeys
        except ImportError as error:
            raise MissingExtra("JWT authentication", "jwt") from error
        validator = AsymmetricJWTValidator(
            keys_provider=AuthorityKeys(authority),
            valid_issuers=issuers or [authority],
            valid_audiences=audiences,
            algorithms=algorithms,
        )
        return cls(validator, sources=sources)

    @property
    def scheme(self) -> str:
        """What `auth(authentication_schemes=[…])` and the `WWW-Authenticate` header call it."""
        return self._scheme

    # guardpost awaits what is a coroutine function; its types do not say so.
    async def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, context: Request
    ) -> Identity | None:
        """Return whom the first token that there is stands for, or None.

        Raises:
            InvalidCredentialsError: The token is not valid; guardpost takes it as None.
        """
        token = next((token for source in self._sources if (token := source(context))), None)
        if token is None:
            return None
        try:
            claims = await self._claims(token)
        # Not all that a hostile token provokes is an error of guardpost.
        except (AuthException, ValueError, RecursionError) as error:
            if type(error).__name__ == "ExpiredAccessToken":
                return None
            raise InvalidCredentialsError(context.client_ip) from error
        return Identity(claims, self._scheme)

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_CHARACTERS or not token.isascii():
            raise ValueError("the token is too long, or not made of ASCII")
        try:
            return await self._validator.validate_jwt(token)
        except Exception as error:
            # PyJWT's errors, without importing what is installed on demand.
            if type(error).__module__.partition(".")[0] == "jwt":
                raise ValueError(str(error)) from error
            raise
