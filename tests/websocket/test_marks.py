"""What decorators say of a handler."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from herdwick.websocket.marks import AuthRule, allow_anonymous, allows_anonymous, auth, auth_rule

Handler = Callable[[], Awaitable[None]]


async def plain() -> None: ...


def wrapped(function: Handler) -> Handler:
    @functools.wraps(function)
    async def wrapper() -> None:
        await function()

    return wrapper


def registered(function: Handler) -> Handler:
    """Stands for the decorator of a route: it gives the function back as it is."""
    return function


def test_without_a_mark_there_is_no_rule() -> None:
    assert auth_rule(plain) is None
    assert not allows_anonymous(plain)


def test_a_rule_says_policy_roles_and_schemes() -> None:
    @auth("staff", roles=["a", "b"], authentication_schemes=["Bearer"])
    async def handler() -> None: ...

    assert auth_rule(handler) == AuthRule("staff", ("a", "b"), ("Bearer",))


def test_a_single_role_may_be_a_text() -> None:
    @auth(roles="admin")
    async def handler() -> None: ...

    assert auth_rule(handler) == AuthRule(roles=("admin",))


def test_the_mark_may_be_put_after_the_registration() -> None:
    @registered
    async def handler() -> None: ...

    auth()(handler)

    assert auth_rule(handler) == AuthRule()


def test_the_mark_is_found_through_wrappers() -> None:
    @wrapped
    @auth("below")
    async def below() -> None: ...

    @auth("above")
    @wrapped
    async def above() -> None: ...

    late = wrapped(plain_copy := functools.partial(plain))
    auth("late")(plain_copy)

    assert auth_rule(below) == AuthRule("below")
    assert auth_rule(above) == AuthRule("above")
    assert auth_rule(late) == AuthRule("late")


def test_the_mark_is_found_on_methods_partials_and_callable_objects() -> None:
    class Rooms:
        @auth("method")
        async def method(self) -> None: ...

        @auth("call")
        async def __call__(self) -> None: ...

    @auth("partial")
    async def handler(_argument: int) -> None: ...

    assert auth_rule(Rooms().method) == AuthRule("method")
    assert auth_rule(Rooms()) == AuthRule("call")
    assert auth_rule(functools.partial(handler, 1)) == AuthRule("partial")


def test_an_object_without_a_mark_has_no_rule() -> None:
    class Rooms:
        async def __call__(self) -> None: ...

    assert auth_rule(Rooms()) is None


def test_without_parentheses_it_is_refused() -> None:
    with pytest.raises(TypeError, match=r"write @auth\(\) with parentheses"):
        auth(cast(Any, plain))


def test_two_rules_are_refused() -> None:
    with pytest.raises(TypeError, match=r"handler has auth\(\) twice"):

        @auth("a")
        @auth("b")
        async def handler() -> None: ...


def test_empty_roles_are_refused() -> None:
    with pytest.raises(ValueError, match="roles is empty"):
        auth(roles=[])
    with pytest.raises(ValueError, match="authentication_schemes is empty"):
        auth(authentication_schemes=())


def test_anyone_may_be_allowed() -> None:
    @allow_anonymous()
    async def handler() -> None: ...

    @allow_anonymous(value=False)
    async def other() -> None: ...

    assert allows_anonymous(handler)
    assert not allows_anonymous(other)


def test_both_marks_are_refused() -> None:
    @auth()
    async def handler() -> None: ...

    with pytest.raises(TypeError, match=r"handler has both auth\(\) and allow_anonymous\(\)"):
        allow_anonymous()(handler)


def test_what_takes_no_mark_is_refused() -> None:
    class Rooms:
        async def method(self) -> None: ...

    with pytest.raises(TypeError, match=r"Rooms.method takes no mark; decorate its function"):
        auth()(Rooms().method)
