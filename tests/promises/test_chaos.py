"""P1, P3 and P4: a little chaos; `make chaos` makes more of it."""

import pytest

from tests.promises import chaos

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whoever_lives_misses_nothing(backend: str) -> None:
    assert chaos.main(["--backend", backend, "--seconds", "3", "--seed", "1"]) == 0
