"""The page on threats names the tests that there are, and all of these."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/threat-model.md").read_text()
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))


def test_each_test_that_the_page_names_exists() -> None:
    assert {name for name in NAMED if "def test_" not in (ROOT / name).read_text()} == set()


def test_each_case_of_this_folder_is_on_the_page() -> None:
    here = {f"tests/abuse/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}

    assert here - NAMED == {"tests/abuse/test_threat_model.py"}
