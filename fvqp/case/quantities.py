"""Quantities of a case file: text with a unit in, plain SI floats (or energies on the scale of the gap) out.

The reference gap Δ0 is not known before the material is, so an energy or a bias remembers whether it was
given in SI units or in multiples of Δ0 and converts when asked.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core.core_schema import (
    CoreSchema,
    no_info_plain_validator_function,
    plain_serializer_function_ser_schema,
)
from scipy import constants

from fvqp.errors import FvqpError, shown
from fvqp.expressions import Expression
from fvqp.typing import Floats
from fvqp.units import to_float

_IN_GAPS = re.compile(
    r"^\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*\*?\s*(?:Delta0|Delta_0|Δ0|Δ_0)(?:\s*/\s*e)?\s*$"
)


#: Smallest and largest size of a quantity in SI units, electronvolts or gaps: a slip beyond, and products of
#: three are still numbers. Lengths reach from below a nucleus to beyond any device.
LIMITS = (1e-100, 1e100)
LIMITS_OF = {"m": (1e-30, 1e9)}


def _in_gaps(value: str) -> float | None:
    match = _IN_GAPS.match(value)
    return _bounded(float(match[1]), "Delta0", value) if match else None


def _number(value: Any, unit: str) -> float:
    """``value`` (text with a unit) in ``unit``; pydantic wants failures as ``ValueError``."""
    try:
        return _bounded(to_float(value, unit), unit, value)
    except FvqpError as error:
        raise ValueError(str(error)) from None


def _bounded(number: float, unit: str, given: Any) -> float:
    low, high = LIMITS_OF.get(unit, LIMITS)
    if number != 0.0 and not low <= abs(number) <= high:
        raise ValueError(
            f"{shown(given)} is out of all range: expected a size of 0, or from {low:g} to {high:g} {unit}"
        )
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Dimensional:
    """Mark of a dimensional float: text with a unit in, a float in ``unit`` out, text again in TOML."""

    unit: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(
            self._read, serialization=plain_serializer_function_ser_schema(self._write)
        )

    def _read(self, value: Any) -> float:
        if isinstance(value, _Converted):
            return value
        converted = _Converted(_number(value, self.unit))
        converted.text = shown(value)
        return converted

    def _write(self, value: float) -> str:
        return f"{float(value)!r} {self.unit}"


class _Converted(float):
    """A float that has passed the border already, and what it was there."""

    text: str


def _given(value: float) -> str:
    """A quantity as its author wrote it."""
    return getattr(value, "text", f"{value:g}")


def _positive(value: float) -> float:
    if not value > 0:
        raise ValueError(f"must be positive, got {_given(value)}")
    return value


def _slower_than_light(value: float) -> float:
    if value > constants.c:
        raise ValueError(f"{value:.4g} m/s is faster than light")
    return value


def _not_negative(value: float) -> float:
    if value < 0:
        raise ValueError(f"must not be negative, got {_given(value)}")
    return value


def once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """``values``; ``ValueError`` that names the first of them that is there twice."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(
                f"{shown(value.write() if isinstance(value, CaseValue) else value)} is given more than once"
            )
    return values


def _extent(value: Any) -> None:
    if isinstance(value, list | tuple):
        if len(value) != 2 or not all(isinstance(end, str) and end != "all" for end in value):
            raise ValueError(f'expected an interval such as ["0 um", "1 um"], got {shown(value)}')
        low, high = (_number(end, "m") for end in value)
        if low > high:
            raise ValueError(f"the interval {shown(list(value))} ends before it begins")
    elif value != "all":
        _number(value, "m")


def _box(value: Any) -> Any:
    """One extent, or one for each axis (two plain coordinates are an interval)."""
    if not isinstance(value, list | tuple):
        _extent(value)
    elif len(value) == 2 and all(isinstance(entry, str) and entry != "all" for entry in value):
        _extent(value)
    elif 1 <= len(value) <= 3:
        for entry in value:
            _extent(entry)
    else:
        raise ValueError(f"expected an interval, or one for each of up to three axes, got {shown(value)}")
    return value


def _widths(value: Any) -> Any:
    if isinstance(value, list | tuple) and not value:
        raise ValueError("must not be empty")
    for width in value if isinstance(value, list | tuple) else [value]:
        _positive(_number(width, "m"))
    return value


def function_of(*names: str) -> AfterValidator:
    """Mark of text that is an `Expression` of these names."""

    def checked(text: str) -> str:
        try:
            Expression(text, names)
        except FvqpError as error:
            raise ValueError(str(error)) from None
        return text

    return AfterValidator(checked)


Positive = AfterValidator(_positive)
NotNegative = AfterValidator(_not_negative)

