"""Specs: names, policies, and what is refused before anything starts."""

import pytest

from herdwick.runtime import (
    Actor,
    Child,
    Dynamic,
    Policy,
    Pool,
    StartFailed,
    Supervisor,
    System,
)
from tests.runtime.samples import Diary, Note, running


def test_a_child_is_named_after_what_it_starts() -> None:
    assert Child(Diary).name == "Diary"
    assert Child(Diary).named("mine").name == "mine"


def test_naming_and_policies_make_copies() -> None:
    plain = Child(Diary)
    changed = plain.named("mine").policy(restart="temporary").policy(grace=1)

    assert (plain.name, plain.terms) == ("Diary", Policy())
    assert changed.terms == Policy(restart="temporary", grace=1)


@pytest.mark.parametrize("name", ["", "a/b", "/"])
def test_a_name_that_cannot_stand_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="part of a path"):
        Child(Diary).named(name)
    with pytest.raises(ValueError, match="part of a path"):
        Supervisor(name)
    with pytest.raises(ValueError, match="part of a path"):
        Pool(name)


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'services' has two children named 'Diary'.*\.named"):
        Supervisor("services", Child(Diary), Child(Diary))


def test_one_spec_at_two_places_is_refused() -> None:
    child = Child(Diary)

    with pytest.raises(ValueError, match="'Diary' stands in the tree twice"):
        Supervisor("root", Supervisor("a", child), Supervisor("b", child))


def test_one_name_under_two_supervisors_is_fine() -> None:
    Supervisor("root", Supervisor("a", Child(Diary)), Supervisor("b", Child(Diary)))


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        ({"grace": -1}, "grace is -1"),
        ({"grace": float("nan")}, "grace is nan"),
        ({"start_timeout": -0.5}, "start_timeout is -0.5"),
        ({"hook_timeout": -2}, "hook_timeout is -2"),
        ({"mailbox": 0}, "mailbox is 0"),
        ({"restart": "always"}, "restart is 'always'; it must be one of"),
    ],
)
def test_a_senseless_policy_is_refused_by_field_and_value(
    policy: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Child(Diary).policy(**policy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"max_restarts": -1}, "max_restarts is -1"), ({"period": 0}, "period is 0")],
)
def test_a_senseless_budget_is_refused_by_field_and_value(
    options: dict[str, int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Supervisor("root", **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=complaint):
        Pool("rooms", **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_pool_without_room_for_one_is_refused() -> None:
    with pytest.raises(ValueError, match="max_children is 0"):
        Pool("rooms", max_children=0)


def test_an_unknown_restart_of_a_pool_is_refused_before_its_first_child() -> None:
    with pytest.raises(ValueError, match="restart is 'never'"):
        Dynamic("rooms", Diary, restart="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_what_is_no_factory_is_refused() -> None:
    with pytest.raises(TypeError, match="a child needs an actor class or a function, not 'Diary'"):
        Child("Diary")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def test_a_factory_that_makes_no_actor_fails_the_start() -> None:
    def make() -> Actor[Note]:
        return "no actor"  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    with pytest.raises(StartFailed, match="root/make did not start") as caught:
        async with running(Child(make)):
            pytest.fail("it started")
    assert isinstance(caught.value.__cause__, TypeError)


async def test_a_constructor_that_fails_fails_the_start() -> None:
    class Picky(Diary):
        def __init__(self) -> None:
            raise ValueError("not like this")

    with pytest.raises(StartFailed, match=r"root/Picky did not start: .*not like this"):
        async with running(Child(Picky)):
            pytest.fail("it started")


async def test_every_life_gets_the_same_arguments() -> None:
    journal: list[str] = []
    child = Child(Diary, journal, name="it")
    async with System(Supervisor("root", child)):
        pass

    assert journal == ["it started", "it stopped: shutdown"]
