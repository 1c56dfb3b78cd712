"""What the source says: each public name with its place, its members and its docstring."""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import griffe

from .contents import MODULES, PAGES, Group, Page

OPERATIONS = {
    "__aenter__": "async with",
    "__aiter__": "async for",
    "__contains__": "in",
    "__enter__": "with",
    "__getitem__": "[ ]",
    "__iter__": "for",
    "__len__": "len()",
    "__str__": "str()",
}
"""What users write for a method that has no name of its own."""


class CannotWrite(Exception):
    """The source does not say all that the reference needs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A public name, imported from `module`; `members` are what users see of a class."""

    key: str
    """What it is called in `contents`: its name, or `client.Room` where an outer one has that."""
    name: str
    module: str
    page: Page
    group: Group
    object: griffe.Object
    members: tuple[griffe.Object, ...]

    @property
    def heading(self) -> str:
        # `LATER` and `Later` would be one place to link to.
        return f"`{self.name}`, a constant" if self.name.isupper() else f"`{self.name}`"

    @property
    def place(self) -> str:
        """Where a link leads to; a method's name follows without a dot."""
        return f"{self.page.file}#{anchor_of(self.heading)}"

    @property
    def attributes(self) -> list[griffe.Attribute]:
        return [member for member in self.members if isinstance(member, griffe.Attribute)]

    @property
    def operations(self) -> list[griffe.Object]:
        return [member for member in self.members if member.name in OPERATIONS]

    @property
    def methods(self) -> list[griffe.Function]:
        return [
            member
            for member in self.members
            if isinstance(member, griffe.Function) and member.name not in OPERATIONS
        ]


def anchor_of(heading: str) -> str:
    """Give the anchor that a repository's page makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def load(root: Path) -> griffe.Module:
    """Read the package without importing it."""
    package = griffe.load(
        "herdwick",
        search_paths=[root],
        try_relative_path=False,  # else the working directory comes first
        allow_inspection=False,
        docstring_parser="google",
    )
    assert isinstance(package, griffe.Module)
    return package


def exports(package: griffe.Module, module: str) -> list[str]:
    """List what a package offers, by the alphabet."""
    exported = inside(package, module).exports or []
    return sorted((str(name) for name in exported), key=lambda name: (name.lower(), name))


def inside(package: griffe.Module, module: str) -> griffe.Module:
    part = module.removeprefix(package.name).removeprefix(".")
    found = package[part] if part else package
    assert isinstance(found, griffe.Module)
    return found


def homes(package: griffe.Module) -> dict[str, str]:
    """Give each public name with the package that it belongs to.

    What an inner package calls by the name of something else is `client.Room`.
    """
    found: dict[str, str] = {}
    for module in MODULES:
        for name in exports(package, module):
            outer = found.setdefault(name, module)
            if not same(package, name, module, outer):
                found[f"{part_of(module)}.{name}"] = module
    return found


def same(package: griffe.Module, name: str, module: str, outer: str) -> bool:
    """Tell whether two packages mean the same by a name."""
    if module == outer:
        return True
    there = (definition(inside(package, each), name).path for each in (module, outer))
    return len(set(there)) == 1


def part_of(module: str) -> str:
    return module.rpartition(".")[2]


def key_of(known: Container[str], module: str, name: str) -> str:
    """Give what `contents` calls that which a package means by a name."""
    own = f"{part_of(module)}.{name}"
    return own if own in known else name


def find_entries(package: griffe.Module) -> dict[str, Entry]:
    """Find every public name, in the order of the pages.

    Raises:
        CannotWrite: A name stands in no group, or has no docstring; a group names what is not.
    """
    home = homes(package)
    placed = [
        (page, group, name) for page in PAGES for group in page.groups for name in group.names
    ]
    check_contents(home, [name for _, _, name in placed])
    defined = {key: definition(inside(package, home[key]), part_of(key)) for _, _, key in placed}
    public = {described.path for described in defined.values()}
    found = {
        key: Entry(
            key,
            name=part_of(key),
            module=home[key],
            page=page,
            group=group,
            object=defined[key],
            members=tuple(members_of(defined[key], public)),
        )
        for page, group, key in placed
    }
    check_docstrings(found.values())
    return found


def check_contents(home: dict[str, str], placed: list[str]) -> None:
    """Check that each public name stands in one group.

    Raises:
        CannotWrite: The message tells which do not, and what is there in excess.
    """
    problems = [
        f"{home[name]}.{part_of(name)} stands in no group" for name in home if name not in placed
    ]
    problems += [f"there is no public {name}" for name in placed if name not in home]
    problems += [f"{name} stands in two groups" for name in home if placed.count(name) > 1]
    if problems:
        raise CannotWrite("tools/reference/contents.py: " + "; ".join(problems))


def check_docstrings(entries: Iterable[Entry]) -> None:
    """Check that names and methods are described; attributes and aliases may speak themselves.

    Raises:
        CannotWrite: Some are not.
    """
    shown = [
        each for entry in entries for each in (entry.object, *entry.methods) if not is_alias(each)
    ]
    if bare := [each.path for each in shown if docstring_of(each) is None]:
        raise CannotWrite(f"no docstring: {', '.join(bare)}")


def is_alias(described: griffe.Object) -> bool:
    """Tell whether something is a name for a type."""
    return isinstance(described, griffe.Attribute) and str(described.annotation) == "TypeAlias"


def definition(module: griffe.Module, name: str) -> griffe.Object:
    """Find what a package exports under a name, where it is defined."""
    member = module.members[name]
    found = member.final_target if isinstance(member, griffe.Alias) else member
    # A module of the same name hides what is imported from it.
    return definition(found, name) if isinstance(found, griffe.Module) else found


def members_of(described: griffe.Object, public: Container[str]) -> Iterator[griffe.Object]:
    """Yield what users see of a class: its own, and that of bases which are not public."""
    if not isinstance(described, griffe.Class):
        return
    seen: set[str] = set()
    for owner in (described, *(base for base in ancestors(described) if base.path not in public)):
        for name, member in owner.members.items():
            if name not in seen and isinstance(member, (griffe.Function, griffe.Attribute)):
                seen.add(name)
                if is_shown(member):
                    yield member


def is_shown(member: griffe.Object) -> bool:
    if member.name in OPERATIONS or member.name == "__call__":
        return member.docstring is not None
    return not member.name.startswith("_")


def ancestors(described: griffe.Class) -> list[griffe.Class]:
    """List those of a class's bases that are ours, the nearest first."""
    package = described.package.name
    return [base for base in described.mro() if base.package.name == package]


def docstring_of(described: griffe.Object) -> griffe.Docstring | None:
    """Find an object's docstring: its own, else that of what it overrides."""
    if described.docstring is not None or not isinstance(described.parent, griffe.Class):
        return described.docstring
    for base in ancestors(described.parent):
        overridden = base.members.get(described.name)
        if overridden is not None and overridden.docstring is not None:
            return overridden.docstring
    return None
