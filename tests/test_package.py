"""What the package promises as a whole: its names, its map, its wheel."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import herdwick

ROOT = Path(__file__).parents[1]
PARTS = sorted(path.parent.name for path in ROOT.glob("herdwick/*/__init__.py"))
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(herdwick.__path__, "herdwick.")
    if module.name != "herdwick.__main__"
)


@pytest.mark.parametrize("name", ["herdwick", *MODULES])
def test_each_name_in_all_exists_once(name: str) -> None:
    module = importlib.import_module(name)

    exported: list[str] = list(getattr(module, "__all__", []))

    assert [each for each in exported if not hasattr(module, each)] == []
    assert len(exported) == len(set(exported))


@pytest.mark.parametrize("name", ["herdwick", *(f"herdwick.{part}" for part in PARTS)])
def test_a_package_lists_all_that_it_offers(name: str) -> None:
    package = importlib.import_module(name)

    offered = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_")
        and not isinstance(value, ModuleType)
        and str(getattr(value, "__module__", "")).startswith("herdwick")
    }

    assert offered - set(getattr(package, "__all__", ())) == set()


def test_the_map_in_the_docstring_names_the_folders() -> None:
    drawn = re.findall(r"^ {4}(\w+)/? {2,}", herdwick.__doc__ or "", re.MULTILINE)

    assert sorted(drawn) == PARTS


def test_the_wheel_holds_the_package_and_imports(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*build, "--directory", tmp_path], cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")

    # -P keeps the checkout off the path, and the wheel comes before an editable install.
    script = f"import sys; sys.path.insert(0, {str(wheel)!r}); import herdwick; print(herdwick)"
    told = subprocess.run(
        [sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True
    )

    assert str(wheel) in told.stdout
