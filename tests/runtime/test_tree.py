"""Snapshots: the statistics of one, and the whole tree."""

import anyio
import msgspec
import pytest

from herdwick.runtime import (
    Backoff,
    Child,
    Dynamic,
    Exit,
    Node,
    NotFound,
    Statistics,
    Supervisor,
)
from herdwick.testing import settle
from tests.runtime.samples import (
    Crash,
    Diary,
    Door,
    Note,
    Quit,
    SlowStart,
    Wait,
    running,
)

DIARY = Child(Diary).named("diary")
BRIEF = Child(Diary).named("brief").policy(restart="transient")
ROOMS = Dynamic("rooms", Diary)


# ---------------------------------------------------------------------- statistics


async def test_statistics_tell_what_an_actor_does_now() -> None:
    door = Door()
    async with running(DIARY) as system:
        ref = system.ref(DIARY)
        ref.tell(Crash())
        await settle()
        for order in (Wait(door), Note("a"), Note("b")):
            ref.tell(order)
        await anyio.sleep(3)

        facts = system.statistics(DIARY)
        assert facts.since == pytest.approx(3)
        assert facts == Statistics(
            name="diary",
            path="root/diary",
            kind="actor",
            state="running",
            incarnation=2,
            restarts=1,
            mailbox=2,
            high_water=3,
            current="Wait",
            since=facts.since,
            last_exit=Exit("crash", "ValueError: boom"),
        )
        door.open()


async def test_statistics_of_one_that_has_nothing_to_do() -> None:
    async with running(DIARY) as system:
        facts = system.statistics(DIARY)

        assert (facts.mailbox, facts.high_water, facts.current, facts.since) == (0, 0, None, None)
        assert (facts.incarnation, facts.restarts, facts.last_exit) == (1, 0, None)


async def test_a_question_in_hand_is_named_by_its_class() -> None:
    door = Door()
    async with running(DIARY) as system, anyio.create_task_group() as tasks:
        tasks.start_soon(system.ref(DIARY).ask, Wait(door))
        await settle()
        during = system.statistics(DIARY).current
        door.open()
        await settle()

        assert (during, system.statistics(DIARY).current) == ("Wait", None)


async def test_the_high_water_mark_stays_over_a_restart() -> None:
    async with running(DIARY) as system:
        for order in (Note("a"), Note("b"), Crash()):
            system.ref(DIARY).tell(order)
        await settle()

        assert system.statistics(DIARY).mailbox == 0
        assert system.statistics(DIARY).high_water == 3


async def test_statistics_are_found_by_a_spec_and_by_a_ref() -> None:
    async with running(DIARY, ROOMS) as system:
        room = await system.start(ROOMS)

        assert system.statistics(system.ref(DIARY)) == system.statistics(DIARY)
        assert system.statistics(room).path == "root/rooms/1"
        assert system.statistics(ROOMS).kind == "dynamic"


async def test_statistics_of_a_stranger_are_not_found() -> None:
    async with running(DIARY) as system:
        with pytest.raises(NotFound, match="brief is in no part of this tree"):
            system.statistics(BRIEF)


async def test_a_snapshot_is_frozen() -> None:
    async with running(DIARY) as system:
        facts = system.statistics(DIARY)

        with pytest.raises(AttributeError):
            facts.mailbox = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# ---------------------------------------------------------------------- states


async def test_the_state_of_an_actor_is_told_from_its_start_to_its_end() -> None:
    door = Door(is_open=True)
    child = Child(SlowStart, door).policy(backoff=Backoff(min=5, jitter=0), idle_timeout=60)
    async with running(child) as system:
        states = [system.statistics(child).state]
        door.shut()
        system.ref(child).tell(Crash())
        await settle()
        states.append(system.statistics(child).state)
        await anyio.sleep(6)
        states.append(system.statistics(child).state)
        door.open()
        await anyio.sleep(100)
        states.append(system.statistics(child).state)
        await system.terminate_child(child)
        states.append(system.statistics(child).state)

        assert states == ["running", "waiting", "starting", "passive", "stopped"]


async def test_one_that_finishes_its_message_after_a_stop_is_stopping() -> None:
    door = Door()
    async with running(DIARY) as system, anyio.create_task_group() as tasks:
        system.ref(DIARY).tell(Wait(door))
        await settle()
        tasks.start_soon(system.terminate_child, DIARY)
        await settle()

        assert system.statistics(DIARY).state == "stopping"
        door.open()


# ---------------------------------------------------------------------- the tree


async def test_the_tree_has_all_that_is_below_it() -> None:
    async with running(Supervisor("branch", DIARY), ROOMS) as system:
        await system.start(ROOMS)
        tree = system.tree()

        assert [node.path for node in tree] == [
            "root",
            "root/branch",
            "root/branch/diary",
            "root/rooms",
            "root/rooms/1",
        ]
        assert [node.kind for node in tree] == [
            "supervisor",
            "supervisor",
            "actor",
            "dynamic",
            "actor",
        ]


async def test_the_tree_is_a_text_that_shows_what_is_unusual() -> None:
    door = Door()
    busy = DIARY.named("busy")
    async with running(Supervisor("branch", DIARY, busy), BRIEF, ROOMS) as system:
        await system.start(ROOMS)
        await system.ref(BRIEF).ask(Quit())
        system.ref(DIARY).tell(Crash("no disk"))
        await settle()
        system.ref(DIARY).tell(Crash("no disk"))
        system.ref(busy).tell(Crash("no disk"))
        await settle()
        for order in (Wait(door), Note("a"), Note("b")):
            system.ref(busy).tell(order)
        await anyio.sleep(1.5)

        assert str(system.tree()).splitlines() == [
            "root",
            "├─ branch",
            "│  ├─ diary  restarted 2 times, last after crash (ValueError: no disk)",
            "│  └─ busy  restarted once, last after crash (ValueError: no disk); 2 in the mailbox; "
            "Wait for 1.5 s",
            "├─ brief  stopped",
            "└─ rooms",
            "   └─ 1",
        ]
        door.open()


async def test_the_tree_goes_to_json_and_back() -> None:
    door = Door()
    async with running(Supervisor("branch", DIARY), BRIEF, ROOMS) as system:
        await system.start(ROOMS)
        system.ref(DIARY).tell(Crash())
        await settle()
        system.ref(DIARY).tell(Wait(door))
        await settle()
        tree = system.tree()
        door.open()

        assert msgspec.json.decode(msgspec.json.encode(tree), type=Node) == tree


async def test_the_tree_can_be_taken_while_a_branch_is_down() -> None:
    branch = Supervisor("branch", DIARY)
    async with running(branch) as system:
        await system.terminate_child(branch)

        assert str(system.tree()) == "root\n└─ branch  stopped"


async def test_the_tree_does_not_change_once_it_was_taken() -> None:
    async with running(DIARY) as system:
        before = system.tree()
        system.ref(DIARY).tell(Crash())
        await settle()

        assert before.children[0].incarnation == 1
        assert system.tree().children[0].incarnation == 2
