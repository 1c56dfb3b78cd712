"""The benchmark of pressure plays its scenes, and takes note of the memory they take."""

from pathlib import Path

import pytest

from benchmarks.pressure.scenes import SCENES, SERVERS, Scene, play
from benchmarks.wire.processes import Failed


@pytest.mark.heavy
@pytest.mark.parametrize("server", SERVERS)
def test_a_flood_is_cut_by_its_policy_and_measured(server: str, tmp_path: Path) -> None:
    held = play(SCENES[0], SERVERS[server], 5, tmp_path)

    assert held.most > 0.5 * SCENES[0].bound
    assert held.sent is not None
    assert held.sent > held.most


@pytest.mark.heavy
def test_those_who_do_not_read_are_cut_by_their_policy_and_measured(tmp_path: Path) -> None:
    held = play(SCENES[2], SERVERS["trio"], 5, tmp_path)

    assert held.most > 0.5 * SCENES[2].bound
    assert held.sent is None


@pytest.mark.heavy
def test_another_end_than_the_policys_is_a_failure(tmp_path: Path) -> None:
    scene = Scene("floods", "/unread", 1013, floods=True)

    with pytest.raises(Failed, match=r"ended by code: \{'1008': 2\}, not by 1013"):
        play(scene, SERVERS["trio"], 2, tmp_path)
