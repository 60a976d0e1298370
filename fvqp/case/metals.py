"""Tables of a case that say what a device is made of: a reference material, others in regions of the mesh."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import model_validator

from fvqp.case.quantities import (
    Diffusivity,
    Length,
    NonNegativeAbsoluteEnergy,
    Resistivity,
    Temperature,
)
from fvqp.case.tables import Name, Table
from fvqp.errors import CaseError
from fvqp.materials import Material, load_material, material_names


class CrossSection(Table):
    """Lengths that the mesh does not hold: width and thickness of a line, thickness of a film."""

    width: Length | None = None
    thickness: Length | None = None

    def measure(self, lengths: int) -> float | None:
        """Return the product of the lengths that turn the measure of a mesh into m³; None if none is given.

        Args:
            lengths: that the mesh has, see `Mesh.lengths`.

        Raises:
            CaseError: one is missing, or of no use.
        """
        needed = ("width", "thickness")[lengths - 1 :]
        given = {key: value for key in ("width", "thickness") if (value := getattr(self, key)) is not None}
        kind = {1: "lines", 2: "a film", 3: "a body with a volume"}[lengths]
        for key in given:
            if key not in needed:
                raise CaseError(f"cross_section.{key}: not used by a mesh of {kind}; remove it")
        for key in needed:
            if given and key not in given:
                raise CaseError(f'cross_section.{key}: a mesh of {kind} needs it, such as "150 nm"')
        return math.prod(given.values()) if given or lengths == 3 else None


class MetalChoice(Table):
    """A material by name, with numbers of one's own in place of the library's where given."""

    name: Name | None = None
    gap: NonNegativeAbsoluteEnergy | None = None
    """Zero-temperature bulk gap Δ0; ``"0 eV"`` makes a region a normal metal."""
    diffusivity: Diffusivity | None = None
    """Normal-state diffusion constant D_N."""
    resistivity: Resistivity | None = None
    """Normal-state resistivity ρ_N."""
    critical_temperature: Temperature | None = None
    """Bath temperatures must lie below it; the gap has the temperature dependence of BCS. Default: the BCS
    value Δ0/(1.764 k_B), which a given one cannot exceed in effect."""

    @model_validator(mode="after")
    def _complete(self) -> MetalChoice:
        missing = [key for key in ("gap", "diffusivity", "resistivity") if getattr(self, key) is None]
        if self.name is None and missing:
            raise ValueError(
                f"give name (of the library or of [materials.NAME]) or also {', '.join(missing)}"
            )
        return self


class RegionChoice(Table):
    """The exception that a region of the mesh is."""

    material: Name


def material(choice: MetalChoice, materials: Mapping[str, MetalChoice], label: str | None = None) -> Material:
    """A material of the library or of ``materials``, with the choice's own numbers in place where given."""
    if choice.name is not None and choice.name in materials and choice is not materials[choice.name]:
        base: Material | None = material(materials[choice.name], materials, choice.name)
    else:
        base = None if choice.name is None else load_material(choice.name)
    numbers: dict[str, Any] = {
        key: getattr(choice, key)
        for key in ("diffusivity", "resistivity", "critical_temperature")
        if getattr(choice, key) is not None
    }
    if choice.gap is not None:
        # Its unit cannot be the gap itself: the schema asks for an energy.
        numbers["gap"] = choice.gap.in_joule(float("nan"))
        # Unless it is given too, Tc follows from the gap.
        numbers.setdefault("critical_temperature", float("nan"))
    if base is None:
        return Material(name=label or "own", **numbers)
    return replace(base, **numbers) if numbers else base


def materials_of_regions(
    regions: Mapping[str, RegionChoice], materials: Mapping[str, MetalChoice]
) -> dict[str, Material]:
    """Materials of the regions that have one of their own."""
    found = {}
    for name, choice in regions.items():
        chosen = materials.get(choice.material) or MetalChoice(name=choice.material)
        found[name] = material(chosen, materials, choice.material)
    return found


def unknown_material(name: str | None, own: Iterable[str] | None = None) -> str:
    """Return what is wrong with the name of a material; empty if nothing is.

    Args:
        name: None is fine.
        own: names that the case defines; None if it cannot.
    """
    library = material_names()
    if name is None or name in library or name in (own or ()):
        return ""
    known = ", ".join(library if own is None else sorted({*library, *own}))
    more = "" if own is None else ", and what a table [materials.NAME] defines"
    return f'there is no material "{name}"; known are {known}{more}'


def material_problems(
    reference: MetalChoice, regions: Mapping[str, RegionChoice], materials: Mapping[str, MetalChoice]
) -> Iterable[tuple[str, str]]:
    """Names of materials that nothing has, and tables of materials that nothing uses: keys and messages."""
    named = [("material.name", "", reference.name)]
    named += [(f"regions.{name}.material", "", choice.material) for name, choice in regions.items()]
    named += [(f"materials.{name}.name", name, choice.name) for name, choice in materials.items()]
    for key, table, name in named:
        # A table may bear the name of the material of the library that it changes.
        if problem := unknown_material(name, set(materials) - {table}):
            yield key, problem
    used = {name for _, table, name in named if name != table}
    for name, choice in materials.items():
        if name not in used:
            yield f"materials.{name}", "is not used by material.name, by any region or by another of them"
        seen, following = [name], choice.name
        while following is not None and following in materials and following != seen[-1]:
            if following in seen:
                yield f"materials.{name}.name", f"leads back to itself: {' -> '.join([*seen, following])}"
                break
            seen.append(following)
            following = materials[following].name
