"""Identities, ours and guardpost's."""

from typing import cast

import guardpost
import pytest

from herdwick.websocket.identity import Identity, MissingIdentityId, as_identity


class Robot(guardpost.Identity):
    """An identity of an application's own."""


class Person(guardpost.User):
    """Another one, which has an id."""


@pytest.mark.parametrize(
    ("claims", "id_"),
    [({"id": "1", "sub": "2"}, "1"), ({"sub": "2"}, "2"), ({"id": "", "sub": 3}, "3")],
)
def test_the_id_is_the_claim_id_else_sub(claims: dict[str, object], id_: str) -> None:
    assert Identity(claims).id == id_


@pytest.mark.parametrize("claims", [{}, {"id": None, "sub": ""}])
def test_an_identity_without_an_id_says_so(claims: dict[str, object]) -> None:
    with pytest.raises(MissingIdentityId, match="neither an 'id' nor a 'sub' claim"):
        _ = Identity(claims).id


def test_a_plain_identity_of_guardpost_gets_an_id() -> None:
    plain = guardpost.Identity({"sub": "7", "name": "Ada"}, "JWT")
    plain.access_token = "token"

    identity = as_identity(plain)

    assert identity.id == "7"
    assert identity.claims["name"] == "Ada"
    assert identity.is_authenticated()
    assert identity.access_token == "token"


def test_a_class_of_its_own_is_kept_and_gets_an_id() -> None:
    robot = Robot({"sub": "7"}, "key")

    identity = as_identity(robot)

    assert identity is cast(object, robot)
    assert identity.id == "7"


def test_a_class_of_its_own_without_an_id_is_kept_too() -> None:
    robot = Robot({}, "key")

    assert as_identity(robot) is cast(object, robot)


def test_what_has_an_id_already_keeps_it() -> None:
    ours, person = Identity({"id": 1}, "x"), Person({"id": "2"}, "x")

    assert as_identity(ours) is ours
    assert as_identity(person) is cast(object, person)
    assert as_identity(person).id == "2"


@pytest.mark.parametrize(
    ("roles", "has"),
    [
        (["admin", "staff"], True),
        ("staff admin", True),
        ("nonadmin", False),
        ("administrator", False),
        ([["admin"]], False),
        (5, False),
        (None, False),
    ],
)
def test_a_role_counts_as_a_whole_word_only(roles: object, has: bool) -> None:
    assert Identity({"roles": roles}).has_role("admin") is has


def test_a_repr_shows_no_claims() -> None:
    assert repr(Identity({"sub": "secret"}, "JWT")) == "<Identity authenticated by JWT>"
