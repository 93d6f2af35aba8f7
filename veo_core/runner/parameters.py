"""Values of parameters: their types, their text forms, and the checks of what a user supplies."""

import difflib
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json
from veo_core.runner.spec import ParameterInput, ParameterType

_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}

_NAMES = {
    ParameterType.STRING: "a text",
    ParameterType.NUMBER_INTEGER: "an integer",
    ParameterType.NUMBER_DOUBLE: "a number",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.LIST: "a list",
    ParameterType.STRUCT: "a mapping",
    ParameterType.TASK_FINAL_STATUS: "a task's final status",
}


def to_text(value: Any) -> str:
    """A value as it stands in a command line, as Kubeflow's launcher writes it.

    Numbers have no exponent and whole ones no fraction; lists and mappings are compact JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return canonical_json(value).decode()


def from_text(text: str, kind: ParameterType) -> Any:
    """A value from the text of an output file or of a command line.

    Raises:
        ValueError: the text has no value of this type.
    """
    stripped = text.strip()
    match kind:
        case ParameterType.STRING:
            return text
        case ParameterType.NUMBER_INTEGER:
            return int(stripped)
        case ParameterType.NUMBER_DOUBLE:
            return coerce(float(stripped), kind)
        case ParameterType.BOOLEAN:
            if stripped not in _TRUE | _FALSE:
                raise ValueError(f"{stripped!r} is neither true nor false")
            return stripped in _TRUE
        case _:
            return coerce(json.loads(stripped), kind)


def coerce(value: Any, kind: ParameterType) -> Any:
    """`value` as `kind`: whole floats become integers and integers floats where the type asks for it.

    Anything becomes text where a text is asked for, as in Kubeflow.

    Raises:
        ValueError: the value is of another type.
    """
    match kind:
        case ParameterType.STRING:
            if value is not None:
                return to_text(value)
        case ParameterType.NUMBER_INTEGER:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if isinstance(value, float) and value.is_integer():
                return int(value)
        case ParameterType.NUMBER_DOUBLE:
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
        case ParameterType.BOOLEAN:
            if isinstance(value, bool):
                return value
        case ParameterType.LIST:
            if isinstance(value, list):
                return value
        case ParameterType.STRUCT | ParameterType.TASK_FINAL_STATUS:
            if isinstance(value, dict):
                return value
    raise ValueError(f"expected {_NAMES[kind]}, got {_shown(value)}")


def supplied(values: Mapping[str, Any], inputs: Mapping[str, ParameterInput]) -> dict[str, Any]:
    """The pipeline's parameters: what the user supplied, checked, over the defaults.

    Raises:
        UsageError: an unknown name, a value of a wrong type, or a missing value.
    """
    for name in values:
        if name not in inputs:
            near = difflib.get_close_matches(name, inputs, n=1)
            known = ", ".join(sorted(inputs)) or "none"
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {known}"
            raise UsageError(f"the pipeline has no parameter {name!r}; {hint}")
    result: dict[str, Any] = {}
    for name, spec in inputs.items():
        value = values.get(name)
        if value is None:
            value = spec.default
        elif spec.type is ParameterType.STRING and not isinstance(value, str):
            raise UsageError(f"parameter {name!r}: expected a text, got {_shown(value)}")
        if value is None:
            if not spec.optional:
                raise UsageError(f"parameter {name!r} is missing; it is {_NAMES[spec.type]} without default")
            continue
        try:
            result[name] = checked(value, spec)
        except ValueError as error:
            raise UsageError(f"parameter {name!r}: {error}") from None
    return result


def checked(value: Any, spec: ParameterInput) -> Any:
    """`value` as the input's type, one of its literals where it has any.

    Raises:
        ValueError: it is not.
    """
    value = coerce(value, spec.type)
    if spec.literals and value not in spec.literals:
        allowed = ", ".join(to_text(literal) for literal in spec.literals)
        raise ValueError(f"{_shown(value)} is not one of: {allowed}")
    return value


def parse_assignments(assignments: Mapping[str, str], inputs: Mapping[str, ParameterInput]) -> dict[str, Any]:
    """Parameters given as text on a command line, as values of their declared types.

    Names that the pipeline lacks stay as they are, for `supplied` to refuse.

    Raises:
        UsageError: a text has no value of the parameter's type.
    """
    values: dict[str, Any] = {}
    for name, text in assignments.items():
        if name not in inputs:
            values[name] = text
            continue
        kind = inputs[name].type
        try:
            values[name] = from_text(text, kind)
        except ValueError:
            raise UsageError(f"parameter {name!r}: expected {_NAMES[kind]}, got {_shown(text)}") from None
    return values


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
