"""Who is found under which spec and path."""

import pytest

from herdwick.runtime import ActorStopped, Child, Events, Pool, Slot, Spec, Timers
from herdwick.runtime.registry import Registry
from herdwick.runtime.system import Surroundings
from tests.runtime.samples import Diary


def place(path: str, child: Spec) -> Slot:
    clock = float
    shared = Surroundings(clock, Timers(clock), Events(), Registry(), print)
    return Slot(path, child, shared)


def test_a_place_is_found_by_its_spec_and_its_path_until_it_is_gone() -> None:
    registry, child = Registry(), Child(Diary)
    slot = place("root/diary", child)
    registry.enter(slot)

    assert registry.find(child, "diary") is slot
    assert registry.at("root/diary") is slot

    slot.vacate()

    assert registry.at("root/diary") is None
    with pytest.raises(ActorStopped, match="diary"):
        registry.find(child, "diary")


def test_a_place_that_goes_late_does_not_take_its_successor_along() -> None:
    registry, child = Registry(), Child(Diary)
    old, new = place("root/diary", child), place("root/diary", child)
    registry.enter(old)
    registry.enter(new)

    old.vacate()

    assert registry.find(child, "diary") is new
    assert registry.at("root/diary") is new


def test_a_declared_place_is_kept_for_the_next_life_of_its_supervisor() -> None:
    registry, child = Registry(), Child(Diary)
    first = registry.declare(place("root/diary", child))
    first.vacate()

    assert registry.find(child, "diary") is first
    assert registry.declare(place("root/diary", child)) is first
    assert registry.at("root/diary") is first
    assert not first.gone


def test_what_was_never_entered_is_not_found() -> None:
    with pytest.raises(ActorStopped, match="rooms"):
        Registry().find(Pool("rooms"), "rooms")
