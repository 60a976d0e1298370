"""Knobs of the discretization of a case: mesh, energies, directions, tolerance, finer and coarser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fvqp.case.parameters import NUMBER
from fvqp.case.reading import value_at
from fvqp.variation.keys import VariedCase

TOLERANCE_FACTOR = 4.0
"""Factor between tolerances of two levels; of sizes and numbers it is 2."""
AXES = "xyz"


@dataclass(frozen=True)
class Knob:
    """A knob: keys that are refined together.

    Attributes:
        name: ``mesh``, ``energies``, ``directions`` or ``tolerance``.
        keys: key → value that the case has, a number or text with a unit.
        powers: key → power of the factor of a level by which its value is multiplied: 1 for numbers of
            cells, -1 for widths and tolerances.
        factor: between two levels.
        even: True for numbers that have to be even.
    """

    name: str
    keys: dict[str, Any]
    powers: dict[str, int]
    factor: float = 2.0
    even: bool = False

    def settings(self, level: int) -> dict[str, Any]:
        """Return key → value of a level: 0 as the case says, 1 finer, -1 coarser.

        Raises `ValueError` if there is no such level.
        """
        if level == 0:
            return {}
        found: dict[str, Any] = {}
        for key, value in self.keys.items():
            scale = self.factor ** (level * self.powers[key])
            if isinstance(value, str):
                match = NUMBER.match(value)
                assert match is not None
                found[key] = f"{float(match[1]) * scale:.12g} {match[2]}".rstrip()
            elif isinstance(value, int):
                number = round(value * scale)
                if number < 1 or (self.even and number % 2):
                    raise ValueError(f"{key} = {value} cannot be divided by {1.0 / scale:g}")
                found[key] = number
            else:
                found[key] = float(f"{value * scale:.12g}")
        return found

    def size(self, level: int) -> float:
        """Return the size of the discretization of a level; 1 at level 0."""
        return self.factor**-level

    def text(self, level: int) -> str:
        """Return its keys with their values at a level."""
        values = self.keys | self.settings(level)
        return ", ".join(f"{key} = {value}" for key, value in values.items())


def knobs_of(varied: VariedCase) -> tuple[list[Knob], dict[str, str]]:
    """Return the knobs that a case has, and name → reason of those that cannot be varied."""
    case = varied.variant({}).case
    found: list[Knob] = []
    reasons: dict[str, str] = {}
    for knob in (_mesh(varied.data, case), _energies(varied.data), _directions(case), *_tolerances(case)):
        if isinstance(knob, Knob):
            found.append(knob)
        elif knob is not None:
            reasons[knob[0]] = knob[1]
    return found, reasons


Found = Knob | tuple[str, str] | None


def _mesh(data: dict[str, Any], case: Any) -> Found:
    body, mesh = getattr(case, "body", None), getattr(case, "mesh", None)
    if body is not None:
        return Knob("mesh", {"body.shells": body.shells}, {"body.shells": 1})
    if mesh is None:
        return None
    if mesh.file is not None:
        return (
            "mesh",
            f"is the file {mesh.file.name}: make a finer one, and vary mesh.file with fvqp study",
        )
    keys: dict[str, Any] = {}
    powers: dict[str, int] = {}
    for axis in AXES:
        number, width = (value_at(data, f"mesh.shape.{key}{axis}", "") for key in "nd")
        if isinstance(number, int):
            keys[f"mesh.shape.n{axis}"], powers[f"mesh.shape.n{axis}"] = number, 1
        elif isinstance(width, str):
            keys[f"mesh.shape.d{axis}"], powers[f"mesh.shape.d{axis}"] = width, -1
        elif isinstance(width, list):
            return "mesh", f"has a list of widths, mesh.shape.d{axis}: vary it with fvqp study"
    return Knob("mesh", keys, powers) if keys else None


def _energies(data: dict[str, Any]) -> Found:
    table = data.get("energies") or {}
    keys: dict[str, Any] = {}
    if data.get("model") in ("boltzmann", "transport"):
        keys["energies.width"] = table.get("width")
        if table.get("spacing") == "graded":
            # Bins far from the gap get narrower with the widening alone.
            keys["energies.growth"] = table.get("growth", 0.05)
        return Knob("energies", keys, dict.fromkeys(keys, -1))
    default = {"usadel": 400, "weak_link": 200, "eliashberg": 2000}.get(str(data.get("model")))
    if default is None:
        return None
    keys["energies.number"] = table.get("number", default)
    if "largest" in table:
        keys["energies.largest"] = table["largest"]
    return Knob("energies", keys, {"energies.number": 1, "energies.largest": -1})


def _directions(case: Any) -> Found:
    keys: dict[str, int] = {}
    for species in ("quasiparticles", "phonons"):
        table = getattr(case, species, None)
        if table is not None and getattr(table, "motion", "") == "ordinates":
            keys[f"{species}.directions"] = table.directions
            if "azimuths" in table.model_fields_set:
                keys[f"{species}.azimuths"] = table.azimuths
    return Knob("directions", dict(keys), dict.fromkeys(keys, 1), even=True) if keys else None


def _tolerances(case: Any) -> Iterator[Found]:
    for table in ("evolution", "steady_state", "solver"):
        value = getattr(getattr(case, table, None), "tolerance", None)
        if isinstance(value, float):
            key = f"{table}.tolerance"
            yield Knob("tolerance", {key: value}, {key: -1}, factor=TOLERANCE_FACTOR)
            return
