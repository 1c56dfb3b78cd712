"""What a person needs of an error: its sentence, and the lines of their own that led to it."""

import sysconfig
import traceback
from pathlib import Path
from typing import Final

MOST_LINES: Final = 5

_HERDWICK: Final = Path(__file__).parents[1]
_PYTHON: Final = sysconfig.get_path("stdlib")
_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})


def essence(error: BaseException) -> str:
    """Give the sentence of an error, and below it the lines of the program that led to it.

    Lines of herdwick, of Python and of installed packages are left out. The cause follows in the
    same way.
    """
    parts = [_sentence(error), *_places(error)]
    if error.__cause__ is not None:
        parts += [f"because of {_sentence(error.__cause__)}", *_places(error.__cause__)]
    return "\n".join(parts)


def _sentence(error: BaseException) -> str:
    if _is_ours(error):
        return str(error)
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(error)).strip()
    return traceback.format_exception_only(error)[-1].strip()


def _places(error: BaseException) -> list[str]:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.line and _is_of_program(frame.filename)
    ]
    return [f"  {each.filename}:{each.lineno}: {each.line}" for each in frames[-MOST_LINES:]]


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.startswith("herdwick.")


def _is_of_program(filename: str) -> bool:
    file = Path(filename)
    if filename.startswith("<frozen") or _PACKAGES.intersection(file.parts):
        return False
    return not (file.is_relative_to(_HERDWICK) or file.is_relative_to(_PYTHON))
