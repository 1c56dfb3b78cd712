"""Which text each type of parameter takes, and how own types are added."""

import math
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herdwick.routing import InvalidParameterType, ParamTypes, Table, UnknownParameterType

ID = "6f0b1c1e-9d6f-4a57-9c2d-0A1B2C3D4E5F"


def find(type_name: str, text: str) -> object:
    """Return the value of a parameter, or None where its route does not match."""
    table = Table[str]()
    table.add("GET", f"/{{value:{type_name}}}", "endpoint")
    match = table.find("GET", f"/{text}")
    return None if match is None else match.values["value"]


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("42", 42), ("-7", -7), ("+7", 7), ("007", 7), ("%34", 4)]
)
def test_int_takes_digits_with_an_optional_sign(text: str, value: int) -> None:
    assert find("int", text) == value


@pytest.mark.parametrize(
    "text", ["", "-", "+-1", "--1", "1.0", "1e3", "1_000", "%201", "0x10", "%D9%A3", "one"]
)
def test_int_takes_nothing_else(text: str) -> None:
    assert find("int", text) is None


def test_int_takes_every_number_of_64_bits_and_no_huge_one() -> None:
    assert find("int", str(2**64 - 1)) == 2**64 - 1
    assert find("int", str(-(2**63))) == -(2**63)
    assert find("int", "9" * 21) is None
    assert find("int", "9" * 100_000) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-1.5", -1.5), ("+.5", 0.5), ("2.", 2.0), ("1e3", 1000.0), ("1E-2", 0.01)],
)
def test_float_takes_decimal_numbers(text: str, value: float) -> None:
    found = find("float", text)

    assert isinstance(found, float)
    assert found == value


@pytest.mark.parametrize(
    "text",
    ["", ".", "-", "nan", "-NaN", "inf", "Infinity", "1e999", "1_0", "1e", "%201", "1" * 65],
)
def test_float_takes_nothing_else(text: str) -> None:
    assert find("float", text) is None


@given(st.integers(min_value=-(2**63), max_value=2**64 - 1))
@settings(deadline=None)
def test_an_int_comes_back_as_it_was_written(number: int) -> None:
    assert find("int", str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_a_float_comes_back_as_it_was_written(number: float) -> None:
    found = find("float", repr(number))

    assert isinstance(found, float)
    assert math.copysign(1, found) == math.copysign(1, number)
    assert found == number


@given(st.uuids())
@settings(deadline=None)
def test_a_uuid_comes_back_as_it_was_written(number: UUID) -> None:
    assert find("uuid", str(number)) == number
    assert find("uuid", str(number).upper()) == number


@pytest.mark.parametrize(
    "text", ["", ID.replace("-", ""), f"%7B{ID}%7D", f"urn:uuid:{ID}", ID[:-1], ID + "0", "g" + ID]
)
def test_uuid_takes_one_form_only(text: str) -> None:
    assert find("uuid", ID) == UUID(ID)
    assert find("uuid", text) is None


def test_str_takes_anything_but_the_empty_string() -> None:
    assert find("str", "%20") == " "
    assert find("str", "") is None


def test_an_own_type_makes_values_and_refuses_with_a_value_error() -> None:
    types = ParamTypes()
    types.register("hex", lambda text: int(text, 16))
    table = Table[str](types)
    table.add("GET", "/colours/{colour:hex}", "colour")
    table.add("GET", "/colours/{name}", "name")

    colour = table.find("GET", "/colours/ff8000")
    name = table.find("GET", "/colours/orange")

    assert colour is not None
    assert colour.values == {"colour": 0xFF8000}
    assert name is not None
    assert name.values == {"name": "orange"}


def test_an_own_type_may_be_written_first() -> None:
    types = ParamTypes()
    types.register("slug", str)
    table = Table[str](types)

    assert table.add("GET", "/{slug:title}", "endpoint").names == ("title",)


def test_an_own_type_never_sees_the_empty_string() -> None:
    seen: list[str] = []
    types = ParamTypes()
    types.register("any", seen.append)
    table = Table[str](types)
    table.add("GET", "/a/{value:any}/b", "endpoint")

    assert table.find("GET", "/a//b") is None
    assert seen == []


def test_another_error_of_an_own_type_reaches_the_caller() -> None:
    def broken(text: str) -> object:
        raise ZeroDivisionError(text)

    types = ParamTypes()
    types.register("broken", broken)
    table = Table[str](types)
    table.add("GET", "/{value:broken}", "endpoint")

    with pytest.raises(ZeroDivisionError):
        table.find("GET", "/x")


def test_own_types_belong_to_one_application() -> None:
    ParamTypes().register("slug", str)

    with pytest.raises(UnknownParameterType):
        Table[str]().add("GET", "/{title:slug}", "endpoint")


def test_types_are_listed_in_the_order_in_which_they_are_tried() -> None:
    types = ParamTypes()
    types.register("slug", str)
    types.register("hex", str)

    assert types.names == ("int", "uuid", "float", "slug", "hex", "str", "path")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("int", "taken"), ("path", "taken"), ("", "identifier"), ("my-type", "identifier")],
)
def test_a_type_that_cannot_be_registered_is_refused(name: str, advice: str) -> None:
    with pytest.raises(InvalidParameterType, match=advice):
        ParamTypes().register(name, str)