Widths = Annotated[Any, AfterValidator(_widths)]
"""A width, or the widths of all cells; text is kept, `shape_mesh` converts."""
Box = Annotated[Any, AfterValidator(_box)]
"""A box of a shape; text is kept, `shape_mesh` converts."""
Position = Annotated[float, Dimensional("m")]
Length = Annotated[float, Dimensional("m"), Positive]
Temperature = Annotated[float, Dimensional("K"), Positive]
Conductance = Annotated[float, Dimensional("S"), Positive]
ConductancePerArea = Annotated[float, Dimensional("S/m^2"), Positive]
Diffusivity = Annotated[float, Dimensional("m^2/s"), Positive]
Resistivity = Annotated[float, Dimensional("ohm*m"), Positive]
Current = Annotated[float, Dimensional("A")]
Angle = Annotated[float, Dimensional("rad")]
Time = Annotated[float, Dimensional("s"), Positive]
Frequency = Annotated[float, Dimensional("1/s"), NotNegative]
Speed = Annotated[float, Dimensional("m/s"), Positive, AfterValidator(_slower_than_light)]
NumberDensity = Annotated[float, Dimensional("1/m^3"), Positive]
MassDensity = Annotated[float, Dimensional("kg/m^3"), Positive]
EnergyDensity = Annotated[float, Dimensional("J/m^3"), Positive]
Power = Annotated[float, Dimensional("W"), NotNegative]
PowerDensity = Annotated[float, Dimensional("W/m^3"), NotNegative]
Volume = Annotated[float, Dimensional("m^3"), Positive]
GenerationRate = Annotated[float, Dimensional("1/m^3/s"), Positive]
AnnihilationConstant = Annotated[float, Dimensional("m^3/s"), Positive]
StateDensity = Annotated[float, Dimensional("1/J/m^3"), Positive]
Resistance = Annotated[float, Dimensional("ohm"), Positive]
HeatCoupling = Annotated[float, Dimensional("W/m^3/K^5"), Positive]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
SPACE = ("x", "y", "z", "r")
"""Names in functions of space: coordinates, and the distance from the origin; of shells, their radius."""
SpaceFunction = Annotated[str, Field(strict=True), function_of(*SPACE)]
TimeFunction = Annotated[str, Field(strict=True), function_of("t")]
EnergyFunction = Annotated[str, Field(strict=True), function_of("E")]
PositiveNumber = Annotated[Number, Positive]


class CaseValue(ABC):
    """A value of a case file that is more than a number: how pydantic reads it in and writes it out again."""

    @classmethod
    @abstractmethod
    def read(cls, value: Any) -> Any:
        """From what TOML gives; raises ``ValueError`` that says what would be right."""

    @abstractmethod
    def write(self) -> Any:
        """Return the value as a case file has it."""

    def with_files(self, at: str, folder: Path) -> Self:
        """See `fvqp.case.tables.Table.with_files`; most values name no file."""
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(
            cls.read, serialization=plain_serializer_function_ser_schema(cls.write)
        )


@dataclass(frozen=True)
class Energy(CaseValue):
    """An energy in electronvolt, or in multiples of the reference gap Δ0 (``relative``)."""

    value: float
    relative: bool

    def in_joule(self, delta0: float) -> float:
        """The energy in joule; ``delta0`` in joule."""
        return self.value * (delta0 if self.relative else constants.e)

    def in_delta0(self, delta0: float) -> float:
        """The energy in units of Δ0; ``delta0`` in joule."""
        return self.value if self.relative else self.value * constants.e / delta0

    @classmethod
    def read(cls, value: Any) -> Energy:
        """From a number (multiples of Δ0) or text: ``"0.4 meV"``, ``"3 Delta0"``.

        Raises ``ValueError`` with a message that says what would be right.
        """
        if isinstance(value, Energy):
            return cls(value.value, value.relative)
        if _is_number(value):
            if not math.isfinite(value):
                raise ValueError(f"expected an energy, got {value}")
            return cls(_bounded(float(value), "Delta0", value), True)
        gaps = _in_gaps(value) if isinstance(value, str) else None
        if gaps is not None:
            return cls(gaps, True)
        return cls(cls._absolute(value), False)

    @staticmethod
    def _absolute(value: Any) -> float:
        return _number(value, "eV")

    def write(self) -> Any:
        return self.value if self.relative else f"{self.value!r} eV"


def _positive_energy(energy: Energy) -> Energy:
    if not energy.value > 0:
        raise ValueError(f"must be positive, got {energy.write()}")
    return energy


def _energy_not_negative(energy: Energy) -> Energy:
    if energy.value < 0:
        raise ValueError(f"must not be negative, got {energy.write()}")
    return energy


def _absolute_energy(energy: Energy) -> Energy:
    if energy.relative:
        raise ValueError(
            f'expected an energy such as "265 ueV", got {energy.value:g} Delta0 (as a number without a unit '
            "is read), but this cannot be in units of the gap"
        )
    return energy


PositiveEnergy = Annotated[Energy, AfterValidator(_positive_energy)]
NonNegativeEnergy = Annotated[Energy, AfterValidator(_energy_not_negative)]
AbsoluteEnergy = Annotated[Energy, AfterValidator(_absolute_energy), AfterValidator(_positive_energy)]
NonNegativeAbsoluteEnergy = Annotated[
    Energy, AfterValidator(_absolute_energy), AfterValidator(_energy_not_negative)
]
"""One that cannot be in units of the gap, since it is what the gap follows from, or the gap itself."""


