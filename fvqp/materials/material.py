"""Superconducting materials: a handful of numbers in SI units, each with its source."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from scipy import constants

from fvqp.errors import CaseError
from fvqp.texts import html_table
from fvqp.units import InUnit, registry, to_float

BCS_RATIO = math.pi * math.exp(-0.57721566490153286)
"""Δ0 / (k_B T_c) of weak-coupling BCS theory, π exp(−γ) = 1.76388."""

# Units that people read them in.
_SHOWN = {
    "gap": "ueV",
    "diffusivity": "cm^2/s",
    "resistivity": "uohm*cm",
    "characteristic_time": "ns",
    "pair_breaking_time": "ps",
    "dressed_density_of_states": "1/eV/um^3",
    "debye_energy": "meV",
    "longitudinal_speed": "km/s",
    "transverse_speed": "km/s",
    "fermi_velocity": "km/s",
}
_DIFFUSIVE = ("diffusivity", "resistivity")
_REQUIRED = ("gap",)  # and what a model asks for, see Material.require
_ZERO_IF_NORMAL = ("gap", "critical_temperature")


class MaterialRegistry:
    """Materials that a script has registered, by name."""

    def __init__(self) -> None:
        self._added: dict[str, Material] = {}

    def __getitem__(self, name: str) -> Material:
        return self._added[name]

    @property
    def added(self) -> tuple[str, ...]:
        """Names of the materials."""
        return tuple(self._added)

    def add(self, material: Material) -> None:
        """Make a material known by its name; raise `CaseError` for a name of the library."""
        if material.name in _built_in():
            raise CaseError(
                f'register: material "{material.name}": is in the library already; choose another name'
            )
        self._added[material.name] = material

    def remove(self, name: str) -> None:
        """Forget a material."""
        del self._added[name]


@dataclass(frozen=True)
class Material:
    """A superconductor, or a normal metal (gap 0), in SI units.

    Every number but the gap may be missing (NaN); a model that needs one says so, by `require`. Text with a
    unit, such as ``"265 ueV"``, is taken in place of a number in SI units.

    Attributes:
        name: as a case calls it.
        gap: Δ0 at zero temperature, joule; 0 in a normal metal.
        diffusivity: normal-state D_N, m²/s.
        resistivity: normal-state ρ_N, ohm metre.
        critical_temperature: T_c, kelvin; the BCS value ``Δ0/(1.764 k_B)`` if not given. States of
            equilibrium are refused at and above it; the gap follows the BCS temperature dependence.
        description: one line for people.
        sources: where each number comes from.
        characteristic_time: τ0 of quasiparticles (Kaplan et al., Phys. Rev. B 14, 4854 (1976)), seconds.
        pair_breaking_time: published τ0^pb of phonons (same paper), seconds. Models take the one that
            conserves energy instead, `fvqp.materials.pair_breaking_time`.
        dressed_density_of_states: N0 per spin with the electron-phonon factor 1 + λ, as the electronic heat
            capacity has it, 1/(J m³): ``N0 = 3γ/(2π² k_B²)``.
        ion_density: atoms per volume, 1/m³.
        debye_energy: Ω_D, joule.
        longitudinal_speed, transverse_speed: of sound, m/s.
        fermi_velocity: v_F, m/s.
        electron_phonon_coupling: Σ of the heat ``Σ(T_e⁵ − T_ph⁵)`` per volume that electrons of the normal
            metal give to its phonons, W/(m³ K⁵).
        uncertainties: of the numbers above, in the same units, where they are known.
    """

    registry: ClassVar[MaterialRegistry] = MaterialRegistry()

    name: str
    gap: InUnit[float] = InUnit("J")
    diffusivity: InUnit[float] = InUnit("m^2/s", math.nan)
    resistivity: InUnit[float] = InUnit("ohm*m", math.nan)
    critical_temperature: InUnit[float] = InUnit("K", math.nan)
    description: str = field(default="", compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    characteristic_time: InUnit[float] = InUnit("s", math.nan)
    pair_breaking_time: InUnit[float] = InUnit("s", math.nan)
    dressed_density_of_states: InUnit[float] = InUnit("1/J/m^3", math.nan)
    ion_density: InUnit[float] = InUnit("1/m^3", math.nan)
    debye_energy: InUnit[float] = InUnit("J", math.nan)
    longitudinal_speed: InUnit[float] = InUnit("m/s", math.nan)
    transverse_speed: InUnit[float] = InUnit("m/s", math.nan)
    fermi_velocity: InUnit[float] = InUnit("m/s", math.nan)
    electron_phonon_coupling: InUnit[float] = InUnit("W/m^3/K^5", math.nan)
    uncertainties: Mapping[str, float] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if math.isnan(self.gap):
            raise CaseError(f'material "{self.name}": gap must be a positive energy, or 0 in a normal metal')
        if math.isnan(self.critical_temperature):
            object.__setattr__(self, "critical_temperature", self._bcs_temperature)
        if self.gap == 0.0 and self.critical_temperature != 0.0:
            raise CaseError(
                f'material "{self.name}": critical_temperature: a normal metal (gap 0) has none; leave it out'
            )
        for key in _QUANTITIES:
            value = getattr(self, key)
            zero_is_right = self.gap == 0.0 and key in _ZERO_IF_NORMAL
            if not math.isnan(value) and (math.isinf(value) or not (value > 0.0 or zero_is_right)):
                raise CaseError(f'material "{self.name}": {key} must be positive, found {value:g}')

    def __repr__(self) -> str:
        parts = ["normal metal"] if self.gap == 0.0 else []
        for name, key in (
            ("gap", "gap"),
            ("Tc", "critical_temperature"),
            ("D", "diffusivity"),
            ("resistivity", "resistivity"),
            ("tau0", "characteristic_time"),
        ):
            if text := self.text(key):
                parts.append(f"{name} {text}")
        return f"Material({self.name!r}: {', '.join(parts)})"

    def _repr_html_(self) -> str:
        return html_table(self._title, self.numbers(), ("", "value", "source"))

    def table(self) -> str:
        """Return all numbers that are known, with their sources, as lines of text."""
        numbers = self.numbers()
        width = max((len(name) for name, _, _ in numbers), default=0)
        values = max((len(text) for _, text, _ in numbers), default=0)
        lines = [f"  {name:<{width}}  {text:<{values}}  {source}".rstrip() for name, text, source in numbers]
        return "\n".join([self._title, *lines])

    @property
    def _bcs_temperature(self) -> float:
        """Critical temperature of weak coupling, K."""
        return self.gap / (BCS_RATIO * constants.k)

    @property
    def _title(self) -> str:
        return f"{self.name}: {self.description}" if self.description else self.name

    def text(self, key: str) -> str:
        """Return a number with its unit; empty if it is not known, or 0 in a normal metal."""
        value = getattr(self, key)
        return "" if math.isnan(value) or value == 0.0 else _text(key, value)

    def numbers(self) -> list[tuple[str, str, str]]:
        """Return the names, values with uncertainties, and sources of all numbers that are known."""
        found = []
        for key in _QUANTITIES:
            value, text = getattr(self, key), self.text(key)
            if text:
                error = self.uncertainties.get(key)
                source = self.sources.get(key, "")
                if key == "critical_temperature" and not source and value == self._bcs_temperature:
                    source = "BCS value of the gap"
                found.append((key, text + (f" ± {_text(key, error)}" if error else ""), source))
        return found

    def require(self, model: str, *keys: str) -> None:
        """Make sure that numbers are there.

        Args:
            model: who needs them, for the message: "the Usadel model".
            keys: names of attributes.

        Raises:
            CaseError: one or more of them are missing.
        """
        missing = [key for key in keys if math.isnan(getattr(self, key))]
        if missing:
            raise CaseError(
                f'material "{self.name}": {model} needs {" and ".join(missing)}, not known of this material; '
                f"give {'it' if len(missing) == 1 else 'them'} with unit and source"
            )

    @property
    def conductivity(self) -> float:
        """Normal-state conductivity σ, S/m."""
        self.require("diffusive transport (the Usadel model)", *_DIFFUSIVE)
        return 1.0 / self.resistivity

    @property
    def density_of_states(self) -> float:
        """Normal-state N0 per spin at the Fermi energy, 1/(J m³), from ``σ = 2 e² N0 D_N``.

        That of a film, of its transport; `dressed_density_of_states` is that of the heat capacity.
        """
        return self.conductivity / (2.0 * constants.e**2 * self.diffusivity)

    @property
    def coherence_length(self) -> float:
        """``ξ = √(ħ D_N/Δ0)``, metre; infinite in a normal metal."""
        if self.gap == 0.0:
            return math.inf
        self.require("diffusive transport (the Usadel model)", *_DIFFUSIVE)
        return math.sqrt(constants.hbar * self.diffusivity / self.gap)

    def coherence_resistance(self, cross_section: float) -> float:
        """``R_ξ = ρ_N ξ/A``, ohm: resistance of one coherence length; ``cross_section`` in m²."""
        return self.resistivity * self.coherence_length / cross_section

    def current_unit(self, cross_section: float) -> float:
        """``I0 = Δ0/(e R_ξ)``, ampere; ``cross_section`` in m²."""
        return self.gap / (constants.e * self.coherence_resistance(cross_section))


#: Key of the library and of `material_from_dict` → unit of the attribute.
_QUANTITIES = {key: number.unit for key, number in vars(Material).items() if isinstance(number, InUnit)}


def load_material(name: str, library: str | Path | None = None) -> Material:
    """A material by name from the built-in library or those registered, or from a TOML file of the same form.

    Raises:
        CaseError: no such material (the message lists those there are), an unreadable file or entry.
    """
    entries = _built_in() if library is None else _read(Path(library))
    registered = Material.registry.added if library is None else ()
    if name in registered:
        return Material.registry[name]
    if name not in entries:
        raise CaseError(
            f'there is no material "{name}"; known are {", ".join(sorted((*entries, *registered)))}'
        )
    return _of_library(name) if library is None else material_from_dict(name, entries[name])


@cache
def _of_library(name: str) -> Material:
    return material_from_dict(name, _built_in()[name])


def material_names() -> list[str]:
    """Names of the built-in materials and of those that are registered."""
    return sorted((*_built_in(), *Material.registry.added))


def material_from_dict(name: str, entry: Mapping[str, Any]) -> Material:
    """A material from text with units.

    Args:
        name: its name.
        entry: ``gap`` and what is known of the other numbers of `Material`, by the names of its attributes,
            each either text (``"265 ueV"``) or a table ``{value, source, uncertainty}``; optional
            ``description``.

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
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    uncertainties: dict[str, float] = {}
    for key, unit in _QUANTITIES.items():
        if key in entry:
            values[key], uncertainty, source = _number(entry[key], unit, f"{where}: {key}")
            if source:
                sources[key] = source
            if uncertainty is not None:
                uncertainties[key] = uncertainty
    return Material(
        name=name, description=description, sources=sources, uncertainties=uncertainties, **values
    )


def _text(key: str, value: float) -> str:
    unit = _SHOWN.get(key, _QUANTITIES[key])
    return f"{registry.Quantity(value, _QUANTITIES[key]).to(unit).magnitude:.4g} {unit}"


def _number(item: Any, unit: str, where: str) -> tuple[float, float | None, str]:
    """Value, uncertainty (None if not given) and source of an entry."""
    table = item if isinstance(item, Mapping) else {"value": item}
    odd = sorted(set(table) - {"value", "uncertainty", "source"})
    if odd or "value" not in table:
        raise CaseError(f"{where}: expected value, source and perhaps uncertainty, got {', '.join(table)}")
    source = table.get("source", "")
    if not isinstance(source, str):
        raise CaseError(f"{where}: source: expected text, got {source!r}")
    try:
        value = to_float(table["value"], unit)
        uncertainty = to_float(table["uncertainty"], unit) if "uncertainty" in table else None
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None
    if uncertainty is not None and not uncertainty > 0.0:
        raise CaseError(f"{where}: uncertainty must be positive, found {uncertainty:g} in SI units")
    return value, uncertainty, source


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
