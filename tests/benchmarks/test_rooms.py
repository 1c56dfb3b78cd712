"""The benchmark of rooms runs and prints its table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.heavy
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_measures_every_member_of_a_small_crowd(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.rooms", "--backend", backend, "--repeats", "1"]
    command += ["--members", "50", "--sockets", "20", "--json", str(file)]

    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    labels = [line[:28].strip() for line in printed.splitlines()[2:]]
    assert labels == [f"{backend}, memory", f"{backend}, sockets"]
    measured = json.loads(file.read_text())["measured"]
    assert [each["members"] for each in measured] == [50, 20]
    assert all(0 < each["p50"] <= each["p99"] for each in measured)
