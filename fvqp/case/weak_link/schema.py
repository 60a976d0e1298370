"""The schema of a case of a weak link: what can be said, and what cannot be meant."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fvqp.case.geometry import CaseOnMesh
from fvqp.case.metals import CrossSection
from fvqp.case.quantities import (
    AbsoluteEnergy,
    Angle,
    Diffusivity,
    Energy,
    NonNegativeEnergy,
    PositiveEnergy,
    Resistivity,
    Temperature,
    spaced,
)
from fvqp.case.tables import AS_LIST, ONCE, Case, FigureTable, Name, Solver, Table

MAX_ENERGIES = 100_000
"""Energies of a density of states; more are a slip."""


class Superconductor(Table):
    """The superconductor, whose gap is the unit of energy."""

    name: Name | None = None
    """A material of the library."""
    gap: AbsoluteEnergy | None = None
    """Zero-temperature bulk gap Δ0, in place of that of the library."""

    @model_validator(mode="after")
    def _one_source(self) -> Superconductor:
        if (self.name is None) == (self.gap is None):
            raise ValueError('give either name, such as "Al", or gap')
        return self


class WeakLinkMetal(Table):
    """A normal metal."""

    diffusivity: Diffusivity
    """Diffusion constant D_N."""
    resistivity: Resistivity
    """Resistivity ρ_N."""


class WeakLinkReservoir(Table):
    """Outer boundaries that are the bulk of a metal in equilibrium."""

    on: Annotated[tuple[Name, ...], AS_LIST, Field(min_length=1)]
    gap: NonNegativeEnergy | None = None
    """Zero-temperature gap of its metal; default: that of ``superconductor``. ``"0 eV"``: a normal metal."""
    phase: Angle | None = None
    """Phase of its order parameter, such as ``"90 deg"`` or ``"0 rad"``; default: the swept one."""


class WeakLinkSpectrum(Table):
    """The broadening of the spectral functions."""

    broadening: NonNegativeEnergy = Energy(1e-4, True)
    """Dynes parameter Γ; far below a minigap that the density of states is to show."""


class WeakLinkEnergies(Table):
    """The energies of the density of states."""

    maximum: PositiveEnergy
    """The last of them."""
    number: Annotated[int, Field(strict=True, ge=2, le=MAX_ENERGIES)] = 200
    """Number of energies, evenly spaced from 0 on."""


class WeakLinkSweep(Table):
    """Quantities that vary."""

    phase: Annotated[tuple[Angle, ...], spaced("rad", linear=True), ONCE, Field(min_length=1)]
    """Phase of the superconducting reservoirs that have none of their own; a list, or
    ``{ from = "0 deg", to = "180 deg", points = 19 }``."""
    temperature: Annotated[tuple[Temperature, ...], AS_LIST, ONCE, Field(min_length=1)]
    """Temperatures of the whole device, one after the other."""


class WeakLinkOutput(Table):
    """Quantities stored beside the currents."""

    stored: Annotated[tuple[Literal["minigap", "dos"], ...], ONCE] = ()
    """``minigap``: the energy below which no cell has states for Γ → 0, to 0.1 %; ``dos``: the density of
    states of every cell."""


class WeakLinkSolver(Solver):
    """Solver of the equations."""

    method: Literal["auto", "direct", "mumps"] = "auto"
    """Method for the linear systems: ``direct`` eliminates all energies in one pass, ``mumps`` energy by
    energy; ``auto`` chooses by size."""


class WeakLinkFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal["current_phase", "minigap", "dos"]


class WeakLinkCase(CaseOnMesh):
    """A case of a weak link."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": True}

    model: Literal["weak_link"]
    """The equations: Usadel's in normal metals between superconductors of different phases."""
    cross_section: CrossSection = CrossSection()
    superconductor: Superconductor
    metal: WeakLinkMetal
    regions: dict[str, WeakLinkMetal] = Field(default_factory=dict)
    reservoirs: tuple[WeakLinkReservoir, ...]
    spectrum: WeakLinkSpectrum = WeakLinkSpectrum()
    energies: WeakLinkEnergies | None = None
    sweep: WeakLinkSweep
    solver: WeakLinkSolver = WeakLinkSolver()
    output: WeakLinkOutput = WeakLinkOutput()
    figures: tuple[WeakLinkFigure, ...] = ()


CASES = {"weak_link": WeakLinkCase}
