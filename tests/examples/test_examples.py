"""What holds for all examples: each has a test and a line in the table."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").iterdir()
    if path.suffix == ".py" or (path / "app.py").exists()
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_test_and_stands_in_the_table(example: Path) -> None:
    table = (ROOT / "examples" / "README.md").read_text()

    assert (Path(__file__).parent / f"test_{example.stem}.py").exists()
    assert f"]({example.name})" in table
