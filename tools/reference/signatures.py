"""Signatures as they stand in the source, without what users do not see."""

import ast
import re
from collections.abc import Container, Iterable, Iterator
from typing import TypeAlias

import griffe

from .source import ancestors

WIDTH = 88
DECORATORS = ("asynccontextmanager", "classmethod", "staticmethod")
"""Decorators that change how a function is called."""

Annotation: TypeAlias = str | griffe.Expr | None

_SINGLE_QUOTED = re.compile(r"'([^'\"\\]*)'")
_KINDS = griffe.ParameterKind


def of_function(function: griffe.Function) -> str:
    """Write what a function looks like; only the overloads where it has any."""
    decorators = [str(decorator.value) for decorator in function.decorators]
    shown = "".join(f"@{each}\n" for each in decorators if each in DECORATORS)
    start = "async def" if "async" in function.labels else "def"
    return "\n\n".join(
        shown + _call(f"{start} {form.name}", form, form.returns) for form in _forms(function)
    )


def of_class(name: str, described: griffe.Class, init: griffe.Function | None) -> str:
    """Write a class with its bases, and how it is made where `init` is given."""
    bases = ", ".join(source(base) for base in described.bases)
    head = f"class {name}({bases})" if bases else f"class {name}"
    calls = [_call(name, form) for form in (_forms(init) if init else ())]
    return "\n\n".join([head, *(call for call in calls if call != f"{name}()")])


def of_attribute(attribute: griffe.Attribute) -> str:
    typed = "" if attribute.annotation is None else f": {source(attribute.annotation)}"
    return f"{attribute.name}{typed} = {source(attribute.value)}"


def of_member(member: griffe.Attribute) -> str:
    """Write an attribute with its type, or with its value where that is all it is."""
    if isinstance(member.parent, griffe.Class) and "Enum" in map(str, member.parent.bases):
        return f"{member.name} = {source(member.value)}"
    annotation = type_of(member)
    return member.name if annotation is None else f"{member.name}: {source(annotation)}"


def source(expression: Annotation) -> str:
    """Write an expression as it stands in the source."""
    return _SINGLE_QUOTED.sub(r'"\1"', str(expression))


def constructor(described: griffe.Class) -> griffe.Function | None:
    """Find how a class is made; for a struct of msgspec, that follows from its fields."""
    family = [described, *ancestors(described)]
    if any(str(base).endswith("Struct") for each in family for base in each.bases):
        return _struct_constructor(family)
    inits = (each.members.get("__init__") for each in family)
    return next((init for init in inits if isinstance(init, griffe.Function)), None)


def type_of(member: griffe.Attribute) -> Annotation:
    """Find the type of an attribute: as annotated, else as seen in what it is made of."""
    if member.annotation is not None and str(member.annotation) != "Final":
        return member.annotation
    init = member.parent.members.get("__init__") if member.parent else None
    for parameter in init.parameters if isinstance(init, griffe.Function) else ():
        if parameter.name == str(member.value):
            return _type_inside(parameter)
    return _type_made(member.value, member.package)


def _type_inside(parameter: griffe.Parameter) -> Annotation:
    """Give the type that a parameter has inside of its function."""
    if parameter.kind is _KINDS.var_positional:
        return f"tuple[{parameter.annotation}, ...]"
    return parameter.annotation


def _type_made(value: Annotation, package: griffe.Module) -> Annotation:
    """Give the type of a value where it is plain to see; a call of ours has what it returns."""
    if isinstance(value, griffe.ExprBoolOp):  # such as `limits or Limits()`
        return _type_made(value.values[-1], package)
    if isinstance(value, griffe.ExprIfExp):
        return _type_made(value.body, package) or _type_made(value.orelse, package)
    if isinstance(value, griffe.ExprCompare):
        return "bool"
    if isinstance(value, griffe.ExprCall):
        if value.canonical_name[:1].isupper():
            return value.function
        function = _resolved(package, value.canonical_path)
        return function.returns if isinstance(function, griffe.Function) else None
    return _type_of_constant(str(value))


