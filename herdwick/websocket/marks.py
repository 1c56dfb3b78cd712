"""What decorators say of a handler: `auth` and `allow_anonymous`."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from .binding import Handler, describe

F = TypeVar("F", bound=Callable[..., object])

_RULE = "__herdwick_auth__"
_ANONYMOUS = "__herdwick_allow_anonymous__"


@dataclass(frozen=True, slots=True)
class AuthRule:
    """What a handler asks of whoever calls it: at least that it is known who they are."""

    policy: str | None = None
    """The policy that they have to meet; None: the default policy, if there is one."""

    roles: tuple[str, ...] = ()
    """The roles of which they need one; empty: none."""

    schemes: tuple[str, ...] = ()
    """The schemes of the authentication handlers that may know them; empty: all."""

    first_message: bool = False
    """Whether the client of a WebSocket may show its token as the first message."""


def auth(
    policy: str | None = None,
    *,
    roles: Sequence[str] | None = None,
    authentication_schemes: Sequence[str] | None = None,
    first_message: bool = False,
) -> Callable[[F], F]:
    """Let a handler be called only with an identity that meets this policy and has such a role.

    It stands above or below the decorator of the route. What stands between it and the function
    has to keep the function's attributes, as `functools.wraps` does.

    With `first_message`, a WebSocket whose handshake has no valid token is let in, and has to show
    one as its first message, within `Limits.auth_timeout`: the token as text, or JSON such as
    `{"token": "…"}`. Before that its handler does not run, and it is sent nothing. Who is refused
    is closed with 4401, or with 4403 where the token is valid and not enough.

    Raises:
        TypeError: It is used without parentheses, or twice, or beside `allow_anonymous`.
        ValueError: `roles` or `authentication_schemes` is empty.
    """
    if policy is not None and not isinstance(policy, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        # Above a route's decorator, `@auth` would leave the route open without a word.
        raise TypeError("auth takes the name of a policy; write @auth() with parentheses")
    rule = AuthRule(
        policy,
        _names("roles", roles),
        _names("authentication_schemes", authentication_schemes),
        first_message,
    )

    def mark(handler: F) -> F:
        if auth_rule(handler) is not None:
            raise TypeError(f"{describe(handler)} has auth() twice; put it all into one")
        return _marked(handler, _RULE, rule)

    return mark


def allow_anonymous(value: bool = True) -> Callable[[F], F]:
    """Let a handler be called by anyone, whatever the default policy says.

    Raises:
        TypeError: It is used beside `auth`.
    """

    def mark(handler: F) -> F:
        return _marked(handler, _ANONYMOUS, True) if value else handler

    return mark


def auth_rule(handler: Handler) -> AuthRule | None:
    """Return what `auth` says of a handler, as of now; None where it says nothing."""
    return cast("AuthRule | None", _mark(handler, _RULE))


def allows_anonymous(handler: Handler) -> bool:
    """Tell whether `allow_anonymous` stands on a handler."""
    return _mark(handler, _ANONYMOUS) is True


def _marked(handler: F, name: str, value: object) -> F:
    try:
        setattr(handler, name, value)
    except AttributeError:
        raise TypeError(f"{describe(handler)} takes no mark; decorate its function") from None
    if auth_rule(handler) is not None and allows_anonymous(handler):
        raise TypeError(f"{describe(handler)} has both auth() and allow_anonymous(); remove one")
    return handler


def _mark(handler: Any, name: str) -> object:
    # The mark may be on what is wrapped, or on the method that makes an object a handler.
    while True:
        if hasattr(handler, name):
            return cast(object, getattr(handler, name))
        if isinstance(handler, functools.partial):
            handler = cast(Any, handler.func)
        elif hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        elif inspect.isroutine(handler):
            return None
        else:
            handler = type(handler).__call__


def _names(parameter: str, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    if not names:
        raise ValueError(f"{parameter} is empty, which nobody can meet; leave it out")
    return (names,) if isinstance(names, str) else tuple(names)
