"""What a command line names as `module:application`, and every way in which that can fail.

TargetError
├── MalformedTarget      it is not of the form module:application
├── ModuleMissing        there is no such module
├── BrokenModule         importing the module failed
├── AttributeMissing     the module holds nothing of that name
├── NeedsFactoryOption   it is a function
└── BrokenFactory        calling the function failed

and `NotAnApplication`, which `run` raises too.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import cast

from herdwick.websocket import Application

from .essence import essence
from .serving import NotAnApplication


class TargetError(Exception):
    """The application that was named cannot be had."""


class MalformedTarget(TargetError):
    """It is not of the form module:application."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} names no application: write {_corrected(text)}")
        self.text = text


class ModuleMissing(TargetError):
    """There is no such module."""

    def __init__(self, module: str, directory: Path, *, similar: Iterable[str]) -> None:
        advice = _did_you_mean(similar) or "; --app-dir tells where to look"
        super().__init__(f"there is no module {module!r} in {directory}{advice}")
        self.module = module


class BrokenModule(TargetError):
    """Importing the module failed; `__cause__` is its error."""

    def __init__(self, module: str, error: BaseException) -> None:
        super().__init__(f"importing {module!r} failed: {essence(error)}")
        self.module = module


class AttributeMissing(TargetError):
    """The module holds nothing of that name."""

    def __init__(self, module: ModuleType, name: str) -> None:
        held = [key for key, value in vars(module).items() if isinstance(value, Application)]
        similar = get_close_matches(name, [key for key in vars(module) if key[0] != "_"])
        advice = _did_you_mean(similar)
        if not held:
            advice += " (there is no application in it)"
        elif held != similar:
            advice += f" (applications: {', '.join(held)})"
        super().__init__(f"module {module.__name__!r} has no attribute {name!r}{advice}")
        self.name = name
        self.applications = held


class NeedsFactoryOption(TargetError):
    """It is a function; whether it makes an application, only its caller knows."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target} is a function, not a herdwick Application: "
            "if it returns one, add --factory, and it is called"
        )


class BrokenFactory(TargetError):
    """Calling the function failed; `__cause__` is its error."""

    def __init__(self, target: str, error: BaseException) -> None:
        super().__init__(f"calling {target} failed: {essence(error)}")


@dataclass(frozen=True, slots=True)
class Target:
    """A module and the path of an attribute in it."""

    module: str
    attribute: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read `module:application`.

        Raises:
            MalformedTarget: It is something else.
        """
        module, _, attribute = text.partition(":")
        if not _is_dotted(module) or not _is_dotted(attribute) or module.endswith(".py"):
            raise MalformedTarget(text)
        return cls(module, attribute)

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"

    def load(self, directory: Path, *, factory: bool = False) -> Application:
        """Import the application; the directory comes first on the path from then on.

        Raises:
            TargetError: It cannot be had.
            NotAnApplication: It is something else.
        """
        sys.path.insert(0, str(directory))
        found = self._look_up(self._import(directory))
        if factory and not isinstance(found, Application):
            found = self._called(found)
        elif inspect.isroutine(found):
            raise NeedsFactoryOption(str(self))
        if not isinstance(found, Application):
            raise NotAnApplication(f"{self}{'()' if factory else ''}", found)
        return found

    def _import(self, directory: Path) -> ModuleType:
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{self.module}.".startswith(f"{error.name}."):
                similar = _similar_modules(self.module, directory)
                raise ModuleMissing(self.module, directory, similar=similar) from None
            raise BrokenModule(self.module, error) from error
        except Exception as error:
            raise BrokenModule(self.module, error) from error

    def _look_up(self, module: ModuleType) -> object:
        found: object = module
        for name in self.attribute.split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                raise AttributeMissing(module, self.attribute) from None
        return found

    def _called(self, found: object) -> object:
        if not callable(found):
            return found
        try:
            made = cast("Callable[[], object]", found)()
        except Exception as error:
            raise BrokenFactory(str(self), error) from error
        if inspect.iscoroutine(made):
            made.close()  # it is not an application, and nobody will await it
        return made


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _corrected(text: str) -> str:
    """Guess what was meant: a file's path for a module, a missing name, a dot for the colon."""
    path, _, attribute = text.partition(":")
    module = ".".join(Path(path.removesuffix(".py")).parts)
    if _is_dotted(module):
        return f"{module}:{attribute if _is_dotted(attribute) else 'app'}"
    return "module:application, such as main:app"


def _similar_modules(module: str, directory: Path) -> list[str]:
    package, _, name = module.rpartition(".")
    folder = directory.joinpath(*package.split("."))
    there = [each.name for each in pkgutil.iter_modules([str(folder)])]
    prefix = f"{package}." if package else ""
    return [prefix + each for each in get_close_matches(name, there)]


def _did_you_mean(similar: Iterable[str]) -> str:
    names = " or ".join(repr(name) for name in similar)
    return f"; did you mean {names}?" if names else ""
