"""Trigger conditions: the subset of CEL that KFP's compiler writes.

    condition := and ("||" and)*      and := unary ("&&" unary)*      unary := "!" unary | comparison
    comparison := operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)?
    operand := "(" condition ")" | ("int" | "double" | "string" | "bool") "(" operand ")"
             | inputs.parameter_values['NAME'] | literal

Anything else is an error, at parsing or at evaluation; nothing is taken to be false. As in Kubeflow, a
number compares with a number and otherwise types must agree.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from veo_core.runner.parameters import to_text

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<reference>inputs\.parameter_values\[(?P<quote>['"])(?P<name>[^'"]+)(?P=quote)\])
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<symbol>\|\||&&|==|!=|<=|>=|<|>|!|\(|\))
    )""",
    re.VERBOSE,
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUTH = {"true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}

Evaluate: TypeAlias = Callable[[Mapping[str, Any]], Any]


class ConditionError(ValueError):
    """A condition that is outside the subset, or that its values do not fit."""


@dataclass(frozen=True)
class Condition:
    """A parsed condition and the names of the parameters that it reads."""

    names: frozenset[str]
    evaluate: Evaluate

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the task is to run.

        Raises:
            ConditionError: a parameter has no value, types do not agree, or the result is no truth value.
        """
        return _truth(self.evaluate(parameters))


def parse(text: str) -> Condition:
    """Parse a condition.

    Raises:
        ConditionError: it is outside the subset.
    """
    parser = _Parser(text)
    return Condition(evaluate=parser.parse(), names=frozenset(parser.names))


class _Parser:
    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def parse(self) -> Evaluate:
        result = self._or()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return result

    def _unexpected(self) -> ConditionError:
        token = self._tokens[self._next][0] if self._next < len(self._tokens) else "its end"
        return ConditionError(f"condition `{self._text}`: unexpected {token}")

    def _accept(self, *symbols: str) -> str | None:
        if self._next < len(self._tokens):
            token, kind = self._tokens[self._next][:2]
            if kind == "symbol" and token in symbols:
                self._next += 1
                return token
        return None

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._unexpected()

    def _or(self) -> Evaluate:
        terms = [self._and()]
        while self._accept("||"):
            terms.append(self._and())
        return terms[0] if len(terms) == 1 else lambda p: any(_truth(term(p)) for term in terms)

    def _and(self) -> Evaluate:
        terms = [self._unary()]
        while self._accept("&&"):
            terms.append(self._unary())
        return terms[0] if len(terms) == 1 else lambda p: all(_truth(term(p)) for term in terms)

    def _unary(self) -> Evaluate:
        if self._accept("!"):
            operand = self._unary()
            return lambda p: not _truth(operand(p))
        return self._comparison()

    def _comparison(self) -> Evaluate:
        left = self._operand()
        symbol = self._accept(*_COMPARISONS)
        if symbol is None:
            return left
        right, compare = self._operand(), _COMPARISONS[symbol]
        return lambda p: _compare(symbol, compare, left(p), right(p))

    def _operand(self) -> Evaluate:
        if self._accept("("):
            inner = self._or()
            self._expect(")")
            return inner
        if self._next == len(self._tokens):
            raise self._unexpected()
        token, kind, name = self._tokens[self._next]
        if kind == "word" and token in _CONVERSIONS:
            self._next += 1
            self._expect("(")
            operand, convert = self._or(), _CONVERSIONS[token]
            self._expect(")")
            return lambda p: convert(operand(p))
        if kind == "reference":
            self._next += 1
            self.names.add(name)
            return lambda p: _value(name, p)
        constant = self._literal(token, kind)
        self._next += 1
        return lambda p: constant

    def _literal(self, token: str, kind: str) -> Any:
        if kind == "number":
            return float(token) if re.search(r"[.eE]", token) else int(token)
        if kind == "string":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), token[1:-1])
        if kind == "word" and token in _TRUTH:
            return _TRUTH[token]
        raise self._unexpected()


def _tokens(text: str) -> list[tuple[str, str, str]]:
    """(token, kind, name of the parameter that a reference names)."""
    tokens: list[tuple[str, str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ConditionError(
                f"condition `{text}`: cannot be read at `{text[position:].strip()}`; kfp writes such where a "
                "text holds a quote, or where values of different types are compared"
            )
        kind = next(k for k in ("reference", "number", "string", "word", "symbol") if match[k] is not None)
        tokens.append((match[kind], kind, match["name"] or ""))
        position = match.end()
    return tokens


def _value(name: str, parameters: Mapping[str, Any]) -> Any:
    if name not in parameters:
        raise ConditionError(f"parameter {name!r} has no value")
    return parameters[name]


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConditionError(f"{value!r} is neither true nor false")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compare(symbol: str, compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if type(left) is not type(right) and not (_number(left) and _number(right)):
        raise ConditionError(f"cannot compare {left!r} {symbol} {right!r}: their types differ")
    try:
        return compare(left, right)
    except TypeError:
        raise ConditionError(f"cannot compare {left!r} {symbol} {right!r}") from None


def _to_int(value: Any) -> int:
    try:
        return int(value) if not isinstance(value, bool) else int(_truth(value))
    except (TypeError, ValueError):
        raise ConditionError(f"int({value!r}) has no value") from None


def _to_double(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConditionError(f"double({value!r}) has no value") from None


def _to_bool(value: Any) -> bool:
    return _TRUTH[value] if isinstance(value, str) and value in _TRUTH else _truth(value)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "double": _to_double,
    "string": to_text,
    "bool": _to_bool,
}
