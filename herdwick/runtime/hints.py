"""What annotations say, as far as that is certain; what cannot be told is `Any`."""

from __future__ import annotations

import sys
import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, Union

# What type checkers take for the other (PEP 484, and bytes as it was before PEP 688).
_PROMOTED: dict[type, tuple[type, ...]] = {
    float: (int,),
    complex: (int, float),
    bytes: (bytearray, memoryview),
}


def returned_by(cls: type, name: str) -> Any:
    """Give the return annotation of a method of `cls`."""
    method: Any = getattr(cls, name)
    if hasattr(method, "__wrapped__"):
        return Any  # the annotations are those of another function
    owner = next(base for base in cls.__mro__ if name in vars(base))
    try:
        hint = method.__annotations__.get("return", Any)
    except NameError:  # from 3.14 on they are only evaluated here
        return Any
    return _resolved(hint, method.__qualname__, method.__globals__, vars(owner))


def argument_of(cls: type, arguments: tuple[Any, ...], root: type) -> Any:
    """Give what `cls[arguments]` puts in for the type variable of `root`, a generic base of it."""
    if cls is root:
        return arguments[0] if arguments else Any
    names = getattr(sys.modules.get(cls.__module__), "__dict__", {})
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = class_of(base)
        if isinstance(origin, type) and issubclass(origin, root):
            given = (_resolved(hint, cls.__qualname__, names) for hint in typing.get_args(base))
            return _filled(argument_of(origin, tuple(given), root), cls, arguments)
    return Any


def _filled(hint: Any, cls: Any, arguments: tuple[Any, ...]) -> Any:
    """Put the type arguments of a class into a hint that speaks of its type parameters."""
    parameters = getattr(cls, "__parameters__", ())
    if len(parameters) != len(arguments):
        return hint
    given: dict[Any, Any] = dict(zip(parameters, arguments, strict=True))
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    open_names = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(name, name) for name in open_names)] if open_names else hint


def _resolved(
    hint: Any, place: str, outer: Mapping[str, Any], inner: Mapping[str, Any] | None = None
) -> Any:
    """Evaluate what of a hint is a string."""

    def annotated() -> None: ...

    annotated.__annotations__ = {"return": hint}
    # What stands in a function may mean the function's own names, which nobody sees from here.
    names = {} if "<locals>" in place else dict(outer)
    try:
        return typing.get_type_hints(annotated, names, dict(inner or {}))["return"]
    except Exception:  # whatever the evaluation of somebody's annotation may raise
        return Any


def fits(given: Any, wanted: Any) -> bool:
    """Tell whether a value of one type may be of another; in doubt it may."""
    return any(_may_be(class_of(given), class_of(one)) for one in members_of(wanted))


def _may_be(given: Any, wanted: Any) -> bool:
    classes = isinstance(given, type) and isinstance(wanted, type)
    if not classes or Any in (given, wanted):
        return True
    try:
        return issubclass(given, (wanted, *_PROMOTED.get(wanted, ()))) or issubclass(wanted, given)
    except TypeError:  # of a protocol or a TypedDict
        return True


def members_of(hint: Any) -> tuple[Any, ...]:
    """Give the members of a union, and of anything else itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, UnionType) else (hint,)


def class_of(hint: Any) -> Any:
    """Give `Put` for `Put[int]`, and what is no such alias as it is."""
    return typing.get_origin(hint) or hint


def shown(hint: Any) -> str:
    """Give a hint as its author wrote it, more or less."""
    if hint is NoneType:
        return "None"
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
