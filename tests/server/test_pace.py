"""When outboxes are written, by a clock that the test moves."""

import logging

import pytest

from herdwick.server.pace import LONGEST_WAIT, Pace


class Outbox:
    """Something to write, which takes as long as it says."""

    def __init__(self, world: "World", *, takes: float = 0.0, fails: bool = False) -> None:
        self.world = world
        self.takes = takes
        self.fails = fails
        self.written = 0
        self.dropped = False

    def flush(self) -> None:
        if self.fails:
            raise ValueError("a bug")
        self.world.now += self.takes
        self.written += 1

    def drop(self) -> None:
        self.dropped = True


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    def turns_until_written(self, *, busy: int, turn: float = 0.0) -> int:
        """Write once; in so many turns, more comes."""
        self.pace.add(Outbox(self))
        turns = 0
        while True:
            turns += 1
            self.now += turn
            if self.pace.is_time():
                return turns
            if turns <= busy:
                self.pace.more()


def test_what_comes_alone_is_written_in_the_second_turn() -> None:
    assert World().turns_until_written(busy=0) == 2


def test_it_waits_while_more_comes() -> None:
    assert World().turns_until_written(busy=10) == 12


def test_it_does_not_wait_for_ever() -> None:
    assert World().turns_until_written(busy=1000, turn=LONGEST_WAIT / 10) == 10


def test_where_writing_takes_long_it_waits_for_more() -> None:
    world = World()
    world.pace.add(Outbox(world, takes=LONGEST_WAIT * 5))
    world.pace.write()

    assert world.turns_until_written(busy=1000, turn=LONGEST_WAIT) == 10


def test_all_are_written_once_each() -> None:
    world = World()
    outboxes = [Outbox(world), Outbox(world)]
    for outbox in outboxes:
        world.pace.add(outbox)
    assert world.pace

    world.pace.write()
    world.pace.write()

    assert [outbox.written for outbox in outboxes] == [1, 1]
    assert not world.pace


def test_a_bug_in_one_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    bad, good = Outbox(world, fails=True), Outbox(world)
    world.pace.add(bad)
    world.pace.add(good)

    with caplog.at_level(logging.ERROR):
        world.pace.write()

    assert (bad.dropped, good.dropped, good.written) == (True, False, 1)
    assert "a bug ended one connection" in caplog.text
