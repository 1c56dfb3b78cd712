"""Which place belongs to which spec."""

import pytest

from herdwick.runtime import Child, NotFound, Pool, Supervisor, System
from tests.runtime.samples import Diary, Note, Notes


async def test_a_spec_is_the_key_to_its_actor() -> None:
    morning, evening = Child(Diary).named("morning"), Child(Diary).named("evening")
    async with System(Supervisor("root", morning, evening)) as system:
        system.ref(evening).tell(Note("late"))

        assert system.ref(morning).path == "root/morning"
        assert await system.ref(evening).ask(Notes()) == ["late"]


async def test_a_spec_that_stands_in_no_tree_is_not_found() -> None:
    async with System(Supervisor("root", Child(Diary))) as system:
        with pytest.raises(NotFound, match="rooms is in no part of this tree"):
            system.pool(Pool("rooms"))


async def test_a_deleted_child_is_found_no_more() -> None:
    child = Child(Diary)
    async with System(Supervisor("root", child)) as system:
        await system.terminate_child(child)
        await system.delete_child(child)

        with pytest.raises(NotFound):
            system.ref(child)


async def test_two_systems_in_one_process_know_nothing_of_each_other() -> None:
    child = Child(Diary)
    async with System(Supervisor("root", child)) as one, System(Supervisor("root", child)) as other:
        one.ref(child).tell(Note("mine"))

        assert await other.ref(child).ask(Notes()) == []
        with pytest.raises(NotFound):
            other.statistics(one.ref(child))
