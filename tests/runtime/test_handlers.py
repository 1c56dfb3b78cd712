"""Marks of handlers, and what a class with wrong ones is refused for."""

import functools
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Never, Optional, Protocol

import pytest
from typing_extensions import TypedDict, TypeVar

from herdwick.runtime import Actor, Ask, Later, Message, on
from herdwick.runtime.handlers import Mark, marked, marks_of, wants_value

if TYPE_CHECKING:
    from fractions import Fraction  # noqa: F401  # named in strings

T = TypeVar("T")
V = TypeVar("V")


class Add(Message):
    n: int = 1


class Get(Ask[int]):
    pass


class Edited(Message):
    text: str = ""


class Revised(Edited):
    pass


class Edit(Ask[Edited]):
    pass


class Find(Ask[str | None]):
    pass


class Many(Ask[Sequence[str]]):
    pass


class Weigh(Ask[float]):
    pass


class Fetch(Ask[V], Generic[V]):
    pass


class FetchText(Fetch[str]):
    pass


class Fetches(Fetch[list[V]], Generic[T, V]):
    pass


class Named(Ask["Edited"]):
    pass


class Unknown(Ask["Fraction"]):
    pass


class Sized(Protocol):
    size: int


class Measure(Ask[Sized]):
    pass


class Table(TypedDict):
    rows: int


class Read(Ask[Table]):
    pass


class Anything(Ask[Any]):
    pass


def made(*bases: type, **parts: object) -> type[Actor[Any]]:
    """Make an actor class of parts that type checkers do not look into."""
    cls = type("Made", (*bases, Actor), parts)
    assert issubclass(cls, Actor)
    return cls


def made_with(message: Any, hint: object, place: str = "handle") -> type[Actor[Any]]:
    """Make an actor class whose one handler is annotated to return this."""

    async def handle(self: object, message: object) -> None: ...

    handle.__annotations__["return"] = hint
    handle.__qualname__ = place
    return made(handle=on(message)(handle))


# ---------------------------------------------------------------------- what fits


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        pytest.param(Get, int, id="the very type"),
        pytest.param(Get, bool, id="a subclass"),
        pytest.param(Edit, Revised, id="a subclass of ours"),
        pytest.param(Edit, Message, id="a base, whose value may be right"),
        pytest.param(Get, object, id="object"),
        pytest.param(Get, Any, id="Any"),
        pytest.param(Get, T, id="a type variable"),
        pytest.param(Get, Never, id="Never"),
        pytest.param(Get, typing.NoReturn, id="NoReturn"),
        pytest.param(Get, Literal[1], id="a literal"),
        pytest.param(Get, Annotated[int, "cents"], id="an annotated type"),
        pytest.param(Get, typing.NewType("Cents", int), id="a new type"),
        pytest.param(Get, int | Later, id="now or later"),
        pytest.param(Get, Later, id="always later"),
        pytest.param(Add, None, id="None for a message"),
        pytest.param(Add, Never, id="Never for a message"),
        pytest.param(Add, Later, id="later for a message"),
        pytest.param(Add, None | Later, id="None or later for a message"),
        pytest.param(Find, str, id="one member of a union"),
        pytest.param(Find, None, id="the other member"),
        pytest.param(Find, Optional[str], id="the whole union"),  # noqa: UP045  # the older union
        pytest.param(Find, str | Later | None, id="the whole union, or later"),
        pytest.param(Weigh, int, id="int for float"),
        pytest.param(Many, list[str], id="a class of an abstract one"),
        pytest.param(Many, typing.List[str], id="a class by its older name"),  # noqa: UP006
        pytest.param(Many, tuple[str, ...], id="another class of it"),
        pytest.param(Many, list[int], id="the wrong elements, which nobody looks at"),
        pytest.param(Measure, int, id="a protocol"),
        pytest.param(Read, dict[str, int], id="a dict for a TypedDict"),
        pytest.param(Read, int, id="a TypedDict, of which nothing is certain"),
        pytest.param(Read, Table, id="a TypedDict"),
        pytest.param(Anything, None, id="an Ask of Any"),
        pytest.param(Fetch, None, id="a generic Ask"),
        pytest.param(Fetch[int], int, id="a generic Ask of int"),
        pytest.param(FetchText, str, id="a class of a generic Ask of str"),
        pytest.param(Fetches[int, str], list[str], id="a generic Ask of a generic type"),
        pytest.param(Named, Edited, id="an Ask of what is named in a string"),
        pytest.param(Unknown, Edited, id="an Ask of what is not there at run time"),
        pytest.param(Get, "int", id="a string"),
        pytest.param(Edit, "Edited", id="a string that names what the module has"),
        pytest.param(Edit, "Revised | Later", id="a string with a union"),
        pytest.param(Edit, "Fraction", id="a string that names what is not there at run time"),
        pytest.param(Edit, "not even Python", id="a string of nonsense"),
    ],
)
def test_a_return_annotation_that_may_be_right_is_accepted(message: type, hint: object) -> None:
    cls = made_with(message, hint)

    assert list(cls.__handlers__.values()) == [vars(cls)["handle"]]