@dataclass(frozen=True)
class PhotonEnergy(Energy):
    """An energy that may also be given as a frequency: ``"20 ueV"``, ``"4.8 GHz"``."""

    @staticmethod
    def _absolute(value: Any) -> float:
        try:
            return _number(value, "Hz") * constants.h / constants.e
        except ValueError:
            return _number(value, "eV")


PositivePhotonEnergy = Annotated[PhotonEnergy, AfterValidator(_positive_energy)]


@dataclass(frozen=True)
class Bias(Energy):
    """A bias in volt, or in multiples of Δ0/e: ``"0.4 mV"``, ``"1.5 Delta0"``."""

    def in_volt(self, delta0: float) -> float:
        """The bias in volt; ``delta0`` in joule."""
        return self.value * delta0 / constants.e if self.relative else self.value

    @classmethod
    def read(cls, value: Any) -> Bias:
        if _is_number(value):
            raise ValueError(f'expected a voltage such as "0.4 mV" or "1.5 Delta0", got {value} (no unit)')
        energy = super().read(value)
        return cls(energy.value, energy.relative)

    @staticmethod
    def _absolute(value: Any) -> float:
        return _number(value, "V")

    def write(self) -> Any:
        return f"{self.value!r} {'Delta0' if self.relative else 'V'}"


@dataclass(frozen=True)
class BiasAxis(CaseValue):
    """The biases of a sweep: a list, or evenly spaced from one to another."""

    biases: tuple[Bias, ...]
    points: int | None = None
    """Number of points between the two ``biases``; none when these are the list itself."""

    def in_volt(self, delta0: float) -> Floats:
        """The biases in volt, in the order of the sweep; ``delta0`` in joule."""
        ends = np.array([bias.in_volt(delta0) for bias in self.biases])
        if self.points is None:
            return ends
        values = np.linspace(ends[0], ends[1], self.points)
        if ends[0] == -ends[1]:
            # Mirror images to the last bit, so that symmetry parts need no interpolation.
            values = 0.5 * (values - values[::-1])
        return values

    def largest(self, delta0: float) -> float:
        """Largest |V| in volt; ``delta0`` in joule."""
        return float(np.abs(self.in_volt(delta0)).max())

    @classmethod
    def read(cls, value: Any) -> BiasAxis:
        """From ``["0 mV", ...]``, one bias, or ``{ from = "-1 mV", to = "1 mV", points = 101 }``."""
        if isinstance(value, BiasAxis):
            return value
        if isinstance(value, dict):
            return cls._read_range(value)
        biases = tuple(Bias.read(entry) for entry in (value if isinstance(value, list | tuple) else [value]))
        if not biases:
            raise ValueError('expected at least one bias, such as ["0 mV"]')
        return cls(once(biases))

    @classmethod
    def _read_range(cls, value: dict[str, Any]) -> BiasAxis:
        wanted = {"from", "to", "points"}
        if set(value) != wanted:
            odd = sorted(set(value) ^ wanted)
            raise ValueError(
                f'expected {{ from = "-1 mV", to = "1 mV", points = 101 }}; '
                f"missing or unknown: {', '.join(odd)}"
            )
        points = value["points"]
        if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MAX_POINTS:
            raise ValueError(
                f"points: expected a whole number of at least 2, at most {MAX_POINTS}, got {shown(points)}"
            )
        ends = Bias.read(value["from"]), Bias.read(value["to"])
        if ends[0] == ends[1]:
            raise ValueError(f"from and to are equal; for one bias write [{shown(ends[0].write())}]")
        return cls(ends, points)

    def write(self) -> Any:
        if self.points is None:
            return [bias.write() for bias in self.biases]
        return {"from": self.biases[0].write(), "to": self.biases[1].write(), "points": self.points}


MAX_POINTS = 1_000_000
"""Points of a sweep along one axis; more are a slip."""


def spaced(unit: str, *, linear: bool = False) -> BeforeValidator:
    """Mark of a list of quantities: also one of them, or ``{ from, to, points }``, evenly spaced on a
    logarithmic axis or on a linear one."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return value if isinstance(value, list | tuple) else [value]
        wanted = {"from", "to", "points"}
        if set(value) != wanted:
            odd = ", ".join(sorted(map(str, set(value) ^ wanted)))
            raise ValueError(f"expected a list, or a table of from, to, points; missing or unknown: {odd}")
        points = value["points"]
        if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MAX_POINTS:
            raise ValueError(
                f"points: expected a whole number of at least 2, at most {MAX_POINTS}, got {shown(points)}"
            )
        first, last = (_number(value[end], unit) for end in ("from", "to"))
        if first == last:
            raise ValueError("from and to are equal; for one value write it alone")
        if linear:
            values = np.linspace(first, last, points)
        else:
            values = np.geomspace(_positive(first), _positive(last), points)
        values[0], values[-1] = first, last
        return [f"{number!r} {unit}" for number in values.tolist()]

    return BeforeValidator(read)


STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
"""Every model of a case: no unknown keys, no changes after reading."""
