"""What a person needs of an error: its sentence, and the lines of their own that led to it."""

import traceback
from pathlib import Path
from typing import Final

MOST_LINES: Final = 5

_OURS: Final = str(Path(__file__).parents[1])


def essence(error: BaseException) -> str:
    """Give the sentence of an error, and below it the lines of code outside of herdwick.

    Our own errors are made to be read alone; of them, and of causes, the sentence is enough.
    """
    parts = [_sentence(error), *_places(error)]
    if error.__cause__ is not None:
        parts += [f"because of {_sentence(error.__cause__)}", *_places(error.__cause__)]
    return "\n".join(parts)


def _sentence(error: BaseException) -> str:
    if type(error).__module__.startswith("herdwick."):
        return str(error)
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(error)).strip()
    return traceback.format_exception_only(error)[-1].strip()


def _places(error: BaseException) -> list[str]:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_OURS, "<frozen")) and "importlib" not in frame.filename
    ]
    return [f"  {each.filename}:{each.lineno}: {each.line}" for each in frames[-MOST_LINES:]]