@pytest.mark.parametrize(
    ("message", "hint", "returned", "wanted"),
    [
        (Get, str, "str", "Get asks for int"),
        (Get, None, "None", "Get asks for int"),
        (Get, int | None, "int | None", "Get asks for int"),
        (Get, str | Later, "str | .*Later", "Get asks for int"),
        (Get, float, "float", "Get asks for int"),
        (Get, list[int], r"list\[int\]", "Get asks for int"),
        (Edit, Add, "Add", "Edit asks for Edited"),
        (Edit, "Add", "Add", "Edit asks for Edited"),
        (Named, Add, "Add", "Named asks for Edited"),
        (Find, int, "int", r"Find asks for str \| None"),
        (Weigh, str, "str", "Weigh asks for float"),
        (Many, Iterator[str], r"collections.abc.Iterator\[str\]", "Many asks for .*Sequence"),
        (Many, Mapping[str, str], ".*Mapping.*", "Many asks for .*Sequence"),
        (Fetch[int], str, "str", "Fetch asks for int"),
        (FetchText, int, "int", "FetchText asks for str"),
        (Fetches[int, str], str, "str", r"Fetches asks for list\[str\]"),
        (Add, int, "int", "Add has no answer but None"),
        (Add, Edited, "Edited", "Add has no answer but None"),
    ],
)
def test_a_return_annotation_that_is_surely_wrong_is_refused_at_the_class(
    message: Any, hint: object, returned: str, wanted: str
) -> None:
    complaint = rf"Made.handle is marked @on\(\w+\) and returns {returned}, but {wanted}"

    with pytest.raises(TypeError, match=complaint):
        made_with(message, hint)


def test_a_string_in_a_function_says_nothing_of_the_names_of_its_module() -> None:
    place = "test.<locals>.Made.handle"

    made_with(Edit, "Add", place)  # which may be the function's own

    with pytest.raises(TypeError, match="returns str, but Edit asks for Edited"):
        made_with(Edit, "str", place)


def test_a_string_may_name_what_the_class_holds() -> None:
    async def handle(self: object, message: object) -> Any: ...

    handle.__annotations__["return"] = "Inner"

    with pytest.raises(TypeError, match="returns str, but Get asks for int"):
        made(Inner=str, handle=on(Get)(handle))


def test_a_handler_without_a_return_annotation_is_accepted() -> None:
    async def handle(self: object, message: object) -> Any: ...

    handle.__annotations__.clear()

    assert made(handle=on(Get)(handle)).__handlers__ == {Get: handle}


def test_an_overriding_method_is_held_to_the_answer_too() -> None:
    class Counter(Actor[Get]):
        @on(Get)
        async def get(self, message: Get) -> int:
            return 1

    with pytest.raises(TypeError, match=r"Wordy.get is marked @on\(Get\) and returns str"):

        class Wordy(Counter):  # pyright: ignore[reportUnusedClass]  # refused
            async def get(self, message: Get) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
                return "one"


def test_a_method_that_no_longer_handles_may_return_what_it_wants() -> None:
    async def late(self: object, message: object) -> int:
        return 1

    async def early(self: object, message: object) -> str:
        return ""

    base = type("Base", (), {"early": marked(early, Mark(Get))})

    assert made(base, late=on(Get)(late)).__handlers__ == {Get: late}


