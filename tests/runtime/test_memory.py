"""What has ended is freed by reference count alone: nothing waits for the collector."""

import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from herdwick.runtime import Child, Dynamic, Supervisor, System, slot_of, watch
from herdwick.testing import settle
from tests.runtime.samples import Crash, Diary, Note, running


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    logging.disable()  # pytest keeps what is logged, with its traceback
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("handled", [False, True])
async def test_an_actor_that_has_ended_is_freed(handled: bool) -> None:
    diaries = Dynamic("diaries", Diary)
    async with System(Supervisor("root", diaries)) as system:
        ref = await system.start(diaries)
        watch(ref, lambda down: None)
        place = weakref.ref(slot_of(ref))
        if handled:
            await ref.ask(Note("hello"))

        await system.terminate_child(ref)
        del ref
        await settle()

        assert place() is None


async def test_the_lives_before_a_restart_are_freed() -> None:
    child = Child(Diary)
    async with running(child) as system:
        ref, lives = system.ref(child), list[weakref.ref[object]]()
        for _ in range(3):
            slot = slot_of(ref)
            assert slot is not None
            lives.append(weakref.ref(slot.life))
            ref.tell(Crash())
            await settle()

        assert [life() for life in lives] == [None, None, None]
