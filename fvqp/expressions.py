"""Functions of place, time and energy written as text: ``"exp(-((x - 5 um)/(2 um))^2)"``.

The text is parsed, never executed: its syntax tree may hold numbers, names, arithmetic, comparisons and the
functions listed here, and is evaluated with numpy.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from fvqp.errors import CaseError, shown, suggestion
from fvqp.typing import Floats

MAX_LENGTH = 1000
"""Longest expression, in characters."""
MAX_DEPTH = 50
"""Most operations and functions inside one another."""

CONSTANTS = {"pi": math.pi}

UNITS = {
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "pm": 1e-12,
    "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15,
    "eV": 1.0, "meV": 1e-3, "ueV": 1e-6, "neV": 1e-9,
}  # fmt: skip
"""Units that may follow a number, in metres, seconds and electronvolts."""

_UNARY: dict[str, Callable[..., Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "erf": erf,
    "heaviside": lambda value: np.heaviside(value, 0.5),
}
#: Functions with their least and largest number of arguments; None for any.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    **{name: (function, 1, 1) for name, function in _UNARY.items()},
    "min": (lambda *values: _reduced(np.minimum, values), 2, None),
    "max": (lambda *values: _reduced(np.maximum, values), 2, None),
    "where": (lambda condition, a, b: np.where(np.asarray(condition) != 0.0, a, b), 3, 3),
}
_BINARY: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SYNTAX = "expected numbers, + - * / ^, comparisons < <= > >=, and functions"
_QUANTITY = re.compile(
    r"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*("
    + "|".join(sorted(UNITS, key=len, reverse=True))
    + r")(?!\w)"
)

_POWER_OF_QUANTITY = re.compile(_QUANTITY.pattern + r"\s*(?:\^|\*\*)")


@dataclass(frozen=True)
class Expression:
    """A function of named numbers, given as text.

    Called with an array for each name, it returns their values by numpy's rules. Lengths are in metres,
    times in seconds, energies in electronvolts; a number may have a unit: ``2 um``, ``0.5 ns``, ``1 meV``.
    ``^`` and ``**`` are powers. A comparison is 1 where it holds and 0 elsewhere.

    Attributes:
        text: of the function.
        names: what it may depend on.

    Raises:
        CaseError: text that is none, with what would be right.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tree", self._parsed())

    def __call__(self, **values: ArrayLike) -> Floats:
        """Return the values, finite or not.

        Raises:
            CaseError: a missing or unknown name.
        """
        if set(values) != set(self.names):
            raise CaseError(f"{shown(self.text)}: needs values of {', '.join(self.names)}")
        given = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
        with np.errstate(all="ignore"):
            found = np.asarray(_value(self._tree, given), dtype=np.float64)
        shape = np.broadcast_shapes(*(value.shape for value in given.values()))
        return np.broadcast_to(found, shape).copy()

    @property
    def used(self) -> set[str]:
        """The names that occur."""
        nodes = ast.walk(self._tree)
        return {node.id for node in nodes if isinstance(node, ast.Name)} & set(self.names)

    def _parsed(self) -> ast.expr:
        text, said = self.text, shown(self.text)
        if len(text) > MAX_LENGTH:
            raise CaseError(f"{said}: an expression has at most {MAX_LENGTH} characters, got {len(text)}")
        if unclear := _POWER_OF_QUANTITY.search(text):
            one = f"{unclear[1]} {unclear[2]}"
            raise CaseError(
                f"{said}: a power of {one} is not clear; write ({one})^2 or {unclear[1]}*(1 {unclear[2]})^2"
            )
        scaled = _QUANTITY.sub(lambda found: f"({found[1]}*{UNITS[found[2]]!r})", text)
        try:
            tree = ast.parse(scaled.replace("^", "**").strip(), mode="eval").body
            self._check(tree, MAX_DEPTH)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            raise CaseError(f"{said}: is not an expression; {_SYNTAX} such as exp(-(x/(2 um))^2)") from None
        return tree

    def _check(self, node: ast.expr, depth: int) -> None:
        """Raise `CaseError` for anything in a tree that is not allowed."""
        said = shown(self.text)
        if depth == 0:
            raise CaseError(f"{said}: has more than {MAX_DEPTH} operations inside one another")
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            if isinstance(node.value, bool) or not math.isfinite(node.value):
                raise CaseError(f"{said}: {shown(str(node.value))} is not a number")
        elif isinstance(node, ast.Name):
            known = (*self.names, *CONSTANTS)
            if node.id in _FUNCTIONS:
                raise CaseError(f"{said}: {node.id} is a function; write {node.id}(...)")
            if node.id not in known:
                raise CaseError(_unknown(f"{said}: {shown(node.id)} is not known", node.id, known))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            self._check(node.operand, depth - 1)
        elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            self._check(node.left, depth - 1)
            self._check(node.right, depth - 1)
        elif isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops):
            for part in (node.left, *node.comparators):
                self._check(part, depth - 1)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            name, number = node.func.id, len(node.args)
            if name not in _FUNCTIONS:
                raise CaseError(_unknown(f"{said}: there is no function {shown(name)}", name, _FUNCTIONS))
            _, least, most = _FUNCTIONS[name]
            if number < least or (most is not None and number > most):
                wanted = f"{least}" if most == least else f"at least {least}"
                raise CaseError(f"{said}: {name} needs {wanted} argument(s), got {number}")
            for part in node.args:
                self._check(part, depth - 1)
        else:
            raise CaseError(f"{said}: {shown(ast.unparse(node))} is not understood; {_SYNTAX}")


def amounts(function: Expression, where: str, **values: ArrayLike) -> Floats:
    """Return the values of a function that have to be finite and not negative.

    Args:
        function: as named.
        where: file and key, for messages.
        values: of the function's names.

    Raises:
        CaseError: a value that is not finite or negative, with the place of the first one.
    """
    found = function(**values)
    wrong = ~(np.isfinite(found) & (found >= 0.0))
    if np.any(wrong):
        first = tuple(np.argwhere(wrong)[0])
        at = (f"{name} = {np.broadcast_to(value, found.shape)[first]:.6g}" for name, value in values.items())
        raise CaseError(
            f"{where}: {shown(function.text)} is {found[first]:g} at {', '.join(at)} (in m, s, eV); it must "
            "be finite and not negative"
        )
    return found


def _value(node: ast.expr, values: dict[str, Floats]) -> Any:
    """Return the value of a checked tree."""
    match node:
        case ast.Constant(value=number):
            return np.float64(number)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return values[name] if name in values else np.float64(CONSTANTS[name])
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, values)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=binary, right=right):
            return _BINARY[type(binary)](_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            parts = [_value(part, values) for part in (left, *comparators)]
            holds = [
                _COMPARISONS[type(op)](a, b) for op, a, b in zip(ops, parts[:-1], parts[1:], strict=True)
            ]
            return np.asarray(_reduced(np.logical_and, holds), dtype=np.float64)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name][0](*(_value(part, values) for part in arguments))
    raise AssertionError(f"unchecked {ast.dump(node)}")


def _reduced(operation: Callable[..., Any], values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = operation(total, value)
    return total


def _unknown(what: str, name: str, known: Any) -> str:
    return f"{what}{suggestion(name, known)} (allowed: {', '.join(known)})"