def test_the_annotations_of_a_wrapped_method_are_not_its_own() -> None:
    def shown(
        method: Callable[[Any, Get], Awaitable[str]],
    ) -> Callable[[Any, Get], Awaitable[int]]:
        @functools.wraps(method)
        async def measured(self: object, message: Get) -> int:
            return len(await method(self, message))

        return measured

    class Measured(Actor[Get]):
        @on(Get)
        @shown
        async def get(self, message: Get) -> str:
            return "four"

    assert set(Measured.__handlers__) == {Get}


# ---------------------------------------------------------------------- what can be marked


def test_a_plain_method_is_refused_at_its_mark() -> None:
    def get(self: object, message: Get) -> Any:
        return 1

    with pytest.raises(
        TypeError, match=r"get is marked @on\(Get\) and cannot be awaited; .*`async def`"
    ):
        on(Get)(get)


def test_a_generator_is_refused_at_its_mark() -> None:
    async def get(self: object, message: Get) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r"cannot be awaited; .* without `yield`"):
        on(Get)(get)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_static_method_is_refused_at_its_mark() -> None:
    async def get(message: Get) -> int:
        return 1

    method: Any = staticmethod(get)

    with pytest.raises(TypeError, match="cannot be awaited"):
        on(Get)(method)


def test_a_plain_method_that_overrides_a_handler_is_refused_at_the_class() -> None:
    class Counter(Actor[Get]):
        @on(Get)
        async def get(self, message: Get) -> int:
            return 1

    with pytest.raises(TypeError, match=r"Hasty.get is marked @on\(Get\) and cannot be awaited"):

        class Hasty(Counter):  # pyright: ignore[reportUnusedClass]  # refused
            def get(self, message: Get) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
                return 1


@pytest.mark.parametrize("wrong", [int, Add(), Add | Get, "Add", None, Later, T])
def test_what_is_no_message_class_cannot_be_handled(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"@on takes one message class, .* not .*"):
        on(wrong)


def test_decorators_of_other_parts_leave_marks_that_tell_them_apart() -> None:
    async def move(self: object, message: Add, member: str) -> None: ...

    async def tick(self: object, message: Edited) -> None: ...

    game = made(move=marked(move, Mark(Add, "from_member")), tick=on(Edited)(tick))

    assert {name: str(mark) for name, mark in marks_of(game).items()} == {
        "move": "@from_member(Add)",
        "tick": "@on(Edited)",
    }
    assert game.__handlers__ == {Add: move, Edited: tick}


# ---------------------------------------------------------------------- the messages of a class


def test_a_class_beside_a_generic_one_keeps_its_messages() -> None:
    class Counter(Actor[Get]):
        @on(Get)
        async def get(self, message: Get) -> int:
            return 1

    with pytest.raises(TypeError, match="Holding handles Add and does not take it"):

        class Holding(Counter, Generic[T]):  # pyright: ignore[reportUnusedClass]  # refused
            @on(Add)
            async def add(self, message: Add) -> None: ...


def test_an_actor_of_any_messages_leaves_them_open() -> None:
    class Open(Actor[Any]):
        @on(Get)
        async def get(self, message: Get) -> int:
            return 1

    assert set(Open.__handlers__) == {Get}


def test_an_actor_of_no_messages_handles_none() -> None:
    with pytest.raises(TypeError, match="Mute handles Add and does not take it"):

        class Mute(Actor[Never]):  # pyright: ignore[reportUnusedClass]  # refused
            @on(Add)
            async def add(self, message: Add) -> None: ...


def test_messages_may_be_named_in_a_string() -> None:
    def here(names: dict[str, Any]) -> None:
        names["__module__"] = __name__

    with pytest.raises(TypeError, match="Deaf takes Add and has no handler for it"):
        types.new_class("Deaf", (Actor["Add"],), exec_body=here)


# ---------------------------------------------------------------------- whether None is an answer


@pytest.mark.parametrize(
    ("message", "wants"),
    [
        (Get, True),
        (Edit, True),
        (Many, True),
        (FetchText, True),
        (Named, True),
        (Find, False),
        (Anything, False),
        (Fetch, False),
        (Unknown, False),
        (Add, False),
        (str, False),
    ],
)
def test_an_ask_wants_a_value_unless_its_answer_may_be_none(message: type, wants: bool) -> None:
    assert wants_value(message) is wants
