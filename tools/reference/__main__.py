"""Write docs/reference from the docstrings and signatures of the source, which is not imported.

`make reference` runs it. General layout:

    contents     which page holds which name: to be edited when a public name comes or goes
    source       what the source says of them, read by griffe
    signatures   how they are declared
    pages        how all of it looks

docs/reference/command.md is written by hand.
"""

import sys
from pathlib import Path

from .pages import MARK, make_pages
from .source import CannotWrite

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


def main() -> int:
    try:
        pages = make_pages(ROOT)
    except CannotWrite as error:
        print(error, file=sys.stderr)
        return 1
    REFERENCE.mkdir(exist_ok=True)
    for path in REFERENCE.glob("*.md"):
        if path.name not in pages and path.read_text().startswith(MARK):
            path.unlink()
    for name, text in pages.items():
        (REFERENCE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
