"""Whatever happens in whatever order, everybody hears everything once, and in one order."""

import os
import random
from functools import partial
from typing import TypeAlias

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from herdwick.actors import History
from herdwick.testing import VIRTUAL_BACKENDS, virtual_backend

from .battle import STEPS, TOPICS, Battle, fight

Schedule: TypeAlias = list[tuple[str, int, int]]

EXAMPLES = int(os.environ.get("HERDWICK_FIRE_EXAMPLES", "60"))

steps = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 63), st.integers(0, 7)), max_size=60
)
OPENING: Schedule = [
    ("come", 63, 0),
    ("come", 63, 1),
    ("come plainly", 0, 0),
    ("come plainly", 1, 0),
    ("wait", 1, 0),
]


async def battle(schedule: Schedule, kept: int, topics: tuple[str, ...]) -> Battle:
    fought = Battle(history=History(size=kept, ttl=100_000), topics=topics)
    async with anyio.create_task_group() as fought.tasks, fought.stage.running(*fought.topics):
        await fight(fought, OPENING + schedule)
        await fought.verify()
        await fought.finale()
    return fought


def run(
    backend: str, schedule: Schedule, kept: int = 400, topics: tuple[str, ...] = TOPICS
) -> Battle:
    name, options = virtual_backend(backend)
    run = partial(battle, schedule, kept, topics)
    fought: Battle = anyio.run(run, backend=name, backend_options=options)
    return fought


@pytest.mark.heavy
@pytest.mark.timeout(3600)  # to find a small schedule for a failure takes a while
@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
def test_whatever_happens_the_guarantees_hold(backend: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(schedule=steps, kept=st.sampled_from([10, 400]))
    def holds(schedule: Schedule, kept: int) -> None:
        run(backend, schedule, kept)

    holds()


def schedule_of(seed: int, length: int, **weights: int) -> Schedule:
    chance, weights = random.Random(seed), WEIGHTS | weights
    kinds = [kind for kind in sorted(STEPS) for _ in range(weights.get(kind, 2))]
    return [
        (chance.choice(kinds), chance.randrange(64), chance.randrange(8)) for _ in range(length)
    ]


WEIGHTS: dict[str, int] = {"publish": 8, "push": 5, "wait": 4, "turns": 4, "come": 3, "back": 4}
SEEDS = int(os.environ.get("HERDWICK_FIRE_SEEDS", "12"))


@pytest.mark.heavy
@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_long_battle_breaks_no_guarantee(seed: int, backend: str) -> None:
    fought = run(backend, schedule_of(seed, 600), 20 if seed % 2 else 400)

    assert fought.crashes > 10
    assert sum(book.end for book in fought.stage.books.values()) > 200


@pytest.mark.heavy
@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_those_who_lag_catch_up_without_a_gap_that_they_are_not_told(
    seed: int, backend: str
) -> None:
    schedule = schedule_of(seed, 500, publish=24, read=24, turns=16, drop=1)

    fought = run(backend, schedule, 20 if seed % 2 else 400, ("room:a", "catch:a"))

    assert any(peer.line.lagged for peer in (*fought.v1, *fought.plain))
