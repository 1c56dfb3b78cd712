"""Who may call a handler: decorators that say it, and guardpost's strategies that decide it.

Everything here fails closed: what is not configured, not known, or breaks, lets nobody in.
"""

import inspect
import logging
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import cast

import guardpost
import rodi
from guardpost import AuthenticationHandler, AuthenticationStrategy, AuthorizationStrategy

from .binding import Handler, describe
from .headers import is_token
from .http import HTTPError
from .identity import Identity, as_identity
from .marks import AuthRule, allow_anonymous, allows_anonymous, auth, auth_rule
from .request import Request

__all__ = [
    "AuthNotConfigured",
    "AuthRule",
    "Guard",
    "allow_anonymous",
    "allows_anonymous",
    "auth",
    "auth_rule",
    "authenticate",
    "authorize",
    "check_configuration",
]

_logger = logging.getLogger("herdwick.auth")


class AuthNotConfigured(RuntimeError):
    """Handlers ask for an authentication or a policy that the application does not have.

    Raised when the application starts: these handlers would refuse everybody.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems: tuple[str, ...] = tuple(problems)
        """What is wrong, a sentence each."""


class Guard:
    """Who may call the handlers of one application; without strategies, all but those marked."""

    def __init__(self) -> None:
        self.authentication: AuthenticationStrategy | None = None
        """Tells who a request comes from; None until it is used."""
        self.authorization: AuthorizationStrategy | None = None
        """Tells whether that is enough; None until it is used."""

    @property
    def configured(self) -> bool:
        """Whether there is a strategy; without one, only handlers that ask for auth are refused."""
        return self.authentication is not None or self.authorization is not None

    def use_authentication(self, services: rodi.Container) -> AuthenticationStrategy:
        """Return the authentication strategy; handlers given as classes come from `services`."""
        self.authentication = self.authentication or AuthenticationStrategy(container=services)
        return self.authentication

    def use_authorization(self, services: rodi.Container) -> AuthorizationStrategy:
        """Return the authorization strategy; requirements as classes come from `services`.

        A default policy of it holds for every handler without a mark of its own.
        """
        self.authorization = self.authorization or AuthorizationStrategy(container=services)
        return self.authorization

    def check(self, handlers: Iterable[Handler]) -> None:
        """Check, when the application starts, that each handler can have what it asks for.

        Raises:
            AuthNotConfigured: Some cannot; the message names each, and what to do.
        """
        check_configuration(handlers, self.authentication, self.authorization)

    async def admit(self, request: Request, handler: Handler) -> None:
        """Set the identity of a request, and let it pass to this handler or not.

        Raises:
            HTTPError: As `authenticate` and `authorize`.
        """
        rule = auth_rule(handler)
        if self.authentication is not None:
            await authenticate(request, self.authentication, rule.schemes if rule else ())
        if not allows_anonymous(handler):
            await authorize(request, rule, self.authentication, self.authorization)


def check_configuration(
    handlers: Iterable[Handler],
    authentication: AuthenticationStrategy | None,
    authorization: AuthorizationStrategy | None,
) -> None:
    """Check, when the application starts, that each handler can have what it asks for.

    Raises:
        AuthNotConfigured: Some cannot; the message names each, and what to do.
    """
    problems = [
        f"{describe(handler)}: {problem}"
        for handler in handlers
        if (rule := auth_rule(handler)) is not None
        for problem in _problems(rule, authentication, authorization)
    ]
    if authorization is not None and authentication is None:
        problems.append("use_authorization() needs use_authentication(): nobody is ever known")
    if problems:
        raise AuthNotConfigured(problems)


async def authenticate(
    request: Request, strategy: AuthenticationStrategy, schemes: Sequence[str] = ()
) -> None:
    """Set the identity of a request, or None where no handler knows who it comes from.

    An identity that is not authenticated counts as none.

    Raises:
        HTTPError: 429 after too many failures; 500 if a handler breaks, which is logged; or
            what a handler raises to refuse the request itself.
    """
    identity = None
    try:
        identity = await _identify(request, strategy, schemes)
    except HTTPError:
        raise
    except Exception as error:
        raise _answer(error, strategy, schemes) from error
    finally:
        # In any case: guardpost leaves behind what it found, and an empty one for nobody.
        request.identity = identity


async def authorize(
    request: Request,
    rule: AuthRule | None,
    authentication: AuthenticationStrategy | None,
    authorization: AuthorizationStrategy | None,
) -> None:
    """Let a request pass that meets the rule, or, without a rule, the default policy if any.

    Raises:
        HTTPError: 401 without an identity; 403 with one that is not enough; 500 if a requirement
            breaks or something is not configured, which is logged.
    """
    if rule is None and (authorization is None or authorization.default_policy is None):
        return
    schemes = rule.schemes if rule else ()
    try:
        await _decide(request, rule, authentication, authorization)
    except HTTPError:
        raise
    except Exception as error:
        raise _answer(error, authentication, schemes) from error


async def _identify(
    request: Request, strategy: AuthenticationStrategy, schemes: Sequence[str]
) -> Identity | None:
    found: object = await strategy.authenticate(request, list(schemes) or None)
    # A handler whose coroutine function hides behind a decorator: guardpost does not await it.
    if inspect.isawaitable(found):
        found = await found
    if found is None:
        return None
    if not isinstance(found, guardpost.Identity):
        raise TypeError(f"an authentication handler returned a {type(found).__qualname__}")
    return as_identity(found) if found.is_authenticated() else None


async def _decide(
    request: Request,
    rule: AuthRule | None,
    authentication: AuthenticationStrategy | None,
    authorization: AuthorizationStrategy | None,
) -> None:
    if rule is not None:
        problems = _problems(rule, authentication, authorization)
        if problems:
            raise AuthNotConfigured(problems)
        if request.identity is None:
            raise guardpost.UnauthorizedError(None, [])
    strategy = authorization or AuthorizationStrategy()
    policy, roles = (rule.policy, rule.roles) if rule else (None, ())
    identity = cast(guardpost.Identity, request.identity)  # None is allowed, if not in its types
    await strategy.authorize(policy, identity, request, roles or None)


def _answer(
    error: Exception, authentication: AuthenticationStrategy | None, schemes: Sequence[str]
) -> HTTPError:
    match error:
        case guardpost.ForbiddenError():
            return HTTPError(HTTPStatus.FORBIDDEN)
        case guardpost.UnauthorizedError():
            challenge = error.scheme or ", ".join(_challenges(authentication, schemes))
            headers = {"www-authenticate": challenge} if challenge else None
            return HTTPError(HTTPStatus.UNAUTHORIZED, headers=headers)
        case guardpost.RateLimitExceededError():
            return HTTPError(HTTPStatus.TOO_MANY_REQUESTS)
        case _:
            text = "authentication failed to decide; refused with 500"
            _logger.error(text, exc_info=error, extra={"kind": "auth_failed", "status": 500})
            return HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR)


def _challenges(strategy: AuthenticationStrategy | None, schemes: Sequence[str]) -> Iterator[str]:
    for scheme in _schemes(strategy):
        if scheme is not None and is_token(scheme) and (not schemes or scheme in schemes):
            yield scheme


def _problems(
    rule: AuthRule,
    authentication: AuthenticationStrategy | None,
    authorization: AuthorizationStrategy | None,
) -> list[str]:
    known = _schemes(authentication)
    if not known:
        return [
            "it asks for auth(), and nobody is ever known; "
            "call app.use_authentication().add(handler)"
        ]
    problems = [
        f"there is no authentication handler for the scheme {scheme!r}; add it, or use one of "
        f"{', '.join(filter(None, known))}"
        for scheme in rule.schemes
        if scheme not in known and None not in known
    ]
    if rule.policy is not None and (
        authorization is None or authorization.get_policy(rule.policy) is None
    ):
        problems.append(
            f"there is no policy {rule.policy!r}; call app.use_authorization().add(Policy(...))"
        )
    return problems


def _schemes(strategy: AuthenticationStrategy | None) -> list[str | None]:
    # None stands for a class that the container makes: only its instances say their scheme.
    schemes: list[str | None] = []
    for handler in strategy.handlers if strategy else ():
        if not isinstance(handler, type):
            schemes.append(handler.scheme)
        elif handler.scheme is AuthenticationHandler.scheme:
            schemes.append(handler.__name__)
        else:
            schemes.append(None)
    return schemes
