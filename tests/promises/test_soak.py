"""P7: a short soak; `make soak` is the long one."""

import pytest

from tests.promises import soak

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("backend", soak.BACKENDS)
def test_nothing_is_left_of_connections_of_all_kinds(backend: str) -> None:
    assert soak.main(["--backend", backend, "--seconds", "2", "--rounds", "2", "--seed", "1"]) == 0


def test_what_is_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "GROWTH", -1000.0)

    assert soak.main(["--backend", "trio", "--seconds", "0.2", "--rounds", "1"]) == 1
