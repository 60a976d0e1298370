"""The one unit registry: text such as ``"265 ueV"`` in, plain floats out."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any, Generic, SupportsFloat, TypeVar, overload

import pint

from fvqp.errors import CaseError, shown

registry: pint.UnitRegistry[Any] = pint.UnitRegistry()

Number = TypeVar("Number", float, float | None)

MAX_TEXT = 200
"""Longest text of a quantity, in characters."""
_PREFIXES = ("a", "f", "p", "n", "u", "m", "", "k", "M", "G", "T")
_NUMBER_AND_UNIT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*\*?\s*(\S.*?)?\s*")

# Kinds of quantities by a unit of their dimension: the name of the dimension and an example of it.
_KINDS = {
    "m": ("length", "11 um"),
    "m^2": ("area", "1 um^2"),
    "m^3": ("volume", "1 um^3"),
    "s": ("time", "12 ns"),
    "1/s": ("rate", "10 MHz"),
    "m/s": ("speed", "1000 km/s"),
    "m^2/s": ("diffusivity", "16.9 cm^2/s"),
    "kg": ("mass", "1 mg"),
    "kg/m^3": ("mass density", "2.7 g/cm^3"),
    "J": ("energy", "265 ueV"),
    "W": ("power", "1 pW"),
    "V": ("voltage", "0.4 mV"),
    "K": ("temperature", "61 mK"),
    "A": ("current", "10 uA"),
    "A/m^2": ("current density", "1 MA/cm^2"),
    "C": ("charge", "1 pC"),
    "S": ("conductance", "24.6 uS"),
    "S/m^2": ("conductance per area", "1 S/um^2"),
    "S/m": ("conductivity", "6 MS/m"),
    "ohm": ("resistance", "1.45 kohm"),
    "ohm*m": ("resistivity", "15.8 uohm*cm"),
    "ohm*m^2": ("resistance times area", "1 ohm*um^2"),
    "T": ("magnetic flux density", "10 mT"),
    "1/m^3": ("number density", "5e28 1/m^3"),
    "W/m^3": ("power density", "10 fW/um^3"),
    "J/m^3": ("energy density", "1 eV/um^3"),
    "m^3/s": ("rate constant", "18 um^3/s"),
    "1/m^3/s": ("rate by volume", "10 1/um^3/s"),
    "W/m^3/K^5": ("heat flow by volume and fifth power of the temperature", "2 nW/um^3/K^5"),
    "1/J/m^3": ("density of states", "1.74e10 1/eV/um^3"),
    "1": ("number without a unit", "0.5"),
}


@cache
def _by_dimension() -> dict[Any, tuple[str, str]]:
    return {registry.Quantity(1.0, unit).dimensionality: kind for unit, kind in _KINDS.items()}


def _kind(quantity: Any) -> str:
    """Name of the dimension of a quantity or unit: ``energy``, ``length``, or its formula."""
    found = _by_dimension().get(quantity.dimensionality)
    return found[0] if found else f"quantity of dimension {quantity.dimensionality}"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def to_float(value: Any, unit: str, *, what: str = "") -> float:
    """The number that ``value`` has in ``unit``.

    Args:
        value: text with a unit (``"265 ueV"``, ``"16.9 cm^2/s"``) or a pint quantity.
        unit: target unit, such as ``"J"``.
        what: the name of the quantity in messages; by default that of the unit's dimension.

    Raises:
        CaseError: no number, no unit, an unknown unit, another dimension, not finite. The message says what
            would be right.
    """
    wanted = _by_dimension().get(registry.Quantity(1.0, unit).dimensionality)
    expected = f"expected {_with_article(what or (wanted[0] if wanted else f'quantity in {unit}'))}"
    expected += f' such as "{wanted[1]}"' if wanted else f' in "{unit}"'
    got = shown(value)
    quantity = _parsed(value, expected, got)
    try:
        number = float(quantity.to(unit).magnitude)
    except pint.DimensionalityError:
        raise CaseError(f"{expected}, got {got}, which is {_with_article(_kind(quantity))}") from None
    except (pint.PintError, TypeError, ValueError, OverflowError, ArithmeticError):
        raise CaseError(f"{expected}, got {got}") from None
    if not math.isfinite(number):
        raise CaseError(f"{expected}, got {got}, which is not finite")
    return number


def _parsed(value: Any, expected: str, got: str) -> Any:
    if isinstance(value, pint.Quantity):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise CaseError(f"{expected}, got {got}")
    if not isinstance(value, str):
        return registry.Quantity(float(value), "")
    # pint takes seconds over long texts that are no unit.
    match = _NUMBER_AND_UNIT.fullmatch(value) if len(value) <= MAX_TEXT else None
    if match is None:
        raise CaseError(f"{expected}, got {got}")
    number, text = float(match[1]), match[2]
    if text is None:
        return registry.Quantity(number, "")
    try:
        return registry.Quantity(number, _unit(text))
    except pint.UndefinedUnitError as error:
        names = error.unit_names
        unknown = names if isinstance(names, str) else ", ".join(names)
        raise CaseError(f"{expected}, got {got}: there is no unit {shown(unknown)}") from None
    except Exception:
        # Whatever pint's parser makes of a text that is no unit at all, the answer to its author is the same.
        raise CaseError(f"{expected}, got {got}: {shown(text)} is no unit") from None


@cache
def _unit(text: str) -> Any:
    return registry.parse_units(text)


def in_unit(value: Any, unit: str) -> float:
    """Return the number that ``value`` has in ``unit``; a plain number is in ``unit`` already.

    Raises:
        CaseError: as of `to_float`.
    """
    if isinstance(value, SupportsFloat) and not isinstance(value, bool | pint.Quantity):
        return float(value)
    return to_float(value, unit)


def lengths(value: Any) -> Any:
    """Return ``value`` with metres for text, in lists and tables too; None for ``"all"``, a whole axis."""
    if isinstance(value, dict):
        return {name: lengths(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [lengths(entry) for entry in value]
    if isinstance(value, str | pint.Quantity):
        return None if value == "all" else to_float(value, "m")
    return value


class InUnit(Generic[Number]):
    """Field of a dataclass: a number in a unit, set by a number, text with a unit or a pint quantity.

    Args:
        unit: SI unit of the number.
        default: value of the field if none is given; without it the field is required. A field with the
            default None takes None.
    """

    def __init__(self, unit: str, *default: Number) -> None:
        self.unit = unit
        self.default: tuple[Number, ...] = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Number: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Number: ...
    def __get__(self, instance: object, owner: type) -> Number:
        if instance is not None:
            return instance.__dict__[self.name]  # type: ignore[no-any-return]
        # Dataclasses ask the class for the default of a field; without one the field is required.
        if not self.default:
            raise AttributeError(self.name)
        return self.default[0]

    def __set__(self, instance: object, value: Number | str | pint.Quantity) -> None:
        if value is not None or self.default != (None,):
            try:
                value = in_unit(value, self.unit)
            except CaseError as error:
                raise CaseError(f"{type(instance).__name__}.{self.name}: {error}") from None
        instance.__dict__[self.name] = value


def engineering(value: float, unit: str) -> str:
    """Return four digits of a number with an SI prefix, such as ``"24.6 uS"``."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(max(math.floor(math.log10(abs(value)) / 3.0 + 1e-9), -6), 4)
    return f"{value / 1000.0**power:.4g} {_PREFIXES[power + 6]}{unit}"
