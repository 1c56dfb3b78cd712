"""Print the lower bounds in pyproject.toml as pins, one a line, for `pip install --constraint`."""

import re
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[.*\])?>=([0-9.]+)")


def pin(requirement: str) -> str:
    match = REQUIREMENT.match(requirement)
    if match is None:
        raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound")
    return f"{match[1]}=={match[2]}"


def oldest(pyproject: Path) -> list[str]:
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return sorted({pin(requirement) for requirement in requirements})


if __name__ == "__main__":
    print(*oldest(Path("pyproject.toml")), sep="\n")
