"""Tests of herdwick/server/pace.py: when the outboxes are written."""

from herdwick.server.pace import LONGEST_WAIT, Pace


def turns_until_written(pace: Pace, *, busy: int, turn: float = 0.0) -> int:
    """Count the turns until the writing; in the first `busy` ones more comes."""
    now, turns = 100.0, 0
    pace.begin(now)
    while True:
        turns += 1
        now = 100.0 + turns * turn
        if pace.is_time(now):
            return turns
        if turns <= busy:
            pace.more()


def test_a_single_message_waits_for_one_turn_of_the_others() -> None:
    assert turns_until_written(Pace(), busy=0) == 2


def test_a_burst_is_written_once_it_is_over() -> None:
    assert turns_until_written(Pace(), busy=10) == 12


def test_where_there_is_no_end_of_messages_the_first_waits_for_so_long_and_no_longer() -> None:
    assert turns_until_written(Pace(), busy=1000, turn=LONGEST_WAIT / 10) == 10


def test_the_longer_the_writing_takes_the_more_is_gathered() -> None:
    pace = Pace()
    pace.wrote(LONGEST_WAIT * 5)

    assert turns_until_written(pace, busy=1000, turn=LONGEST_WAIT) == 10
