"""The CEL subset of trigger conditions."""

from typing import Any

import pytest

from veo_core.runner.conditions import ConditionError, parse

VALUES = {"x": "it's", "n": 5, "r": 0.5, "b": True, "big": 2**53 + 1, "s": "7"}


def reference(name: str) -> str:
    return f"inputs.parameter_values['{name}']"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (f"int({reference('n')}) > 1", True),
        (f"int({reference('n')}) <= 4", False),
        (f"{reference('n')} == 5.0", True),
        (f"{reference('r')} < 1.0", True),
        (f"double(int({reference('n')})) >= 5.0", True),
        (f"{reference('b')} == true", True),
        (f"{reference('b')} != true", False),
        (f"!({reference('b')} == true)", False),
        (f"{reference('x')} == 'it\\'s'", True),
        (f'{reference("x")} == "it\'s"', True),
        (f"{reference('x')} != 'other'", True),
        (f"{reference('x')} < 'j'", True),
        (f"int({reference('big')}) == 9007199254740993", True),
        (f"int({reference('big')}) == 9007199254740992", False),
        (f"int({reference('s')}) == 7", True),
        (f"string({reference('n')}) == '5'", True),
        ("true && false || true", True),
        ("true || false && false", True),
        ("!(true && false) && !false", True),
        (f"!(int({reference('n')}) > 9) && {reference('b')} == true", True),
        (f"false && int({reference('x')}) == 1", False),
        ("-1 < 0", True),
    ],
)
def test_condition_holds_as_in_cel(text: str, holds: bool) -> None:
    assert parse(text).holds(VALUES) is holds


def test_condition_names_the_parameters_that_it_reads() -> None:
    assert parse(f"{reference('n')} == 1 && {reference('x')} == 'a'").names == {"n", "x"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "true &&",
        "(true",
        "true true",
        "size([1]) == 1",
        "inputs.parameters['x'] == 1",
        f"{reference('x')} == 'it's'",
        f"{reference('n')} + 1 == 6",
        "true == 'true' ? true : false",
        "a",
    ],
)
def test_condition_outside_the_subset_is_an_error_at_parsing(text: str) -> None:
    with pytest.raises(ConditionError, match="condition `"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{reference('n')} == 'a'", "their types differ"),
        (f"{reference('b')} == 1", "their types differ"),
        (f"{reference('x')}", "neither true nor false"),
        (f"!{reference('n')}", "neither true nor false"),
        (f"{reference('missing')} == 1", "'missing' has no value"),
        (f"int({reference('x')}) == 1", "has no value"),
    ],
)
def test_condition_that_its_values_do_not_fit_is_an_error_and_not_false(text: str, message: Any) -> None:
    with pytest.raises(ConditionError, match=message):
        parse(text).holds(VALUES)
