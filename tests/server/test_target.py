"""Finding the application that a command line names, and telling what is wrong."""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from herdwick.server.serving import NotAnApplication
from herdwick.server.target import (
    AttributeMissing,
    BrokenFactory,
    BrokenModule,
    MalformedTarget,
    ModuleMissing,
    NeedsFactoryOption,
    Target,
)
from herdwick.websocket import Application
from tests.server.commands import write

SHOP = """
    from types import SimpleNamespace
    from herdwick.websocket import Application

    app = Application()
    admin = Application()
    parts = SimpleNamespace(app=app)
    number = 1

    async def foreign(scope, receive, send):
        pass

    class Foreign:
        async def __call__(self, scope, receive, send):
            pass

    asgi = Foreign()

    def make():
        return Application()

    def make_nothing():
        return None

    async def make_late():
        return Application()

    def make_trouble():
        raise LookupError("no database")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    """A folder with modules, none of which stays imported, and a path that stays as it was."""
    write(tmp_path, "shop.py", SHOP)
    path, modules = sys.path[:], set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def told(target: str, folder: Path, kind: type[Exception], *, factory: bool = False) -> str:
    with pytest.raises(kind) as error:
        Target.parse(target).load(folder, factory=factory)
    return str(error.value)


@pytest.mark.parametrize("target", ["shop:app", "shop:parts.app"])
def test_an_application_is_loaded(folder: Path, target: str) -> None:
    app = Target.parse(target).load(folder)

    assert app is sys.modules["shop"].app


@pytest.mark.parametrize("target", ["shop:make", "shop:app"])
def test_a_factory_is_called(folder: Path, target: str) -> None:
    app = Target.parse(target).load(folder, factory=True)

    assert isinstance(app, Application)


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("shop", "shop:app"),
        ("shop:", "shop:app"),
        ("shop.py:main", "shop:main"),
        ("src/shop.py", "src.shop:app"),
        ("shop:a:b", "shop:app"),
        (":app", "module:application, such as main:app"),
        ("my-shop:app", "module:application, such as main:app"),
    ],
)
def test_what_names_nothing_is_corrected(text: str, corrected: str) -> None:
    with pytest.raises(MalformedTarget) as error:
        Target.parse(text)

    assert str(error.value) == f"{text!r} names no application: write {corrected}"


def test_a_missing_module_is_told_with_one_that_is_there(folder: Path) -> None:
    text = told("shopp:app", folder, ModuleMissing)

    assert text == f"there is no module 'shopp' in {folder}; did you mean 'shop'?"


@pytest.mark.parametrize("module", ["nothing_like_it", "nothing.like.it", "shop.inner"])
def test_a_missing_module_is_told(folder: Path, module: str) -> None:
    text = told(f"{module}:app", folder, ModuleMissing)

    assert text == f"there is no module '{module}' in {folder}; --app-dir tells where to look"


def test_an_import_that_fails_inside_is_told_with_its_line(folder: Path) -> None:
    write(folder, "broken.py", "import shop\nimport missing_thing\n")

    text = told("broken:app", folder, BrokenModule)

    assert text == (
        "importing 'broken' failed: ModuleNotFoundError: No module named 'missing_thing'\n"
        f"  {folder}/broken.py:2: import missing_thing"
    )


def test_a_syntax_error_is_told_with_its_line(folder: Path) -> None:
    write(folder, "broken.py", "app = (\n")

    text = told("broken:app", folder, BrokenModule)

    assert f'File "{folder}/broken.py", line 1' in text
    assert "Traceback" not in text


def test_a_missing_attribute_is_told_with_the_applications(folder: Path) -> None:
    text = told("shop:apps", folder, AttributeMissing)

    assert text == (
        "module 'shop' has no attribute 'apps'; did you mean 'app'? (applications: app, admin)"
    )


def test_a_module_without_applications_is_told(folder: Path) -> None:
    write(folder, "empty.py", "x = 1\n")

    text = told("empty:app", folder, AttributeMissing)

    assert text == "module 'empty' has no attribute 'app' (there is no application in it)"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("number", "is an int, not a herdwick Application: give the `Application` itself"),
        ("asgi", "is a Foreign, not a herdwick Application: run it under its own server, or mount"),
        ("Application", "is the class Application, not a herdwick Application: make an instance"),
    ],
)
def test_what_is_no_application_is_told(folder: Path, name: str, sentence: str) -> None:
    text = told(f"shop:{name}", folder, NotAnApplication)

    assert text.startswith(f"shop:{name} {sentence}")


def test_a_function_needs_an_option(folder: Path) -> None:
    text = told("shop:make", folder, NeedsFactoryOption)

    assert "if it returns one, add --factory" in text


@pytest.mark.parametrize("name", ["make_nothing", "make_late"])
def test_a_factory_of_something_else_is_told(folder: Path, name: str) -> None:
    text = told(f"shop:{name}", folder, NotAnApplication, factory=True)

    assert text.startswith(f"shop:{name}() is a")


def test_a_factory_that_fails_is_told_with_its_line(folder: Path) -> None:
    text = told("shop:make_trouble", folder, BrokenFactory, factory=True)

    assert text.startswith("calling shop:make_trouble failed: LookupError: no database\n  ")
    assert text.endswith(': raise LookupError("no database")')
