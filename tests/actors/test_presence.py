"""Who is present on one topic: what is so now, and what has been told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herdwick.actors import PresenceDiff, PresenceOptions
from herdwick.actors.presence import Presences


def nobody() -> tuple[Presences, list[None]]:
    """Give an empty one, and the changes that it has told of."""
    changes: list[None] = []
    return Presences(lambda: changes.append(None)), changes


def test_it_is_a_mapping_from_keys_to_the_metas_of_each_connection() -> None:
    presences, _ = nobody()
    presences.set("1", "ada", "laptop")
    presences.set("2", "ada", "phone")
    presences.set("3", "bob", None)

    assert presences == {"ada": {"1": "laptop", "2": "phone"}, "bob": {"3": None}}
    assert list(presences) == ["ada", "bob"]
    assert len(presences) == 2
    assert repr(presences) == repr({"ada": {"1": "laptop", "2": "phone"}, "bob": {"3": None}})
    with pytest.raises(KeyError):
        presences["eve"]


def test_what_it_gives_cannot_be_changed() -> None:
    presences, _ = nobody()
    presences.set("1", "ada", "laptop")

    with pytest.raises(TypeError):
        presences["ada"]["1"] = "mine"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def test_each_change_is_noted_and_what_changes_nothing_is_not() -> None:
    presences, changes = nobody()
    for _ in range(2):
        presences.set("1", "ada", "laptop")
    presences.set("1", "ada", "phone")
    presences.drop("1")
    presences.drop("1")
    presences.drop("unknown")

    assert len(changes) == 3


def test_what_has_changed_is_told_once() -> None:
    presences, _ = nobody()
    presences.set("1", "ada", "laptop")

    assert presences.tell() == PresenceDiff({"ada": {"1": "laptop"}})
    assert not presences.tell()
    presences.set("1", "ada", "phone")
    assert presences.tell() == PresenceDiff({"ada": {"1": "phone"}})
    presences.drop("1")
    assert presences.tell() == PresenceDiff({}, {"ada": ("1",)})


def test_who_came_and_went_in_between_was_never_there() -> None:
    presences, _ = nobody()
    presences.set("1", "ada", "laptop")
    presences.drop("1")

    assert not presences.tell()
    assert presences.told == {}


def test_who_went_and_came_back_in_between_was_never_gone() -> None:
    presences, _ = nobody()
    presences.set("1", "ada", "laptop")
    presences.tell()
    presences.drop("1")
    presences.set("1", "ada", "laptop")

    assert not presences.tell()
    assert presences.told == {"ada": {"1": "laptop"}}


def test_a_connection_that_changes_its_key_joins_there_and_leaves_here() -> None:
    presences, _ = nobody()
    presences.set("1", "guest", None)
    presences.tell()
    presences.set("1", "ada", None)

    assert presences.tell() == PresenceDiff({"ada": {"1": None}}, {"guest": ("1",)})
    assert presences == {"ada": {"1": None}}


def test_comparing_drops_who_is_no_member_and_finds_what_was_never_told() -> None:
    presences, _ = nobody()
    presences.set("1", "ada", None)
    presences.set("2", "bob", None)
    presences.tell()
    presences.keep({"2"})

    assert presences.tell() == PresenceDiff({}, {"ada": ("1",)})


Change = tuple[str, str, str, int]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "drop", "tell", "keep"]),
            st.sampled_from("123"),
            st.sampled_from(["ada", "bob"]),
            st.integers(0, 1),
        )
    )
)
def test_who_applies_all_that_is_told_knows_who_is_there(changes: list[Change]) -> None:
    presences, _ = nobody()
    seen: dict[str, dict[str, object]] = {}

    for what, ref, key, meta in changes:
        if what == "set":
            presences.set(ref, key, meta)
        elif what == "drop":
            presences.drop(ref)
        elif what == "keep":
            presences.keep({ref})
        else:
            apply(seen, presences.tell())
            assert seen == presences == presences.told
    apply(seen, presences.tell())

    assert seen == dict(presences)


def apply(seen: dict[str, dict[str, object]], diff: PresenceDiff) -> None:
    """Do what a client does: the joins first."""
    for key, metas in diff.joins.items():
        seen.setdefault(key, {}).update(metas)
    for key, refs in diff.leaves.items():
        for ref in refs:
            del seen[key][ref]
        if not seen[key]:
            del seen[key]


def test_options_have_their_ranges() -> None:
    assert PresenceOptions().grace == 0
    with pytest.raises(ValueError, match="it must be from 0 to 10 seconds"):
        PresenceOptions(grace=10.5)
