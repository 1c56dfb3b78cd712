"""Who a request comes from, on top of guardpost's identities."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import guardpost


class MissingIdentityId(LookupError):
    """An identity was asked for its id and has none."""

    def __init__(self) -> None:
        super().__init__("the identity has neither an 'id' nor a 'sub' claim")


class Identity(guardpost.User):
    """Whom the request comes from, with the claims that were made about them."""

    claims: Mapping[str, Any]  # type: ignore[assignment]  # guardpost: a bare dict
    """What is known about them, such as the payload of a token."""

    @property
    def id(self) -> str:
        """The claim `id`, else `sub`, as text.

        Raises:
            MissingIdentityId: There is neither. An id that is empty or None would name the same
                room for everyone, so there is no such thing.
        """
        return identity_id(self.claims)

    def has_role(self, name: str) -> bool:
        """Tell whether this role is in the claim `roles`: a list, or text with spaces between."""
        # guardpost looks for a piece of text where the claim is text: "admin" in "nonadmin".
        return name in _roles(self.claims.get("roles"))

    def __repr__(self) -> str:
        # Neither claims nor tokens: a repr ends up in logs.
        return f"<Identity authenticated by {self.authentication_mode}>"


def as_identity(identity: guardpost.Identity) -> Identity:
    """Return a guardpost identity as ours, so that `identity.id` works.

    An identity of a class of its own is kept as it is; it gets an `id` if it has none.
    """
    if isinstance(identity, Identity):
        return identity
    if type(identity) in (guardpost.Identity, guardpost.User):
        return _converted(identity)
    if not hasattr(identity, "id"):
        with suppress(MissingIdentityId):
            vars(identity)["id"] = identity_id(_claims(identity))
    return cast(Identity, identity)


def identity_id(claims: Mapping[str, Any]) -> str:
    """Return the claim `id`, else `sub`.

    Raises:
        MissingIdentityId: There is neither, or what there is is empty.
    """
    for name in ("id", "sub"):
        value = claims.get(name)
        if value is not None and value != "":
            return str(value)
    raise MissingIdentityId


def _converted(identity: guardpost.Identity) -> Identity:
    ours = Identity(dict(_claims(identity)), identity.authentication_mode)
    ours.access_token = identity.access_token
    ours.refresh_token = identity.refresh_token
    return ours


def _claims(identity: guardpost.Identity) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", identity.claims)  # pyright: ignore[reportUnknownMemberType]


def _roles(claim: object) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    if isinstance(claim, (list, tuple, set, frozenset)):
        return [role for role in cast("list[object]", claim) if isinstance(role, str)]
    return []
