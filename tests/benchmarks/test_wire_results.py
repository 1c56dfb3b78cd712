"""What a run has measured is put together rightly: medians, spreads, ratios, tables."""

from benchmarks.wire.contestants import HYPERCORN, RAW
from benchmarks.wire.report import compared_workloads, report, series
from benchmarks.wire.results import Measurement, Results, Spread
from benchmarks.wire.workloads import Workload, echo, idle

ECHO, LARGER = echo(100), echo(1000)


def measured(contestant: str, workload: Workload, *costs: float) -> list[Measurement]:
    """One repeat after another; a cost of 0 is one that failed."""
    return [
        Measurement(contestant, workload, repeat, {"cost": cost})
        if cost
        else Measurement(contestant, workload, repeat, failure="messages were lost")
        for repeat, cost in enumerate(costs)
    ]


def test_a_spread_is_half_of_the_distance_between_the_extremes() -> None:
    spread = Spread.of([9.0, 12.0, 10.0])

    assert spread == Spread(10.0, 9.0, 12.0)
    assert spread.share == 0.15


def test_a_ratio_is_taken_within_each_repeat() -> None:
    # The machine was twice as slow in the second repeat; the ratio is the same.
    results = Results(
        [*measured(RAW, ECHO, 10.0, 20.0, 10.0), *measured("quick", ECHO, 5.0, 10.0, 2.5)]
    )

    assert results.ratio("quick", ECHO, RAW) == Spread(2.0, 2.0, 4.0)


def test_a_repeat_that_failed_is_left_out_of_the_ratio() -> None:
    results = Results([*measured(RAW, ECHO, 0, 20.0), *measured("quick", ECHO, 1.0, 10.0)])

    assert results.ratio("quick", ECHO, RAW) == Spread(2.0, 2.0, 2.0)


def test_there_is_no_ratio_to_what_was_never_measured() -> None:
    results = Results(measured("quick", ECHO, 1.0))

    assert results.ratio("quick", ECHO, RAW) is None
    assert results.cost("quick", LARGER) is None


def test_growth_compares_two_sizes() -> None:
    results = Results([*measured("quick", ECHO, 5.0), *measured("quick", LARGER, 7.5)])

    assert results.growth("quick", LARGER, ECHO) == Spread(1.5, 1.5, 1.5)
    assert series(results) == {"echo": [ECHO, LARGER]}
    assert compared_workloads(results) == [ECHO]


def test_a_table_shows_the_spread_where_there_is_one() -> None:
    results = Results([*measured(RAW, ECHO, 10.0, 12.0, 11.0), *measured("quick", ECHO, 5.5)])

    text = report(results, [], [])

    assert "| raw ASGI, uvicorn | 11.00 ±9% |" in text
    assert "| quick | 5.50 |" in text
    assert "| quick | 1.82 |" in text


def test_those_on_trio_are_compared_with_hypercorn() -> None:
    results = Results([*measured(HYPERCORN, ECHO, 90.0), *measured("ours", ECHO, 30.0)])

    text = report(results, [HYPERCORN, "ours"], [])

    assert "### On trio: times cheaper than raw ASGI on hypercorn" in text
    assert "| ours | 3.00 |" in text


def test_memory_has_no_ratio() -> None:
    results = Results([*measured(RAW, idle(1000), 19.0), *measured("ours", idle(1000), 5.0)])

    text = report(results, [], [])

    assert "Times cheaper" not in text
    assert "| ours | 5.00 |" in text


def test_what_is_left_out_is_told_with_a_word() -> None:
    results = Results(measured("quick", ECHO, 0))

    text = report(results, [], ["quick, connect: it has no handshake"])

    assert "* quick, connect: it has no handshake" in text
    assert "* quick, echo, 100 connections, repeat 0: messages were lost" in text


def test_growth_is_shown_of_those_that_were_measured_at_two_sizes() -> None:
    grown = [*measured("ours", ECHO, 5.0), *measured("ours", LARGER, 7.5)]

    text = report(Results([*grown, *measured("theirs", ECHO, 9.0)]), [], [])

    assert "| echo | ours | 1,000 | 7.50 | 1.50 |" in text
    assert "| echo | theirs |" not in text
