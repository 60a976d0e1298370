"""Superconducting materials: a handful of numbers in SI units, each with its source."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from scipy import constants

from fvqp.errors import CaseError
from fvqp.units import to_float

BCS_RATIO = math.pi * math.exp(-0.57721566490153286)
"""Δ0 / (k_B T_c) of weak-coupling BCS theory, π exp(−γ) = 1.76388."""

# Key of the library and of `material_from_dict`: unit of the attribute, name in messages.
_QUANTITIES = {
    "gap": ("J", "energy"),
    "diffusivity": ("m^2/s", "diffusivity"),
    "resistivity": ("ohm*m", "resistivity"),
    "critical_temperature": ("K", "temperature"),
}
_REQUIRED = ("gap", "diffusivity", "resistivity")


@dataclass(frozen=True)
class Material:
    """A diffusive superconductor, or a normal metal (gap 0), in SI units.

    Attributes:
        name: as a case calls it.
        gap: Δ0 at zero temperature, joule; 0 in a normal metal.
        diffusivity: normal-state D_N, m²/s.
        resistivity: normal-state ρ_N, ohm metre.
        critical_temperature: T_c, kelvin; the BCS value ``Δ0/(1.764 k_B)`` if not given. States of
            equilibrium are refused at and above it; the gap follows the BCS temperature dependence.
        description: one line for people.
        sources: where each number comes from.
    """

    name: str
    gap: float
    diffusivity: float
    resistivity: float
    critical_temperature: float = math.nan
    description: str = field(default="", compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if math.isnan(self.critical_temperature):
            object.__setattr__(self, "critical_temperature", self.gap / (BCS_RATIO * constants.k))
        if self.gap == 0.0 and self.critical_temperature != 0.0:
            raise CaseError(
                f'material "{self.name}": critical_temperature: a normal metal (gap 0) has none; leave it out'
            )
        for key in _QUANTITIES:
            value = getattr(self, key)
            zero_is_right = self.gap == 0.0 and key in ("gap", "critical_temperature")
            if not math.isfinite(value) or not (value > 0.0 or zero_is_right):
                raise CaseError(f'material "{self.name}": {key} must be positive, found {value:g}')

    @property
    def conductivity(self) -> float:
        """Normal-state conductivity σ, S/m."""
        return 1.0 / self.resistivity

    @property
    def density_of_states(self) -> float:
        """Normal-state N0 per spin at the Fermi energy, 1/(J m³), from ``σ = 2 e² N0 D_N``."""
        return self.conductivity / (2.0 * constants.e**2 * self.diffusivity)

    @property
    def coherence_length(self) -> float:
        """``ξ = √(ħ D_N/Δ0)``, metre; infinite in a normal metal."""
        if self.gap == 0.0:
            return math.inf
        return math.sqrt(constants.hbar * self.diffusivity / self.gap)

    def coherence_resistance(self, cross_section: float) -> float:
        """``R_ξ = ρ_N ξ/A``, ohm: resistance of one coherence length; ``cross_section`` in m²."""
        return self.resistivity * self.coherence_length / cross_section

    def current_unit(self, cross_section: float) -> float:
        """``I0 = Δ0/(e R_ξ)``, ampere; ``cross_section`` in m²."""
        return self.gap / (constants.e * self.coherence_resistance(cross_section))


def load_material(name: str, library: str | Path | None = None) -> Material:
    """A material by name from the built-in library, or from a TOML file of the same form.

    Raises:
        CaseError: no such material (the message lists those there are), an unreadable file or entry.
    """
    entries = _built_in() if library is None else _read(Path(library))
    if name not in entries:
        raise CaseError(f'there is no material "{name}"; known are {", ".join(sorted(entries))}')
    return material_from_dict(name, entries[name])


def material_names() -> list[str]:
    """Names of the built-in materials."""
    return sorted(_built_in())


def material_from_dict(name: str, entry: Mapping[str, Any]) -> Material:
    """A material from text with units.

    Args:
        name: its name.
        entry: ``gap``, ``diffusivity``, ``resistivity`` and, if wanted, ``critical_temperature``: each either
            text (``"265 ueV"``) or a table ``{value, source, uncertainty}``; optional ``description``.

    Raises:
        CaseError: a missing, unknown, badly typed or unphysical number.
    """
    where = f'material "{name}"'
    if not isinstance(entry, Mapping):
        raise CaseError(f"{where}: expected a table with {', '.join(_REQUIRED)}")
    known = [*_QUANTITIES, "description"]
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise CaseError(f"{where}: unknown key {unknown[0]}; known are {', '.join(known)}")
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise CaseError(f"{where}: {', '.join(missing)} missing")
    description = entry.get("description", "")
    if not isinstance(description, str):
        raise CaseError(f"{where}: description: expected text, got {description!r}")
    values: dict[str, float] = {}
    sources: dict[str, str] = {}
    for key, (unit, what) in _QUANTITIES.items():
        if key in entry:
            values[key], source = _number(entry[key], unit, what, f"{where}: {key}")
            if source:
                sources[key] = source
    return Material(name=name, description=description, sources=sources, **values)


def _number(item: Any, unit: str, what: str, where: str) -> tuple[float, str]:
    table = item if isinstance(item, Mapping) else {"value": item}
    odd = sorted(set(table) - {"value", "uncertainty", "source"})
    if odd or "value" not in table:
        raise CaseError(f"{where}: expected value, source and perhaps uncertainty, got {', '.join(table)}")
    source = table.get("source", "")
    if not isinstance(source, str):
        raise CaseError(f"{where}: source: expected text, got {source!r}")
    try:
        if "uncertainty" in table:
            to_float(table["uncertainty"], unit, what=what)
        return to_float(table["value"], unit, what=what), source
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None


@cache
def _built_in() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("fvqp.materials").joinpath("library.toml").read_text(encoding="utf-8")
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(f"{path}: cannot read the material library: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: no valid TOML: {error}") from None
