"""Who may call a handler."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import guardpost
import pytest
import rodi
from guardpost import (
    AuthenticationHandler,
    AuthenticationStrategy,
    AuthorizationContext,
    AuthorizationStrategy,
    InvalidCredentialsError,
    Policy,
    RateLimiter,
    Requirement,
)
from guardpost.common import AuthenticatedRequirement, ClaimsRequirement

from herdwick.websocket.auth import (
    AuthNotConfigured,
    AuthRule,
    Guard,
    allow_anonymous,
    auth,
    authenticate,
    authorize,
    check_configuration,
)
from herdwick.websocket.http import HTTPError
from herdwick.websocket.request import Request
from tests.websocket.exchange import http_scope, websocket_scope

Handler = Callable[[], Awaitable[None]]


class Key(AuthenticationHandler):
    """Knows who a request comes from by a header."""

    def __init__(self, claims: dict[str, object] | None = None, mode: str | None = "Key") -> None:
        self.claims = claims or {}
        self.mode = mode

    def authenticate(self, context: Request) -> guardpost.Identity | None:
        name = context.headers.get("x-user")
        return guardpost.Identity({"sub": name, **self.claims}, self.mode) if name else None


class PlainKey(Key):
    """The same, as a class that a container makes."""

    def __init__(self) -> None:
        super().__init__()


class AsyncKey(Key):
    """The same, asynchronously."""

    async def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, context: Request
    ) -> guardpost.Identity | None:
        return super().authenticate(context)


class Returns(AuthenticationHandler):
    """Returns whatever it was told."""

    def __init__(self, value: object) -> None:
        self.value = value

    def authenticate(self, context: Request) -> guardpost.Identity | None:
        if isinstance(self.value, Exception):
            raise self.value
        return cast("guardpost.Identity | None", self.value)


class Teapot(Requirement):
    """A requirement that answers by itself."""

    async def handle(self, context: AuthorizationContext) -> None:
        raise HTTPError(418)


class Breaks(Requirement):
    """A requirement with a bug."""

    async def handle(self, context: AuthorizationContext) -> None:
        raise LookupError("bug")


async def open_handler() -> None: ...


@auth()
async def known() -> None: ...


@auth("staff")
async def staff() -> None: ...


@auth(roles=["admin"])
async def admin() -> None: ...


@auth(authentication_schemes=["Key"])
async def by_key() -> None: ...


@allow_anonymous()
async def anyone() -> None: ...


def request_of(user: str = "") -> Request:
    return Request(websocket_scope(headers=[("x-user", user)] if user else []))


def guard_with(
    *handlers: AuthenticationHandler | type[AuthenticationHandler],
    policies: Sequence[Policy] | None = None,
    default: Policy | None = None,
) -> Guard:
    guard = Guard()
    services: Any = rodi.Container()
    services.register(PlainKey)
    for handler in handlers:
        guard.use_authentication(services).add(handler)
    for policy in policies or ():
        guard.use_authorization(services).add(policy)
    if default is not None:
        guard.use_authorization(services).with_default_policy(default)
    return guard


async def status_of(guard: Guard, handler: Handler, user: str = "") -> int:
    try:
        await guard.admit(request_of(user), handler)
    except HTTPError as error:
        return error.status
    return 200


# ------------------------------------------------------------------ who it is


@pytest.mark.parametrize("handler", [Key(), AsyncKey(), PlainKey])
async def test_an_identity_is_set_with_an_id(handler: AuthenticationHandler) -> None:
    request = request_of("ada")

    await guard_with(handler).admit(request, known)

    assert request.identity is not None
    assert request.identity.id == "ada"


async def test_the_identity_is_known_where_nobody_asks_for_it() -> None:
    request = request_of("ada")

    await guard_with(Key()).admit(request, open_handler)

    assert request.identity is not None


@pytest.mark.parametrize("handler", [Key(), AsyncKey()])
async def test_nobody_is_none_and_not_an_empty_identity(handler: AuthenticationHandler) -> None:
    request = request_of()

    await guard_with(handler).admit(request, anyone)

    assert request.identity is None


async def test_an_identity_that_is_not_authenticated_counts_as_none() -> None:
    guard = guard_with(Key({"roles": ["admin"]}, mode=None))
    request = request_of("ada")

    await guard.admit(request, anyone)

    assert request.identity is None
    assert await status_of(guard, admin, "ada") == 401


async def test_an_identity_of_an_earlier_attempt_does_not_stay() -> None:
    request = request_of("ada")
    await authenticate(request, AuthenticationStrategy(Key()))

    with pytest.raises(HTTPError):
        await authenticate(request, AuthenticationStrategy(Returns(LookupError())))

    assert request.identity is None


async def test_a_handler_that_hides_its_coroutine_is_awaited() -> None:
    async def late() -> guardpost.Identity:
        return guardpost.Identity({"sub": "late"}, "x")

    request = request_of()

    await authenticate(request, AuthenticationStrategy(Returns(late())))

    assert request.identity is not None
    assert request.identity.id == "late"


@pytest.mark.parametrize("value", [LookupError("bug"), True, {"sub": "1"}, "ada"])
async def test_a_handler_that_breaks_lets_nobody_in_and_is_logged(
    value: object, caplog: pytest.LogCaptureFixture
) -> None:
    guard = guard_with(Returns(value), Key())

    for handler in (known, open_handler, anyone):
        assert await status_of(guard, handler, "ada") == 500

    assert caplog.records[0].name == "herdwick.auth"
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].exc_info


async def test_a_handler_may_refuse_by_itself() -> None:
    assert await status_of(guard_with(Returns(HTTPError(403))), open_handler) == 403
    forbidden = guardpost.ForbiddenError(None, [])
    assert await status_of(guard_with(Returns(forbidden)), open_handler) == 403


async def test_invalid_credentials_are_as_good_as_none(caplog: pytest.LogCaptureFixture) -> None:
    guard = guard_with(Returns(InvalidCredentialsError("10.0.0.1")))

    assert await status_of(guard, known) == 401
    assert await status_of(guard, open_handler) == 200
    assert not [record for record in caplog.records if record.exc_info]


async def test_too_many_failures_are_429() -> None:
    limiter = RateLimiter(lambda request: cast(Request, request).client_ip, threshold=1)
    strategy = AuthenticationStrategy(
        Returns(InvalidCredentialsError("unknown")), rate_limiter=limiter
    )
    await authenticate(request_of(), strategy)

    with pytest.raises(HTTPError, match="429"):
        await authenticate(request_of(), strategy)


# ------------------------------------------------------------------ whether it is enough


async def test_auth_needs_an_identity() -> None:
    guard = guard_with(Key())

    assert await status_of(guard, known) == 401
    assert await status_of(guard, known, "ada") == 200
    assert await status_of(guard, open_handler) == 200
    assert await status_of(guard, anyone) == 200


async def test_401_says_how_to_become_known() -> None:
    with pytest.raises(HTTPError) as caught:
        await guard_with(Key(), AsyncKey()).admit(request_of(), known)

    assert caught.value.headers["www-authenticate"] == "Key, AsyncKey"


async def test_401_names_the_schemes_of_the_handler_only() -> None:
    with pytest.raises(HTTPError) as caught:
        await guard_with(Key(), AsyncKey()).admit(request_of(), by_key)

    assert caught.value.headers["www-authenticate"] == "Key"


async def test_a_policy_decides() -> None:
    policy = Policy("staff", ClaimsRequirement({"department": "staff"}))

    assert (
        await status_of(guard_with(Key({"department": "staff"}), policies=[policy]), staff, "a")
        == 200
    )
    assert (
        await status_of(guard_with(Key({"department": "other"}), policies=[policy]), staff, "a")
        == 403
    )
    assert await status_of(guard_with(Key(), policies=[policy]), staff) == 401


async def test_a_policy_without_requirements_still_needs_an_identity() -> None:
    guard = guard_with(Key(), policies=[Policy("staff")])

    assert await status_of(guard, staff) == 401
    assert await status_of(guard, staff, "ada") == 200


@pytest.mark.parametrize(
    ("roles", "status"),
    [(["admin"], 200), ("admin", 200), (["other"], 403), ("nonadmin", 403), (None, 403), (5, 403)],
)
async def test_roles_need_no_policy(roles: object, status: int) -> None:
    assert await status_of(guard_with(Key({"roles": roles})), admin, "ada") == status


async def test_only_the_schemes_of_the_handler_count() -> None:
    guard = guard_with(AsyncKey(), Key())
    other = guard_with(AsyncKey())

    assert await status_of(guard, by_key, "ada") == 200
    assert await status_of(other, by_key, "ada") == 500


async def test_a_default_policy_holds_for_everyone_without_a_mark() -> None:
    guard = guard_with(Key(), default=Policy("known", AuthenticatedRequirement()))

    assert await status_of(guard, open_handler) == 401
    assert await status_of(guard, open_handler, "ada") == 200
    assert await status_of(guard, anyone) == 200


async def test_auth_needs_an_identity_whatever_the_default_policy() -> None:
    assert await status_of(guard_with(Key(), default=Policy("empty")), known) == 401


async def test_a_requirement_that_breaks_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    guard = guard_with(Key(), policies=[Policy("staff", Breaks())])

    assert await status_of(guard, staff, "ada") == 500
    assert caplog.records


async def test_a_requirement_may_refuse_by_itself() -> None:
    guard = guard_with(Key(), policies=[Policy("staff", Teapot())])

    assert await status_of(guard, staff, "ada") == 418


async def test_a_refusal_logs_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    guard = guard_with(Key(), policies=[Policy("staff", ClaimsRequirement("x"))])

    assert await status_of(guard, staff) == 401
    assert await status_of(guard, staff, "ada") == 403
    assert caplog.records == []


# ------------------------------------------------------------------ what is not configured


async def test_without_a_strategy_auth_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    for guard in (Guard(), guard_with(policies=[Policy("staff")])):
        for handler in (known, staff, admin):
            assert await status_of(guard, handler, "ada") == 500

    assert caplog.records


async def test_an_unknown_policy_lets_nobody_in() -> None:
    assert await status_of(guard_with(Key()), staff, "ada") == 500
    assert await status_of(guard_with(Key(), policies=[Policy("other")]), staff, "ada") == 500


async def test_a_rule_without_authentication_is_refused_even_with_an_identity() -> None:
    request = request_of()
    request.identity = cast(Any, guardpost.User({"sub": "1"}, "x"))

    with pytest.raises(HTTPError, match="500"):
        await authorize(request, AuthRule(), None, None)


def test_a_start_without_a_strategy_is_refused_with_all_the_handlers() -> None:
    with pytest.raises(AuthNotConfigured) as caught:
        Guard().check([open_handler, known, staff])

    message = str(caught.value)
    assert "test_auth.known: it asks for auth()" in message
    assert "test_auth.staff: it asks for auth()" in message
    assert "call app.use_authentication().add(handler)" in message
    assert "open_handler" not in message
    assert len(caught.value.problems) == 2


def test_a_start_with_an_empty_strategy_is_refused() -> None:
    with pytest.raises(AuthNotConfigured, match="nobody is ever known"):
        check_configuration([known], AuthenticationStrategy(), None)


def test_a_start_with_an_unknown_policy_is_refused() -> None:
    for authorization in (None, AuthorizationStrategy(Policy("other"))):
        with pytest.raises(AuthNotConfigured, match="there is no policy 'staff'"):
            check_configuration([staff], AuthenticationStrategy(Key()), authorization)


def test_a_start_with_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(
        AuthNotConfigured, match="for the scheme 'Key'; add it, or use one of Async"
    ):
        check_configuration([by_key], AuthenticationStrategy(AsyncKey()), None)


def test_a_start_with_policies_but_nobody_known_is_refused() -> None:
    with pytest.raises(AuthNotConfigured, match="needs use_authentication"):
        check_configuration([], None, AuthorizationStrategy())


def test_the_scheme_of_a_class_is_its_name_or_unknown() -> None:
    class Secret(Key):
        @property
        def scheme(self) -> str:
            return "whatever"

    check_configuration([by_key], AuthenticationStrategy(Key), None)
    check_configuration([by_key], AuthenticationStrategy(Secret), None)


def test_a_complete_configuration_is_fine() -> None:
    guard_with(Key(), policies=[Policy("staff")]).check([open_handler, known, staff, admin, by_key])


def test_strategies_are_made_once() -> None:
    guard, services = Guard(), rodi.Container()

    assert guard.use_authentication(services) is guard.use_authentication(services)
    assert guard.use_authorization(services) is guard.use_authorization(services)


async def test_http_requests_are_decided_alike() -> None:
    with pytest.raises(HTTPError, match="401"):
        await guard_with(Key()).admit(Request(http_scope()), known)
