"""The pages: all of each public name on one, a line for each in the index."""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import griffe

from . import signatures
from .contents import GIVEN, MODULES, PAGES, Group, Page
from .signatures import Annotation
from .source import (
    OPERATIONS,
    CannotWrite,
    Entry,
    ancestors,
    anchor_of,
    docstring_of,
    exports,
    find_entries,
    key_of,
    load,
)

MARK = "<!-- Made from the docstrings by `make reference`. -->"

_CODE = re.compile(r"`([A-Za-z_][\w.]*)`")


def make_pages(root: Path) -> dict[str, str]:
    """Give the text of each page, by the name of its file; `root` is where the package lies.

    Raises:
        CannotWrite: A public name is in no group or has no docstring, or a docstring does not fit.
    """
    complaints = Complaints()
    logger = logging.getLogger("griffe")
    logger.addHandler(complaints)
    try:
        package = load(root)
        known = find_entries(package)
        pages = {page.file: PageWriter(package, known, page).text() for page in PAGES}
        pages["README.md"] = joined(index(package, known))
    finally:
        logger.removeHandler(complaints)
    if complaints.lines:
        raise CannotWrite("\n".join(complaints.lines))
    return pages


class Complaints(logging.Handler):
    """What griffe says of docstrings that do not fit their signatures."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class PageWriter:
    """Writes one page."""

    def __init__(self, package: griffe.Module, known: dict[str, Entry], page: Page) -> None:
        self._package = package
        self._known = known
        self._page = page
        self._entry: Entry | None = None
        """The one in hand."""

    def text(self) -> str:
        parts = [MARK, f"# {self._page.title}", f"{self._page.text} ([Reference](README.md))"]
        for group in self._page.groups:
            parts += [f"## {group.title}", self._imports(group)]
            for name in group.names:
                self._entry = self._known[name]
                parts += [f"### {self._entry.heading}", *self._described(self._entry)]
        check_anchors(parts)
        return joined(parts)

    def _imports(self, group: Group) -> str:
        """Say where the names of a group are imported from."""
        names: dict[str, list[str]] = {}
        for key in group.names:
            entry = self._known[key]
            names.setdefault(entry.module, []).append(f"`{entry.name}`")
        if len(names) == 1:
            return f"Import from `{self._known[group.names[0]].module}`."
        parts = [f"{', '.join(each)} from `{module}`" for module, each in names.items()]
        return f"Import {'; '.join(parts)}."

    def _described(self, entry: Entry) -> Iterator[str]:
        if isinstance(entry.object, griffe.Class):
            yield from self._class(entry, entry.object)
        elif isinstance(entry.object, griffe.Function):
            yield from self._function(entry.object)
        elif isinstance(entry.object, griffe.Attribute):
            yield block(signatures.of_attribute(entry.object))
            yield from self._documentation(entry.object)
            yield from self._aliases([entry.object.value])

    def _class(self, entry: Entry, described: griffe.Class) -> Iterator[str]:
        init = None if entry.name in GIVEN else signatures.constructor(described)
        yield block(signatures.of_class(entry.name, described, init))
        yield from self._documentation(described)
        if init is not None:
            yield from self._documentation(init)
            yield from self._options(init)
        types = [signatures.type_of(member) for member in entry.attributes]
        yield from self._aliases([*(signatures.annotations(init) if init else ()), *types])
        yield from self._inherited(described)
        yield from items("Attributes", map(self._attribute, entry.attributes))
        yield from items("Operations", map(self._operation, entry.operations))
        for method in entry.methods:
            yield f"#### `{entry.name}.{method.name}`"
            yield from self._function(method)

    def _function(self, function: griffe.Function) -> Iterator[str]:
        yield block(signatures.of_function(function))
        yield from self._documentation(function)
        yield from self._options(function)
        yield from self._aliases(signatures.annotations(function))

    def _inherited(self, described: griffe.Class) -> Iterator[str]:
        paths = [base.path for base in ancestors(described)]
        bases = [entry for entry in self._known.values() if entry.object.path in paths]
        if named := [self._named(base.key) for base in bases if base.members]:
            yield f"It has the members of {' and of '.join(named)} too."

    def _attribute(self, member: griffe.Attribute) -> tuple[str, str]:
        told = list(self._documentation(member)) or list(self._told_above(member))
        return signatures.of_member(member), "\n\n".join(told)

    def _told_above(self, member: griffe.Attribute) -> Iterator[str]:
        """Yield what the class says of a parameter that it keeps under the same name."""
        docstring = member.parent.docstring if member.parent else None
        for section in docstring.parsed if docstring else ():
            if isinstance(section, griffe.DocstringSectionParameters):
                told = {parameter.name: parameter.description for parameter in section.value}
                if member.name in told:
                    yield self._linked(told[member.name])

    def _operation(self, member: griffe.Object) -> tuple[str, str]:
        return OPERATIONS[member.name], "\n\n".join(self._documentation(member))

    def _aliases(self, types: Iterable[Annotation]) -> Iterator[str]:
        """Say what the names of types mean that are not public themselves."""
        public = {entry.object.path for entry in self._known.values()}
        meanings = signatures.aliases(self._package, types, public)
        if meanings:
            yield " ".join(f"`{name}` is `{meaning}`." for name, meaning in meanings.items())

    def _options(self, function: griffe.Function) -> Iterator[str]:
        """List the keyword arguments that a typed dict of ours stands for."""
        for parameter in function.parameters:
            unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
            if unpacked and unpacked[1] in self._known:
                names = [f"`{member.name}`" for member in self._known[unpacked[1]].attributes]
                yield f"`{parameter.name}`: {', '.join(names)}; see {self._named(unpacked[1])}."

    def _documentation(self, described: griffe.Object) -> Iterator[str]:
        docstring = docstring_of(described)
        for section in docstring.parsed if docstring else ():
            yield from self._section(section, described)

    def _section(self, section: griffe.DocstringSection, owner: griffe.Object) -> Iterator[str]:
        if isinstance(section, griffe.DocstringSectionText):
            yield self._linked(section.value)
        elif isinstance(section, griffe.DocstringSectionParameters):
            told = ((each.name, self._linked(each.description)) for each in section.value)
            yield from items("Args", ((name, text) for name, text in told if text))
        elif isinstance(section, griffe.DocstringSectionRaises):
            yield "Raises:"
            yield "\n".join(
                indented(f"* {self._named(str(each.annotation))}: {self._linked(each.description)}")
                for each in section.value
            )
        elif isinstance(section, griffe.DocstringSectionReturns):
            given = " ".join(each.description for each in section.value)
            yield f"Returns: {self._linked(given[:1].lower() + given[1:])}"
        else:
            raise CannotWrite(f"{owner.path}: its docstring has a section of another kind")

    def _linked(self, text: str) -> str:
        """Let the names in a text lead to where they are described."""
        return "\n".join(
            line
            if line.startswith("    ")  # an example
            else _CODE.sub(lambda found: self._named(found[1]), line)
            for line in text.split("\n")
        )

    def _named(self, name: str) -> str:
        target = self._target(name)
        shown = self._known[name].name if name in self._known else name
        return f"`{shown}`" if target is None else f"[`{shown}`]({target})"

    def _target(self, name: str) -> str | None:
        """Find where a class or a method is described, unless it is the class in hand."""
        if name in self._known:
            owner, member = name, ""
        else:
            owner, _, member = name.partition(".")
        if self._entry is not None:  # a package means its own
            owner = key_of(self._known, self._entry.module, owner)
        found = self._known.get(owner)
        if found is None or not isinstance(found.object, griffe.Class):
            return None
        methods = [method.name for method in found.methods]
        if member not in methods if member else found is self._entry:
            return None
        return (found.place + member.lower()).removeprefix(self._page.file)


def check_anchors(parts: Iterable[str]) -> None:
    """Check that each heading of a page has a name of its own for links.

    Raises:
        CannotWrite: Two have the same.
    """
    anchors = [anchor_of(part.lstrip("# ")) for part in parts if part.startswith("#")]
    if twice := {anchor for anchor in anchors if anchors.count(anchor) > 1}:
        raise CannotWrite(f"tools/reference/contents.py: two headings become {sorted(twice)}")


def index(package: griffe.Module, known: dict[str, Entry]) -> Iterator[str]:
    """Yield the parts of the page with all names, by the package that they are imported from."""
    yield MARK
    yield "# Reference"
    yield (
        "Every public name in one line, which leads to its signature and to all that is said of "
        "it. The [how-to guides](../README.md#how-to) show the names at work."
    )
    contents = [f"* [`{name}`](#{anchor_of(name)}): {text}" for name, text in MODULES.items()]
    yield "\n".join([*contents, "* [The command](command.md)"])
    for module in MODULES:
        yield f"## {module}"
        yield from index_of(module, exports(package, module), known)


def index_of(module: str, exported: list[str], known: dict[str, Entry]) -> Iterator[str]:
    meant = [known[key_of(known, module, name)] for name in exported]
    others = [entry for entry in meant if entry.module != module]
    if others:
        links = ", ".join(f"[`{entry.name}`]({entry.place})" for entry in others)
        yield f"Besides the names below, these can be imported from here: {links}."
    for page in PAGES:
        for group in page.groups:
            rows = [row(known[name]) for name in group.names if known[name].module == module]
            if rows:
                yield f"### {group.title}"
                link = f"[{page.title}]({page.file}#{anchor_of(group.title)})"
                yield "\n".join([f"| {link} | |", "|---|---|", *rows])


def row(entry: Entry) -> str:
    docstring = docstring_of(entry.object)
    if docstring is None:
        assert isinstance(entry.object, griffe.Attribute)
        line = f"`{signatures.source(entry.object.value)}`"  # an alias, which says what it is
    else:
        line = docstring.value.partition("\n\n")[0].replace("\n", " ")
    line = line.replace("|", "\\|")
    return f"| [`{entry.name}`]({entry.place}) | {line} |"


def items(title: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a list with its title, or nothing where it is empty."""
    lines = [indented(f"* `{name}`: {text}" if text else f"* `{name}`") for name, text in pairs]
    if lines:
        yield f"{title}:"
        yield "\n".join(lines)


def indented(item: str) -> str:
    return item.replace("\n", "\n  ").replace("\n  \n", "\n\n")


def block(code: str) -> str:
    # `py`, not `python`: what is marked so is run by the tests.
    return f"```py\n{code}\n```"


def joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"
