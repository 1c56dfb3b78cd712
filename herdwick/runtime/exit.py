"""How an actor ended."""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, cast

import msgspec

Kind: TypeAlias = Literal["normal", "shutdown", "crash", "killed", "noproc"]


class Exit(msgspec.Struct, frozen=True):
    """Why an actor ended; the exit reason of OTP, as data that can be sent and logged.

    `normal`: it stopped itself, or its function returned. `shutdown`: it was asked to stop, was
    idle, or stopped itself with a detail.
    `crash`: an error left it. `killed`: it did not stop within its grace. `noproc`: there was
    none to begin with; only others ever see it.
    """

    kind: Kind
    error: str | None = None

    @property
    def abnormal(self) -> bool:
        """Whether a transient child comes back after it."""
        return self.kind in ("crash", "killed")

    def __str__(self) -> str:
        """Give the kind and, where there is one, the error."""
        return f"{self.kind} ({self.error})" if self.error else self.kind


NORMAL: Final = Exit("normal")
"""It stopped itself, or its function returned."""

SHUTDOWN: Final = Exit("shutdown")
"""It was asked to stop."""

KILLED: Final = Exit("killed")
"""It did not stop within its grace."""

NOPROC: Final = Exit("noproc")
"""There was none to begin with; only a monitor's `Down` has it."""


def crash(error: BaseException) -> Exit:
    """Make the reason of an actor that `error` has left."""
    return Exit("crash", f"{type(error).__name__}: {_text(error)}")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # of the user's class: it must not hide what happened
        return "<its text cannot be told>"


def exits_in(error: BaseException) -> Iterator[BaseException]:
    """Find what ends the program, in groups too: on trio it may have passed a nursery."""
    if isinstance(error, SystemExit | KeyboardInterrupt):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from exits_in(each)
