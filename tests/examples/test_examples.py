"""What holds for all examples: each is a program, has a test, and stands in the table."""

import runpy
from pathlib import Path

import pytest
import uvicorn

import herdwick

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").iterdir()
    if path.suffix == ".py" or (path / "app.py").exists()
)
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


@each_example
def test_an_example_has_a_test_and_stands_in_the_table(example: Path) -> None:
    table = (ROOT / "examples" / "README.md").read_text()

    assert (Path(__file__).parent / f"test_{example.stem}.py").exists()
    assert f"]({example.name})" in table


@each_example
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_an_example_is_a_program_that_serves_its_application(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[object] = []
    monkeypatch.setattr(herdwick, "run", served.append)
    monkeypatch.setattr(uvicorn, "run", served.append)
    module = f"examples.{example.stem}" + (".app" if example.is_dir() else "")

    names = runpy.run_module(module, run_name="__main__")

    assert served == [names["app"]]