def _type_of_constant(value: str) -> str | None:
    try:
        constant: object = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return None
    return type(constant).__name__ if isinstance(constant, (bool, int, float, str)) else None


def annotations(function: griffe.Function) -> Iterator[Annotation]:
    """Yield the types in a signature."""
    for form in _forms(function):
        yield from (parameter.annotation for parameter in form.parameters)
        yield form.returns


def aliases(
    package: griffe.Module, types: Iterable[Annotation], public: Container[str]
) -> dict[str, str]:
    """Give the aliases in some types that are ours and not public, with what they stand for."""
    found: dict[str, str] = {}
    for name in (name for each in types for name in _names(each)):
        target = _resolved(package, name.canonical_path)
        if not isinstance(target, griffe.Attribute) or target.path in public:
            continue
        if str(target.annotation) == "TypeAlias":
            found[name.name] = source(target.value)
            found |= aliases(package, [target.value], public)
    return found


def _names(expression: Annotation) -> Iterator[griffe.ExprName]:
    if isinstance(expression, griffe.Expr):
        yield from (each for each in expression.iterate() if isinstance(each, griffe.ExprName))


def _resolved(package: griffe.Module, path: str) -> griffe.Object | None:
    inner = path.removeprefix(f"{package.name}.")
    if inner == path:
        return None
    try:
        found = package[inner]
    except KeyError:  # such as the `args` of a ParamSpec
        return None
    return found.final_target if isinstance(found, griffe.Alias) else found


def _forms(function: griffe.Function) -> list[griffe.Function]:
    return function.overloads or [function]


def _call(name: str, function: griffe.Function, returns: Annotation = None) -> str:
    """Write a call on one line, or with one parameter on each where it gets too long."""
    parameters = list(_parameters(function))
    result = f" -> {source(returns)}" if returns is not None else ""
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) <= WIDTH:
        return line
    inner = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{name}(\n{inner}){result}"


def _parameters(function: griffe.Function) -> Iterator[str]:
    """Yield the parameters but for `self`, with the marks `/` and `*` between them."""
    slash_due = starred = False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if slash_due and parameter.kind is not _KINDS.positional_only:
            slash_due = False
            yield "/"
        if parameter.kind is _KINDS.keyword_only and not starred:
            yield "*"
        slash_due = parameter.kind is _KINDS.positional_only
        starred = starred or parameter.kind in (_KINDS.var_positional, _KINDS.keyword_only)
        yield _parameter(parameter)
    if slash_due:
        yield "/"


def _parameter(parameter: griffe.Parameter) -> str:
    typed = "" if parameter.annotation is None else f": {source(parameter.annotation)}"
    if parameter.kind in (_KINDS.var_positional, _KINDS.var_keyword):
        stars = "*" if parameter.kind is _KINDS.var_positional else "**"
        return f"{stars}{parameter.name}{typed}"
    if parameter.default is None:
        return f"{parameter.name}{typed}"
    equals = " = " if typed else "="
    return f"{parameter.name}{typed}{equals}{source(parameter.default)}"


def _struct_constructor(family: list[griffe.Class]) -> griffe.Function:
    fields: dict[str, griffe.Parameter] = {}
    for each in reversed(family):
        kind = _KINDS.keyword_only if "kw_only" in each.keywords else _KINDS.positional_or_keyword
        for member in each.members.values():
            if isinstance(member, griffe.Attribute) and _is_field(member):
                fields[member.name] = griffe.Parameter(
                    member.name,
                    annotation=member.annotation,
                    kind=kind,
                    default=_default_of(member),
                )
    # Stable: keyword-only fields go last, as msgspec has it.
    ordered = sorted(fields.values(), key=lambda field: field.kind is _KINDS.keyword_only)
    return griffe.Function("__init__", parameters=griffe.Parameters(*ordered))


def _is_field(member: griffe.Attribute) -> bool:
    is_instance_s = "instance-attribute" in member.labels and "property" not in member.labels
    return is_instance_s and member.annotation is not None


def _default_of(member: griffe.Attribute) -> str | griffe.Expr | None:
    if isinstance(member.value, griffe.ExprCall) and member.value.canonical_name == "field":
        return "..."
    return member.value
