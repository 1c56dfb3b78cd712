"""Text that several people change at once: operational transformation, pure.

A change is a list of what happens to a text, piece by piece, from its start on: a positive number
keeps so many characters, a negative one deletes so many, a text is inserted. What is left over at
the end stays. In "a lamb", `[2, "small ", 4]` inserts, and `[2, -4, "sheep"]` replaces a word.

Two people change one text at once, by `a` and by `b`. Whoever makes `b` after `a` has to make
`transform(b, a, first=False)`, and the other way round `transform(a, b, first=True)`: both come to
the same text. static/text.js does the same in the browser; a test compares the two.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Change: TypeAlias = Sequence[int | str]

KEPT: Final = 1000
"""How many of the last changes a text remembers, for those that were made before them."""


class Outdated(Exception):
    """A change of a text that is not remembered, or does not fit the one that it names."""


def apply(text: str, change: Change) -> str:
    """Give a text as it is after a change.

    Raises:
        Outdated: The change is for a longer text.
    """
    parts: list[str] = []
    at = 0
    for piece in change:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        if piece > 0:
            parts.append(text[at : at + piece])
        at += abs(piece)
    if at > len(text):
        raise Outdated(f"the change is for {at} characters or more, and the text has {len(text)}")
    return "".join(parts) + text[at:]


def transform(change: Change, other: Change, *, first: bool) -> Change:
    """Give a change as it has to be after another one that was made at the same time.

    Args:
        change: What is still to be made.
        other: What was made meanwhile, to the same text.
        first: Whether `change` goes first where both insert at one place.
    """
    mine, theirs = deque(change), deque(other)
    result: list[int | str] = []
    while mine:
        if isinstance(mine[0], str) and (first or not theirs or isinstance(theirs[0], int)):
            result.append(mine[0])
            mine.popleft()
        elif theirs and isinstance(theirs[0], str):
            result.append(len(theirs[0]))  # what they have inserted stays
            theirs.popleft()
        elif not theirs:
            result.append(mine.popleft())
        else:
            count = min(length(mine[0]), length(theirs[0]))
            piece = take(mine, count)
            if take(theirs, count) > 0:
                result.append(piece)  # else it is deleted: there is nothing to keep or delete
    return tidy(result)


def moved(at: int, change: Change) -> int:
    """Tell where a place in a text is after a change; what is inserted right there pushes it on."""
    result, reached = at, 0
    for piece in change:
        if reached > at:
            break
        if isinstance(piece, str):
            result += len(piece)
            continue
        if piece < 0:
            result -= min(-piece, at - reached)
        reached += abs(piece)
    return result


def tidy(change: Change) -> Change:
    """Give a change without pieces that do nothing, or that go on with the one before."""
    result: list[int | str] = []
    for piece in change:
        last = result[-1] if result else 0
        match last, piece:
            case str(), str():
                result[-1] = last + piece
            case int(), int() if last * piece > 0:
                result[-1] = last + piece
            case _ if piece:
                result.append(piece)
            case _:
                pass
    while result and isinstance(result[-1], int) and result[-1] > 0:
        result.pop()
    return result


def length(piece: int | str) -> int:
    """Tell how many characters of the text before it a piece is about."""
    return 0 if isinstance(piece, str) else abs(piece)


def take(pieces: deque[int | str], count: int) -> int:
    """Take so many characters off the first piece, which keeps or deletes, and give their piece."""
    piece = pieces.popleft()
    assert isinstance(piece, int)
    taken = count if piece > 0 else -count
    if piece != taken:
        pieces.appendleft(piece - taken)
    return taken


@dataclass(frozen=True, slots=True)
class Step:
    """A change that was made."""

    id: str
    """Made up by who has made it, so that he knows it again."""

    change: Change


@dataclass(frozen=True, slots=True)
class Text:
    """A text, how many changes have led to it, and the last of them."""

    content: str = ""
    revision: int = 0
    steps: tuple[Step, ...] = ()

    def since(self, revision: int) -> Sequence[Step]:
        """Give what has been changed since a revision.

        Raises:
            Outdated: It is not remembered, or is yet to come.
        """
        missing = self.revision - revision
        if not 0 <= missing <= len(self.steps):
            raise Outdated(f"revision {revision} is not remembered; this is {self.revision}")
        return self.steps[len(self.steps) - missing :]

    def changed(self, step: Step, revision: int) -> "Text":
        """Give the text after a change that was made to this revision of it.

        Raises:
            Outdated: As `since`, or the change does not fit.
        """
        change = step.change
        for other in self.since(revision):
            change = transform(change, other.change, first=False)
        content = apply(self.content, change)
        steps = (*self.steps, Step(step.id, change))[-KEPT:]
        return Text(content, self.revision + 1, steps)
